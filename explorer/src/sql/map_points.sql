-- The map of prompts, those that it was fitted to first; each with its group and the beginning of its text, where those are few enough to fetch.
SELECT prompt_id, x, y, cluster, placed, "group", {text} AS text
FROM {prompt_map} AS places LEFT JOIN {prompts} AS listed USING (prompt_id)
ORDER BY placed, prompt_id
LIMIT $most
