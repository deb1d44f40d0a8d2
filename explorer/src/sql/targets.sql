-- The explained positions of one prompt, with the texts of the tokens they mention.
SELECT t.target, t.predicted_id, t.predicted_prob, p.token AS predicted, t.answer_id, t.answer_from, t.answer_prob,
       t.answer_rank, a.token AS answer, t.foil_id, t.foil_prob, t.foil_rank, f.token AS foil, t.logsumexp
FROM {targets} AS t
LEFT JOIN {tokens} AS p ON p.token_id = t.predicted_id
LEFT JOIN {tokens} AS a ON a.token_id = t.answer_id
LEFT JOIN {tokens} AS f ON f.token_id = t.foil_id
WHERE t.prompt_id = $id
ORDER BY t.target
