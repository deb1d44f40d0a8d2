-- What the model wrote after one prompt: how many tokens were given, its text, whether it came to an end.
SELECT n_given, text, ended
FROM {generated}
WHERE prompt_id = $id
