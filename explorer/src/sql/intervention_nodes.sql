-- The target's column of the residual stream, node by node, on both sides: answer and foil in the lens, and the lens's top token.
SELECT
  layer, point, b.answer_prob AS prob_before, a.answer_prob AS prob_after, b.answer_rank AS rank_before, a.answer_rank AS rank_after,
  b.foil_prob AS foil_before, a.foil_prob AS foil_after, b.entropy AS entropy_before, a.entropy AS entropy_after,
  tb.token AS top_before, ta.token AS top_after
FROM {course} AS b
JOIN {course} AS a USING (prompt_id, intervention, layer, point)
JOIN {lens} AS tb USING (prompt_id, intervention, layer, point)
JOIN {lens} AS ta USING (prompt_id, intervention, layer, point)
WHERE prompt_id = $id AND intervention = $intervention AND b.side = 'before' AND a.side = 'after'
  AND tb.side = 'before' AND tb.rank = 1 AND ta.side = 'after' AND ta.rank = 1
ORDER BY layer DESC, point = 'mid'
