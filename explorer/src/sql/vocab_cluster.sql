-- One cluster of neurons.
SELECT cluster, n, layer_least, layer_most, cosine FROM {clusters} WHERE cluster = $cluster
