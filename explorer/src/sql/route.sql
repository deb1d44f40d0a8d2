-- The stored edges of one prompt above the threshold. The figure keeps those that are reached from its target: walk down
-- from it along these edges, or read off nodes.reach_summed (reach_per_head), the largest threshold at which a node is still reached.
SELECT layer, kind, dst, src, head, share, attention
FROM {edges}
WHERE prompt_id = $id AND share > $tau
ORDER BY layer DESC, dst, share DESC
