-- Each head's stored edges into one node, strongest first.
SELECT layer, head, src, share, attention
FROM {edges}
WHERE prompt_id = $id AND layer = $layer AND dst = $pos AND kind = 'attn' AND head >= 0
ORDER BY share DESC
