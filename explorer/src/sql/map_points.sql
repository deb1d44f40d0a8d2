-- The map of prompts, each with its group and the beginning of its text.
SELECT prompt_id, x, y, cluster, placed, "group", left(text, 240) AS text
FROM {prompt_map} AS places JOIN {prompts} AS listed USING (prompt_id)
ORDER BY prompt_id
