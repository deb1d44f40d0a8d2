-- The static token scores of one neuron; times a `write_scale` they are what it writes.
SELECT sign, "rank", token_id, token, score
FROM {neuron_tokens}
WHERE layer = $layer AND expert = $expert AND neuron = $neuron
ORDER BY sign DESC, "rank"
