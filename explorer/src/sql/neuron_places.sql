-- Where in one prompt a neuron is stored.
SELECT pos, share, activation, write_scale
FROM {neurons}
WHERE prompt_id = $id AND layer = $layer AND expert = $expert AND neuron = $neuron
ORDER BY pos
