-- Do two thresholds rank the components of a sort alike? Spearman's correlation of their rankings by frequency.
SELECT tau_a, tau_b, n_components, rank_correlation
FROM {stability}
WHERE component = $component AND "group" IS NOT DISTINCT FROM $group
ORDER BY tau_a, tau_b
