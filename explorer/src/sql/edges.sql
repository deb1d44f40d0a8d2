-- The stored edges of one prompt; the kind as a number, because thousands of short strings are slow to decode.
SELECT layer, CASE kind WHEN 'attn' THEN 0 WHEN 'resid_attn' THEN 1 WHEN 'mlp' THEN 2 ELSE 3 END AS kind, dst, src,
       head, share, attention
FROM {edges}
WHERE prompt_id = $id
