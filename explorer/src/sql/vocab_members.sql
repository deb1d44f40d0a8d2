-- The neurons of a cluster, those nearest to its mean first.
SELECT layer, expert, neuron AS "index", norm, cosine FROM {neurons} WHERE cluster = $cluster
ORDER BY cosine DESC, layer, expert, neuron
