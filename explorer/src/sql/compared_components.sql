-- A component in two runs of the same prompts: differences are the second run less the first, prompt by prompt.
SELECT component, layer, expert, "index", n, mean_a, mean_b, difference, difference_low, difference_high, standardised, correlation, p, q
FROM {components}
WHERE measure = $measure AND "group" IS NOT DISTINCT FROM $group AND (component = 'neuron') = $neurons
ORDER BY component, layer, expert, "index"
