-- The target's column of the residual stream, node by node, on both sides: the answer in the lens, and the lens's top token.
SELECT
  b.layer, b.point, b.answer_prob AS prob_before, a.answer_prob AS prob_after,
  b.answer_rank AS rank_before, a.answer_rank AS rank_after, tb.token AS top_before, ta.token AS top_after
FROM {course} AS b
JOIN {course} AS a USING (prompt_id, layer, point)
JOIN {lens} AS tb ON tb.prompt_id = b.prompt_id AND tb.layer = b.layer AND tb.point = b.point AND tb.side = 'before' AND tb.rank = 1
JOIN {lens} AS ta ON ta.prompt_id = b.prompt_id AND ta.layer = b.layer AND ta.point = b.point AND ta.side = 'after' AND ta.rank = 1
WHERE b.prompt_id = $id AND b.side = 'before' AND a.side = 'after'
ORDER BY b.layer DESC, b.point = 'mid'
