-- Where it carried most, evenly spread ones, and some at random.
SELECT choice, place, n_prompts, prompt_id, dst, src, share
FROM {examples}
WHERE component = $component AND layer = $layer AND expert = $expert AND "index" = $index AND choice = $choice
ORDER BY place
