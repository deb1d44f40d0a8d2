/**
 * Prepared queries: each answers a question that readers have, and shows a turn of SQL that they can use for their own.
 *
 * @typedef {{ title: string, teaches: string, sql: string }} Example
 */

/** @param {number} id of a prompt that is there @returns {Example[]} */
export const examplesFor = (id) => [
  {
    title: 'Which heads carry most?',
    teaches: 'The statistics are tables too. A null group is all prompts; _low and _high are 95% intervals, drawn in the chart.',
    sql: `SELECT component, layer, "index", mean_share, mean_share_low, mean_share_high, n
FROM stats.importance
WHERE "group" IS NULL AND component IN ('head', 'mlp')
ORDER BY mean_share DESC
LIMIT 20`,
  },
  {
    title: 'Which heads are specific to a group?',
    teaches: 'A contrast of a group with all other prompts. q is corrected for the number of components tested.',
    sql: `SELECT a AS "group", component, layer, "index", difference, difference_low, difference_high, standardised, q
FROM stats.contrasts
WHERE contrast = 'rest' AND measure = 'mean_share' AND component IN ('head', 'mlp') AND q <= 0.05
ORDER BY difference DESC
LIMIT 25`,
  },
  {
    title: 'Is the model right, group by group?',
    teaches: 'Two tables joined by prompt_id. targets[-1] is the last of a list: the position explained last.',
    sql: `SELECT prompts."group", count(*) AS n, avg((answer_rank = 1)::INTEGER) AS accuracy, avg(answer_prob) AS mean_prob
FROM prompts JOIN targets USING (prompt_id)
WHERE target = prompts.targets[-1]
GROUP BY prompts."group"
ORDER BY accuracy DESC, n DESC`,
  },
  {
    title: 'The strongest edges of one prompt',
    teaches: 'With prompt_id = ... only the files of that prompt are fetched. Lists count from 1, positions from 0.',
    sql: `SELECT layer, kind, tokens[src + 1] AS source, tokens[dst + 1] AS target, src, dst, share
FROM edges JOIN prompts USING (prompt_id)
WHERE prompt_id = ${id} AND head = -1 AND kind IN ('attn', 'mlp')
ORDER BY share DESC
LIMIT 20`,
  },
  {
    title: 'From which token to which does a head move?',
    teaches: 'GROUP BY the texts of two positions; head >= 0 are single heads, head = -1 sums them all.',
    sql: `SELECT layer, head, tokens[src + 1] AS source, tokens[dst + 1] AS target, count(*) AS edges, avg(share) AS mean_share
FROM edges JOIN prompts USING (prompt_id)
WHERE prompt_id BETWEEN ${id} AND ${id + 99} AND kind = 'attn' AND head >= 0 AND src < dst
GROUP BY ALL
HAVING count(*) >= 3
ORDER BY mean_share DESC
LIMIT 25`,
  },
  {
    title: 'Does attention tell what contributes?',
    teaches: 'Two measures of the same edge: a share of the sum against an attention weight. Drawn as points.',
    sql: `SELECT layer, head, src, dst, attention, share
FROM edges
WHERE prompt_id BETWEEN ${id} AND ${id + 19} AND head >= 0
LIMIT 5000`,
  },
  {
    title: 'Through which layers does the answer appear?',
    teaches: 'Nodes of the targets’ own column hold the answer’s rank at every layer. One row a layer makes a line.',
    sql: `SELECT layer, avg((answer_rank = 1)::INTEGER) AS answer_first, avg(entropy) AS entropy
FROM nodes
WHERE point = 'post' AND answer_rank IS NOT NULL
GROUP BY layer
ORDER BY layer`,
  },
  {
    title: 'Heads that look for induction',
    teaches: 'A score means something where it is far above its chance and many edges stand behind it.',
    sql: `SELECT layer, head, contribution, contribution_low, contribution_high, contribution_chance, n_edges
FROM stats.roles
WHERE role = 'induction' AND source = 'edges' AND "group" IS NULL
ORDER BY contribution - contribution_chance DESC
LIMIT 16`,
  },
  {
    title: 'Which heads write the answer?',
    teaches: 'Direct effects on the answer’s logit, averaged; FILTER counts only some rows.',
    sql: `SELECT component, layer, "index", avg(effect_answer) AS effect, avg(effect_foil) AS effect_on_foil, count(*) FILTER (WHERE effect_answer > 1) AS above_1
FROM logit_effects
WHERE component IN ('head', 'mlp')
GROUP BY ALL
ORDER BY effect DESC`,
  },
  {
    title: 'What do a layer’s neurons promote?',
    teaches: 'Tokens of neurons are the model’s own, in the schema model; string_agg puts several into a cell.',
    sql: `SELECT layer, neuron, string_agg(token, ' ' ORDER BY rank) AS promoted, max(score) AS score
FROM model.neuron_tokens JOIN model.vocab USING (token_id)
WHERE sign = 1 AND rank <= 5 AND layer = 0
GROUP BY layer, neuron
ORDER BY score DESC
LIMIT 30`,
  },
  {
    title: 'What can be asked?',
    teaches: 'DESCRIBE shows a table’s columns; SUMMARIZE their ranges. The list of tables beside this says what each means.',
    sql: 'SUMMARIZE components',
  },
];
