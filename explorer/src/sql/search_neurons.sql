-- Neurons whose direction promotes or suppresses a token, by their weights alone.
SELECT layer, expert, neuron, sign, rank, token, score
FROM {neuron_tokens} AS n JOIN {vocab} AS t USING (token_id)
WHERE contains(lower(token), lower($q))
ORDER BY lower(trim(token)) = lower(trim($q)) DESC, abs(score) DESC
LIMIT 60
