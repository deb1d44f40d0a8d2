-- The accepted answers of one prompt that has several, in the dataset's order.
SELECT number, text, prob, rank, explained
FROM {answers}
WHERE prompt_id = $id
ORDER BY number
