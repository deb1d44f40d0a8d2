-- Direct effects of every component on the logits of one target's answer and foil.
SELECT layer, component, "index", effect_answer, effect_foil
FROM {logit_effects}
WHERE prompt_id = $id AND target = $target
ORDER BY layer, component, "index"
