-- Prompts that align token by token, most prompts first.
SELECT template, "group", n_prompts, n_tokens, example_id, tokens FROM {templates} ORDER BY template
