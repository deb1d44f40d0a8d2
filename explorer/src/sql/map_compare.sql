-- A group of the map (what a lasso holds, and whole clusters) against all other prompts, component by component.
WITH sides AS (
    SELECT unnest($xs::DOUBLE[]) AS x1, unnest($ys::DOUBLE[]) AS y1, unnest($next_xs::DOUBLE[]) AS x2, unnest($next_ys::DOUBLE[]) AS y2
), lassoed AS (
    SELECT prompt_id FROM {prompt_map}, sides
    WHERE (y1 > y) <> (y2 > y) AND x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
    GROUP BY prompt_id HAVING count(*) % 2 = 1
), chosen AS (
    SELECT prompt_id FROM {prompt_map}
    WHERE list_contains($clusters::INTEGER[], cluster) OR prompt_id IN (SELECT prompt_id FROM lassoed)
), shares AS (
    SELECT prompt_id IN (SELECT prompt_id FROM chosen) AS inside, unnest(mean_share) AS share,
        generate_subscripts(mean_share, 1) - 1 AS place
    FROM {prompt_vectors}
), means AS (
    SELECT place, count(*) FILTER (inside) AS n_in, count(*) FILTER (NOT inside) AS n_out,
        avg(share) FILTER (inside) AS mean_in, avg(share) FILTER (NOT inside) AS mean_out,
        var_samp(share) FILTER (inside) AS var_in, var_samp(share) FILTER (NOT inside) AS var_out
    FROM shares GROUP BY place
)
SELECT CASE WHEN place < $heads * $layers THEN 'head' ELSE 'mlp' END AS component,
    CASE WHEN place < $heads * $layers THEN place // $heads ELSE place - $heads * $layers END AS layer,
    CASE WHEN place < $heads * $layers THEN place % $heads ELSE 0 END AS "index",
    mean_in, mean_out, mean_in - mean_out AS difference,
    (mean_in - mean_out) / nullif(sqrt(((n_in - 1) * var_in + (n_out - 1) * var_out) / nullif(n_in + n_out - 2, 0)), 0) AS standardised,
    n_in, n_out
FROM means ORDER BY abs(mean_in - mean_out) DESC, place
