-- How often stored neurons are on routes, and where their share is largest.
SELECT layer, expert, neuron AS "index", n, n_prompts, share, prompt_id, pos
FROM {activations} WHERE list_contains($layers, layer)
