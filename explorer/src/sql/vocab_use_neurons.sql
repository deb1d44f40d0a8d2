-- How often stored neurons are on routes, and where their share is largest.
SELECT layer, expert, neuron AS "index", n, n_prompts, share, top_prompt AS prompt_id, top_pos AS dst, top_pos AS src
FROM {activations} WHERE list_contains($layers, layer)
