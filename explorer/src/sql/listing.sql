-- One page of the list of prompts without their texts, and how many match. {sort} is one of a fixed set of expressions.
SELECT prompt_id, count(*) OVER () AS total
FROM {listing}
WHERE $any_group OR coalesce("group", '') = $group
ORDER BY {sort}, prompt_id
LIMIT $limit OFFSET $offset
