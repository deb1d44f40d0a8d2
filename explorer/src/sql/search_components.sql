-- Heads, MLPs and attention blocks that promote or suppress a token: how often, of all positions where they are stored.
SELECT component, layer, "index", sign, token, n, n_all, n_prompts, score
FROM {promoted}
WHERE contains(lower(token), lower($q))
ORDER BY lower(trim(token)) = lower(trim($q)) DESC, n / n_all DESC
LIMIT 60
