-- The prompts of a group in which a measure changes most.
SELECT place, prompt_id, "text", answer, change, predicted_before, predicted_after
FROM {largest}
WHERE intervention = $intervention AND "group" IS NOT DISTINCT FROM $group AND measure = $measure
ORDER BY place
