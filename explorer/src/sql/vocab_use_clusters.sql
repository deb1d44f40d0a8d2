-- How often the neurons of each cluster are on routes: how many of them at all, and at how many positions of prompts in total.
SELECT cluster, count(*) AS n_used, sum(a.n) AS n_places
FROM {neurons} AS m JOIN {activations} AS a USING (layer, expert, neuron)
GROUP BY cluster
