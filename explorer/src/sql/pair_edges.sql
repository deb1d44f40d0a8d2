-- The edges of two prompts side by side, largest difference first. One that only one of them stores is under the floor in the other.
SELECT layer, kind, dst, src, max(share) FILTER (prompt_id = $id) AS here, max(share) FILTER (prompt_id = $other) AS there,
    coalesce(max(share) FILTER (prompt_id = $id), 0) - coalesce(max(share) FILTER (prompt_id = $other), 0) AS difference
FROM {edges}
WHERE prompt_id IN ($id, $other) AND head = -1
GROUP BY layer, kind, dst, src
ORDER BY abs(difference) DESC, layer, kind, dst, src
LIMIT 500
