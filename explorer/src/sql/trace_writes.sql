-- What the blocks and stored heads of one column promote most.
SELECT w.layer, w.component, w."index", w.token_id, t.token, coalesce(t.special, FALSE) AS special, w.score
FROM {writes} AS w
LEFT JOIN {tokens} AS t USING (token_id)
WHERE w.prompt_id = $id AND w.pos = $pos AND w.sign = 1 AND w.rank = 1
ORDER BY w.layer, w.component, w."index"
