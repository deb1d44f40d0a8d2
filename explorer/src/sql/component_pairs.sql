-- Pairs of tokens that take up most of its share.
SELECT place, source, "to", n, n_prompts, share, part, attention, score
FROM {token_pairs}
WHERE component = $component AND layer = $layer AND expert = $expert AND "index" = $index AND pair = $pair
ORDER BY place
