-- How often heads are on routes over all prompts, and at which edge their share is largest.
SELECT layer, -1 AS expert, "index", n_stored AS n_prompts, n AS n_all, mean_share AS share, prompt_id, dst, src
FROM {importance} AS i
LEFT JOIN (SELECT layer, "index", prompt_id, dst, src FROM {examples} WHERE component = 'head' AND choice = 'top' AND place = 1)
  USING (layer, "index")
WHERE component = 'head' AND "group" IS NULL
