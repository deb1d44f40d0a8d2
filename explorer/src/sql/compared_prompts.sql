-- A prompt in two runs: how far its components' shares moved, which moved most, and what was predicted.
SELECT prompt_a, prompt_b, pairs."group", left(text, 200) AS text, distance, answer_prob_a, answer_prob_b,
    answer_prob_b - answer_prob_a AS change, answer_rank_a, answer_rank_b, predicted_a, predicted_b,
    n_edges_a, n_edges_b, n_edges_both, largest
FROM {compared} AS pairs JOIN {prompts} AS listed ON listed.prompt_id = pairs.prompt_a
LEFT JOIN (
    SELECT prompt_a AS id, string_agg(
        'L' || layer || CASE component WHEN 'head' THEN 'H' || "index" ELSE ' MLP' END || printf(' %+.2g', difference), ', ' ORDER BY place
    ) AS largest
    FROM {largest} WHERE place <= 3 GROUP BY prompt_a
) AS most ON most.id = pairs.prompt_a
ORDER BY distance DESC NULLS LAST, prompt_a
