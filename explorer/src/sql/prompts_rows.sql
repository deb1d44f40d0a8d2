-- Rows of the list of prompts by their ids.
SELECT prompt_id, source_id, left(text, 600) AS text, "group", pair_id, role, n_tokens, predicted, predicted_prob,
       answer, answer_prob, answer_rank
FROM {prompts}
WHERE prompt_id IN (SELECT unnest($ids))
