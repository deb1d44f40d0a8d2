-- Components that are active in one group and hardly elsewhere, those that differ most first.
SELECT a, component, layer, expert, "index", difference, q, tau, frequency_a, frequency_b
FROM {contrasts}
WHERE contrast = 'rest' AND specific AND measure = $measure AND (component = 'neuron') = $neurons
ORDER BY a, difference DESC
