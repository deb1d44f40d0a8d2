-- The list of prompts as the tables of a run have it: what is searched and filtered, with the outcome at the last target.
SELECT prompt_id, source_id, given."group", text, n_tokens, predicted_prob, answer_prob, answer_rank
FROM {prompts} AS given JOIN {targets} AS outcome USING (prompt_id)
WHERE target = given.targets[-1] AND ($any_group OR coalesce(given."group", '') = $group) AND contains(lower(text), lower($q))
ORDER BY prompt_id
