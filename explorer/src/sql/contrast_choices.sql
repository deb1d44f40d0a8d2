-- What can be compared: groups with the rest, groups with one another, roles of pairs.
SELECT DISTINCT contrast, a, b, "group", n_a, n_b
FROM {contrasts} WHERE component = 'head' AND measure = 'mean_share'
ORDER BY contrast, a, b NULLS FIRST, "group" NULLS FIRST
