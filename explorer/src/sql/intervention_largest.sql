-- The prompts of a group in which a measure changes most.
SELECT place, prompt_id, change, predicted_before, predicted_after
FROM {largest}
WHERE "group" IS NOT DISTINCT FROM $group AND measure = $measure
ORDER BY place
