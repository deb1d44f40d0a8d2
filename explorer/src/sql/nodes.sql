-- The stored residual nodes of one prompt.
SELECT layer, point, pos, stored_share, bias_share, norm, entropy, logsumexp, answer_rank, answer_logit, foil_rank,
       foil_logit
FROM {nodes}
WHERE prompt_id = $id
