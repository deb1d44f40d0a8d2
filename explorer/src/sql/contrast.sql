-- Is there a difference between two sets of prompts? One row a component: effect, interval, p, and q (Benjamini-Hochberg).
SELECT component, layer, expert, "index", n_a, n_b, mean_a, mean_b, difference, difference_low, difference_high,
  standardised, p, q, tau, frequency_a, frequency_b, specific
FROM {contrasts}
WHERE contrast = $by AND a = $a AND b IS NOT DISTINCT FROM $b AND "group" IS NOT DISTINCT FROM $group
  AND measure = $measure AND (component = 'neuron') = $neurons
ORDER BY q NULLS LAST, abs(difference) DESC
