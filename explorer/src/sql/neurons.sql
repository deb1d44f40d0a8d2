-- The stored neurons of one MLP at one position, largest share first.
SELECT expert, neuron, share, activation, write_scale
FROM {neurons}
WHERE prompt_id = $id AND layer = $layer AND pos = $pos
ORDER BY share DESC, expert, neuron
