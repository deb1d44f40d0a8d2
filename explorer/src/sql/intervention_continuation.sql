-- What is written after a prompt, before and after an intervention.
SELECT text_before, text_after, n_same FROM {continuations} WHERE prompt_id = $id AND intervention = $intervention
