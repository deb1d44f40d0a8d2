-- The neurons that write most at one target, the largest |activation| x |value vector| first; of one layer, or (-1) of all.
SELECT layer, target AS pos, expert, neuron, strength, share, activation, write_scale
FROM {dominant_neurons}
WHERE prompt_id = $id AND target = $pos AND ($layer < 0 OR layer = $layer)
ORDER BY strength DESC, layer, "rank"
LIMIT $limit
