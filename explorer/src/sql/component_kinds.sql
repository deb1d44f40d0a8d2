-- What it carries among positions or prompts of one kind.
SELECT split, key, value, share, share_low, share_high, n, n_prompts
FROM {by_kind}
WHERE component = $component AND layer = $layer AND expert = $expert AND "index" = $index
