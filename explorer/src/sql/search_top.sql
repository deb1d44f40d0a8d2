-- The components of a sort that carry most over all prompts.
SELECT component, layer, expert, "index", mean_share
FROM {importance} WHERE component = $component AND "group" IS NULL
ORDER BY mean_share DESC, layer, expert, "index" LIMIT 24
