-- What each stored head promotes most at one position.
SELECT w."index" AS head, t.token, w.score
FROM {writes} AS w
LEFT JOIN {tokens} AS t USING (token_id)
WHERE w.prompt_id = $id AND w.layer = $layer AND w.pos = $pos AND w.component = 'head' AND w.sign = 1 AND w.rank = 1
ORDER BY head
