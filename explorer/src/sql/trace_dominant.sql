-- The neurons that write most at one target, with the token that each promotes most here: a negative scale turns the signs.
SELECT d.layer, d.expert, d.neuron, d.strength, d.share, d.activation, d.write_scale, n.token_id, t.token,
       coalesce(t.special, FALSE) AS special, n.score * d.write_scale AS score
FROM {dominant_neurons} AS d
LEFT JOIN {neuron_tokens} AS n
  ON n.layer = d.layer AND n.expert = d.expert AND n.neuron = d.neuron AND n.rank = 1
 AND n.sign = CASE WHEN d.write_scale < 0 THEN -1 ELSE 1 END
LEFT JOIN {vocab} AS t ON t.token_id = n.token_id
WHERE d.prompt_id = $id AND d.target = $pos AND d."rank" <= $limit
ORDER BY d.layer, d."rank"
