-- Tokens that one component promotes and suppresses at a position.
SELECT w.sign, w.rank, w.token_id, t.token, coalesce(t.special, FALSE) AS special, w.score
FROM {writes} AS w
LEFT JOIN {tokens} AS t USING (token_id)
WHERE w.prompt_id = $id AND w.layer = $layer AND w.component = $component AND w."index" = $index AND w.pos = $pos
ORDER BY w.sign DESC, w.rank
