-- Its place among the components of its sort, by mean share over all prompts.
SELECT place, n_components FROM (
  SELECT layer, expert, "index", rank() OVER (ORDER BY mean_share DESC) AS place, count(*) OVER () AS n_components
  FROM {importance} WHERE component = $component AND "group" IS NULL)
WHERE layer = $layer AND expert = $expert AND "index" = $index
