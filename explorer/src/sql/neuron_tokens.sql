-- The static token scores of one neuron; times a `write_scale` they are what it writes.
SELECT n.sign, n.rank, n.token_id, t.token, coalesce(t.special, FALSE) AS special, n.score
FROM {neuron_tokens} AS n
LEFT JOIN {vocab} AS t USING (token_id)
WHERE n.layer = $layer AND n.expert = $expert AND n.neuron = $neuron
ORDER BY n.sign DESC, n.rank
