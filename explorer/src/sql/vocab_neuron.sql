-- The length of a neuron's value vector, its cluster, and how near it lies to the cluster's mean.
SELECT norm, cluster, cosine FROM {neurons} WHERE layer = $layer AND expert = $expert AND neuron = $neuron
