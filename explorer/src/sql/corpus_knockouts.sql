-- What the removal of heads and MLPs does to the answers of a group of prompts, beside what they carry.
SELECT component, layer, expert, "index", n, effect, effect_low, effect_high, size, size_low, size_high,
  effect_logprob, effect_logprob_low, effect_logprob_high, effect_gap, effect_gap_low, effect_gap_high, n_gap,
  mean_share, target_share, route_tau, direct, direct_size
FROM {knockouts}
WHERE removal = $removal AND "group" IS NOT DISTINCT FROM $group
ORDER BY size DESC, layer, component, "index"
