-- Rank and probability of the answer (and the foil) at every node of a target's own column.
SELECT layer, point, answer_rank, exp(answer_logit - logsumexp) AS answer_prob, foil_rank, exp(foil_logit - logsumexp) AS foil_prob
FROM {nodes}
WHERE prompt_id = $id AND pos = $pos
ORDER BY layer, point
