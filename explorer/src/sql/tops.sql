-- The first token of every stored node's lens, for previews.
SELECT l.layer, l.point, l.pos, t.token, l.token_id, l.prob
FROM {lens} AS l
LEFT JOIN {tokens} AS t USING (token_id)
WHERE l.prompt_id = $id AND l.rank = 1 AND NOT l.raw
