-- The other prompts of a contrast pair.
SELECT prompt_id, role FROM {prompts} WHERE pair_id = $pair_id AND prompt_id <> $id ORDER BY prompt_id LIMIT 6
