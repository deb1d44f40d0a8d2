-- How much of the answer a set of heads and MLPs holds: kept alone, and removed alone; the route's set and its rivals.
SELECT mode, chosen, tau, n, n_heads, n_mlps, value, value_low, value_high, part, part_low, part_high,
  advantage, advantage_low, advantage_high, p, q
FROM {curves}
WHERE measure = $measure AND "group" IS NOT DISTINCT FROM $group
ORDER BY mode, chosen, tau
