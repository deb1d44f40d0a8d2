-- Tokens that it promotes and suppresses most often, over all positions where it is stored.
SELECT sign, place, token_id, token, n, n_prompts, n_all, score
FROM {promoted}
WHERE component = $component AND layer = $layer AND "index" = $index
ORDER BY sign DESC, place
