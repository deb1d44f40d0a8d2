-- The prompts that were not processed, and why.
SELECT prompt_id, source_id, reason, detail FROM {rejects} ORDER BY prompt_id LIMIT 500
