-- One prompt with its token lists.
SELECT prompt_id, source_id, text, "group", pair_id, role, n_tokens, token_ids, tokens, targets, answer_text, foil_text
FROM {prompts}
WHERE prompt_id = $id
