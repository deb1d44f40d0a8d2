-- What removing each head and MLP does to the answer of a prompt's last target, beside its shares.
SELECT k.target, k.layer, k.component, k."index", k.route_tau, c.mean_share, c.target_share,
  effect_answer, effect_foil, effect_logprob, divergence, answer_rank
FROM {knockouts} k JOIN {components} c
  ON c.prompt_id = k.prompt_id AND c.layer = k.layer AND c.component = k.component AND c."index" = k."index"
WHERE k.prompt_id = $id AND removal = $removal
ORDER BY abs(effect_answer) DESC, k.layer, k.component, k."index"
