-- The top tokens of one node, with the final norm or (raw) without.
SELECT l.rank, l.token_id, t.token, coalesce(t.special, FALSE) AS special, l.logit, l.prob, l.prev_rank
FROM {lens} AS l
LEFT JOIN {tokens} AS t USING (token_id)
WHERE l.prompt_id = $id AND l.layer = $layer AND l.point = $point AND l.pos = $pos AND l.raw = $raw
ORDER BY l.rank
