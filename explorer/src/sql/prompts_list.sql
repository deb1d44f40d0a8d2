-- One page of the list of prompts. {sort} is one of a fixed set of expressions.
SELECT prompt_id, source_id, left(text, 600) AS text, "group", pair_id, role, n_tokens, predicted, predicted_prob,
       answer, answer_prob, answer_rank
FROM {prompts}
WHERE ($q = '' OR contains(lower(text), lower($q)) OR contains(lower(source_id), lower($q)))
  AND ($any_group OR coalesce("group", '') = $group)
ORDER BY {sort}, prompt_id
LIMIT $limit OFFSET $offset
