-- Heads, MLPs and residuals of one prompt: shares without any threshold, and how long they stay on a route.
SELECT layer, component, "index", mean_share, target_share, route_tau
FROM {components}
WHERE prompt_id = $id
ORDER BY target_share DESC, mean_share DESC, layer, "index"
