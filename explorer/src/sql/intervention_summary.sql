-- What an intervention changes in each group of prompts, by measure; the group NULL is all prompts.
SELECT "group", measure, n, before, after, change, change_low, change_high
FROM {summary}
WHERE intervention = $intervention
ORDER BY "group" NULLS FIRST, measure
