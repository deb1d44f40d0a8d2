-- Clusters of neurons, the largest first, with the tokens that most of their neurons promote and suppress.
SELECT cluster, n, layer_least, layer_most, cosine, promoted, suppressed FROM {clusters} ORDER BY cluster
