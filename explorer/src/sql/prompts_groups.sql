-- How many prompts match the search, by group.
SELECT coalesce("group", '') AS "group", count(*) AS n
FROM {prompts}
WHERE $q = '' OR contains(lower(text), lower($q)) OR contains(lower(source_id), lower($q))
GROUP BY ALL
ORDER BY "group"
