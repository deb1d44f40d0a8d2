-- Why a prompt was not processed.
SELECT reason, detail FROM {rejects} WHERE prompt_id = $id
