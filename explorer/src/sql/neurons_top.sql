-- The neurons with the largest shares anywhere in one prompt.
SELECT layer, pos, expert, neuron, share, activation, write_scale
FROM {neurons}
WHERE prompt_id = $id
ORDER BY share DESC, layer, pos, expert, neuron
LIMIT $limit
