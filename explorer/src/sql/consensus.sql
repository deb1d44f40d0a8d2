-- How many prompts of a template hold each edge.
SELECT layer, kind, dst, src, head, n_holding, frequency, share FROM {consensus}
WHERE template = $template AND frequency >= $least
ORDER BY kind IN ('resid_attn', 'resid_mlp'), frequency DESC, share DESC, layer, kind, dst, src, head
