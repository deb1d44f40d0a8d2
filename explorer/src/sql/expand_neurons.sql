-- The stored neurons of one MLP at one position, each with the token it promotes most there: a negative scale turns a
-- suppressed token into a promoted one.
SELECT n.expert, n.neuron, n.share, n.activation, v.token, t.score * n.write_scale AS score
FROM {neurons} AS n
LEFT JOIN {neuron_tokens} AS t
  ON t.layer = n.layer AND t.expert = n.expert AND t.neuron = n.neuron AND t.rank = 1
  AND t.sign = CASE WHEN n.write_scale < 0 THEN -1 ELSE 1 END
LEFT JOIN {vocab} AS v ON v.token_id = t.token_id
WHERE n.prompt_id = $id AND n.layer = $layer AND n.pos = $pos
ORDER BY n.share DESC, n.expert, n.neuron
