-- The other prompts of a contrast pair.
SELECT other_id AS prompt_id, role FROM {partners} WHERE prompt_id = $id ORDER BY other_id
