-- The top tokens of every node of one column.
SELECT l.layer, l.point, l.rank, l.token_id, t.token, coalesce(t.special, FALSE) AS special, l.logit, l.prob
FROM {lens} AS l
LEFT JOIN {tokens} AS t USING (token_id)
WHERE l.prompt_id = $id AND l.pos = $pos AND NOT l.raw AND l.rank <= $limit
ORDER BY l.layer, l.point, l.rank
