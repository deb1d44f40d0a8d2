-- How the neuron is active where it is stored: `positive` is the part of these positions with an activation above 0.
SELECT n, n_prompts, positive, activation, activation_least, activation_most, share, top_prompt AS prompt_id, top_pos AS dst, top_pos AS src
FROM {activations}
WHERE layer = $layer AND expert = $expert AND neuron = $index
