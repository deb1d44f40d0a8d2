-- How often heads are on routes, over all prompts.
SELECT layer, -1 AS expert, "index", n_stored AS n_prompts, n AS n_all, mean_share AS share
FROM {importance} WHERE component = 'head' AND "group" IS NULL
