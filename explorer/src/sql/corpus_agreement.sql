-- Do shares rank heads and MLPs as their removal does? Over the components of the corpus, and within prompts.
SELECT n_components, rank_correlation, rank_correlation_low, rank_correlation_high, n, within, within_low, within_high
FROM {agreement}
WHERE removal = $removal AND measure = $share AND side = $side AND "group" IS NOT DISTINCT FROM $group
