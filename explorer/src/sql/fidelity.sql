-- Over the nodes of routes: the share that the floor dropped, and the share that a bias would have taken.
SELECT measure, layer, point, n, mean, q05, q50, q95, most FROM {fidelity} ORDER BY measure, layer, point
