-- The singular directions of a head's OV circuit, the strongest first, with the tokens at both ends of each.
SELECT direction, singular_value, part, copying,
       list(token ORDER BY "rank") FILTER (WHERE side = 'reads' AND sign = 1 AND "rank" <= 5) AS reads,
       list(token ORDER BY "rank") FILTER (WHERE side = 'reads' AND sign = -1 AND "rank" <= 5) AS reads_against,
       list(token ORDER BY "rank") FILTER (WHERE side = 'writes' AND sign = 1 AND "rank" <= 5) AS writes,
       list(token ORDER BY "rank") FILTER (WHERE side = 'writes' AND sign = -1 AND "rank" <= 5) AS writes_against
FROM {heads} AS h JOIN {head_tokens} AS t USING (layer, head, direction)
WHERE layer = $layer AND head = $head
GROUP BY direction, singular_value, part, copying
ORDER BY direction
