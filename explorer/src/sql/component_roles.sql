-- Does the head read from where a role says? Its score beside what chance would give, by contribution and by attention.
SELECT role, contribution, contribution_low, contribution_high, contribution_chance,
  attention, attention_low, attention_high, attention_chance, n_edges, n_role, n_all
FROM {roles}
WHERE layer = $layer AND head = $index AND source = $source AND "group" IS NULL
