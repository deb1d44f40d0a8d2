-- What a component carries in each group of prompts, and how often it is on a route above a threshold.
SELECT i."group", i.n, n_stored,
  mean_share, mean_share_low, mean_share_high, target_share, target_share_low, target_share_high,
  effect, effect_low, effect_high, n_effect, effect_gap, effect_gap_low, effect_gap_high, n_gap,
  n_active, frequency, frequency_low, frequency_high, share_when_active, share_when_active_low, share_when_active_high
FROM {importance} i JOIN {activity} a USING (component, layer, expert, "index")
WHERE component = $component AND layer = $layer AND expert = $expert AND "index" = $index
  AND tau = CAST($tau AS FLOAT) AND i."group" IS NOT DISTINCT FROM a."group"
ORDER BY i."group" NULLS FIRST
