-- What components carry in a group of prompts, and how often they are on a route above a threshold.
SELECT component, layer, expert, "index", i.n, n_stored,
  mean_share, mean_share_low, mean_share_high, target_share, target_share_low, target_share_high,
  effect, effect_low, effect_high, n_effect, effect_gap, effect_gap_low, effect_gap_high, n_gap,
  n_active, frequency, frequency_low, frequency_high, share_when_active, share_when_active_low, share_when_active_high
FROM {importance} i JOIN {activity} a USING (component, layer, expert, "index")
WHERE (component = 'neuron') = $neurons AND tau = CAST($tau AS FLOAT)
  AND i."group" IS NOT DISTINCT FROM $group AND a."group" IS NOT DISTINCT FROM $group
ORDER BY component, layer, expert, "index"
