-- The stored cells of one head's maps.
SELECT dst, src, share, attention
FROM {maps}
WHERE prompt_id = $id AND layer = $layer AND head = $head
ORDER BY dst, src
