-- One prompt before and after an intervention.
SELECT
  target, n_edits, predicted_before, predicted_prob_before, predicted_after, predicted_prob_after,
  answer, answer_from, answer_rank_before, answer_rank_after, answer_logit_before, answer_logit_after,
  answer_logprob_before, answer_logprob_after,
  foil, foil_rank_before, foil_rank_after, foil_logit_before, foil_logit_after, foil_logprob_before, foil_logprob_after, kl
FROM {predictions}
WHERE prompt_id = $id AND intervention = $intervention
