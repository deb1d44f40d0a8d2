-- Where a prompt stands in a page of the list, and its neighbours there.
SELECT count(*) AS n, min(prompt_id) AS first_id, max(prompt_id) AS last_id,
       count(*) FILTER (WHERE prompt_id < $id) AS before,
       max(prompt_id) FILTER (WHERE prompt_id < $id) AS previous,
       min(prompt_id) FILTER (WHERE prompt_id > $id) AS next,
       coalesce(bool_or(prompt_id = $id), FALSE) AS found
FROM {prompts}
