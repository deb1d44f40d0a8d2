/** The questions of the map, trust, data and comparison pages, and of the prompt page's figures in the console, asked of the shipped engine. */
import { beforeAll, describe, expect, it } from 'vitest';
import { comparedFiles, comparisonOf, differing } from '../src/compared.js';
import { isInside, readLasso, sidesOf, simplified, writeLasso } from '../src/lasso.js';
import { flattened, hashes, runFacts, TOLERANCE } from '../src/trust-words.js';
import { json, sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const tables = (...names) => Object.fromEntries(names.map((name) => [name, [`demo/stats/${name}.parquet`]]));
const run = (name, values, parts) => query(sql(name), values, parts);
const file = (table) => [`golden/${table}/bucket-0.parquet`];

describe('the map', () => {
  const nothing = { xs: [], ys: [], next_xs: [], next_ys: [], clusters: [], heads: 4, layers: 4 };
  const compare = (values) => run('map_compare', { ...nothing, ...values }, tables('prompt_map', 'prompt_vectors'));

  it('map_points: every prompt that has a place, its text where the list holds it', async () => {
    const of = (most) => run('map_points', { most }, { ...tables('prompt_map'), prompts: ['golden/prompts-0.parquet', 'golden/prompts-1.parquet'], text: 'left(text, 240)' });
    const rows = await of(100);
    expect(rows).toHaveLength(40);
    expect(rows.every((row) => Number.isFinite(row.x) && (row.prompt_id > 11 || row.prompt_id === 5 ? row.text === null : row.text.length <= 240))).toBe(true);
    expect(await of(7)).toEqual(rows.slice(0, 7));
  });

  it('map_compare: a cluster, by the vectors themselves', async () => {
    const places = await query('SELECT prompt_id, cluster FROM {prompt_map}', {}, tables('prompt_map'));
    const vectors = await query('SELECT prompt_id, mean_share FROM {prompt_vectors}', {}, tables('prompt_vectors'));
    const inside = new Set(places.filter((row) => row.cluster === 0).map((row) => row.prompt_id));
    const rows = await compare({ clusters: [0] });
    expect(rows).toHaveLength(20);
    expect(rows[0]).toMatchObject({ n_in: inside.size, n_out: 40 - inside.size });
    const mean = (some, place) => some.reduce((sum, { mean_share }) => sum + mean_share[place], 0) / some.length;
    for (const row of rows) {
      const place = row.component === 'head' ? row.layer * 4 + row.index : 16 + row.layer;
      expect(row.mean_in).toBeCloseTo(mean(vectors.filter(({ prompt_id }) => inside.has(prompt_id)), place), 6);
      expect(row.mean_out).toBeCloseTo(mean(vectors.filter(({ prompt_id }) => !inside.has(prompt_id)), place), 6);
    }
    const sizes = rows.map((row) => Math.abs(row.difference));
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
  });

  it('map_compare: a lasso holds the prompts that the page says it holds', async () => {
    const places = await query('SELECT prompt_id, x, y FROM {prompt_map}', {}, tables('prompt_map'));
    const [x, y] = [places[3].x, places[3].y];
    for (const corners of [[[x - 5, y - 5], [x + 5, y - 5], [x + 5, y + 5], [x - 5, y + 5]], [[x - 20, y], [x, y + 30], [x + 20, y], [x, y + 10]]]) {
      const inside = places.filter((row) => isInside(corners, row.x, row.y)).length;
      expect(inside).toBeGreaterThan(0);
      expect((await compare(sidesOf(corners)))[0].n_in).toBe(inside);
    }
    expect((await compare({}))[0]).toMatchObject({ n_in: 0, n_out: 40, mean_in: null, difference: null });
  });

  it('templates and consensus: at least so many hold an edge', async () => {
    const [first] = await run('templates', {}, tables('templates'));
    expect(first.tokens).toHaveLength(first.n_tokens);
    const at = (least) => run('consensus', { template: first.template, least }, tables('consensus'));
    const [quarter, all] = [await at(0.25), await at(1)];
    expect(quarter.length).toBeGreaterThan(all.length);
    expect(all.every((row) => row.n_holding === first.n_prompts)).toBe(true);
  });
});

describe('a lasso', () => {
  it('reads what it writes, and nothing else', () => {
    const corners = [[-1.5, 2], [3, 0.25], [0, -7]];
    expect(readLasso(writeLasso(corners))).toEqual(corners);
    for (const text of ['', '1,2,3,4', '1,2,3,4,5', '1,2,3,4,5,x', `1,2,${'3,'.repeat(90)}4`]) expect(readLasso(text)).toBeNull();
  });

  it('holds by the even-odd rule', () => {
    const square = [[0, 0], [4, 0], [4, 4], [0, 4]];
    expect([isInside(square, 2, 2), isInside(square, 5, 2), isInside(square, -1, 2)]).toEqual([true, false, false]);
  });

  it('keeps its shape with few corners', () => {
    const circle = Array.from({ length: 400 }, (_, i) => [Math.cos(i / 63.66), Math.sin(i / 63.66)]);
    const few = simplified([...circle, circle.at(-1)]);
    expect(few).toHaveLength(40);
    expect(isInside(few, 0.9, 0.3)).toBe(true);
    expect(isInside(few, 0.9, 0.5)).toBe(false);
    expect(readLasso(writeLasso(few))).toHaveLength(40);
  });
});

describe('the dataset and trust', () => {
  it('dataset and histograms: all prompts first, and the same bins for all', async () => {
    const rows = await run('dataset', {}, tables('dataset'));
    expect(rows[0]).toMatchObject({ group: null, n: 40 });
    const of = (group) => run('histograms', { group }, tables('histograms'));
    const [all, one] = [await of(null), await of(rows[1].group)];
    const sum = (bins) => bins.filter(({ quantity }) => quantity === 'n_tokens').reduce((total, { n }) => total + n, 0);
    expect([sum(all), sum(one)]).toEqual([40, rows[1].n]);
    expect(one.map(({ quantity, low }) => [quantity, low])).toEqual(all.map(({ quantity, low }) => [quantity, low]));
  });

  it('fidelity: both measures of every layer', async () => {
    const rows = await run('fidelity', {}, tables('fidelity'));
    expect(new Set(rows.map(({ measure }) => measure))).toEqual(new Set(['dropped_share', 'bias_share']));
    expect(rows.every(({ q05, q50, q95, most }) => q05 <= q50 && q50 <= q95 && q95 <= most)).toBe(true);
  });

  it('rejects: all of them', async () => {
    expect(await run('rejects', {}, { rejects: ['golden/rejects.parquet'] })).toHaveLength(1);
  });

  it('facts and hashes come from the manifest; what is not there is left out', () => {
    const index = { ...json('golden/index.json'), manifest: { ...json('golden/index.json').manifest, weights_hash: 'abc', model: { dtype: 'bfloat16' } } };
    const facts = new Map(runFacts(index).map(([name, value, words]) => [name, [value, words]]));
    expect(facts.get('weights')[0]).toBe('bfloat16');
    expect(facts.get('weights')[1]).toContain('Half precision');
    expect(hashes(index.manifest).map(([name]) => name)).toContain('weights');
    expect(hashes({})).toEqual([]);
    expect(TOLERANCE.float32).toBeLessThan(TOLERANCE.bfloat16);
  });

  it('flattens a config', () => {
    expect(flattened({ a: { b: 1, c: null }, d: ['x'] })).toEqual([['a.b', '1'], ['a.c', 'null'], ['d', '["x"]']]);
  });
});

describe('two runs', () => {
  const components = `(VALUES
    (NULL, 'head', 1, -1, 2, 'mean_share', 5, 0.25, 0.5, 0.25), (NULL, 'neuron', 0, -1, 7, 'mean_share', 5, 0.1, 0.1, 0.0),
    ('ioi', 'head', 1, -1, 2, 'mean_share', 2, 0.1, 0.2, 0.1), (NULL, 'mlp', 0, -1, 0, 'effect', 5, 1.0, 3.0, 2.0)
  ) AS t("group", component, layer, expert, "index", measure, n, mean_a, mean_b, difference)`;
  const made = `(SELECT *, difference - 0.1 AS difference_low, difference + 0.1 AS difference_high, 1.0 AS standardised, 0.5 AS correlation, 0.01 AS p, 0.02 AS q FROM ${components})`;

  it('compared_components: one measure, one group, neurons by themselves', async () => {
    const of = (values) => run('compared_components', { measure: 'mean_share', group: null, neurons: false, ...values }, { components: made });
    expect(await of({})).toMatchObject([{ component: 'head', difference: 0.25, n: 5 }]);
    expect(await of({ group: 'ioi' })).toMatchObject([{ difference: 0.1, n: 2 }]);
    expect(await of({ neurons: true })).toMatchObject([{ component: 'neuron', index: 7 }]);
    expect(await of({ measure: 'effect' })).toMatchObject([{ component: 'mlp', mean_b: 3 }]);
  });

  it('compared_prompts: what moved most, in words; a prompt without it stays', async () => {
    const compared = `(SELECT * FROM (VALUES (0, 0, 'ioi', 0.01, 0.5, 0.75), (1, 3, NULL, NULL, 0.5, 0.25)) AS t(prompt_a, prompt_b, "group", distance, answer_prob_a, answer_prob_b)
      CROSS JOIN (SELECT 1 AS answer_rank_a, 2 AS answer_rank_b, ' a' AS predicted_a, ' b' AS predicted_b, 5 AS n_edges_a, 6 AS n_edges_b, 4 AS n_edges_both))`;
    const largest = `(SELECT * FROM (VALUES (0, 1, 'mlp', 3, 0, 0.0123), (0, 2, 'head', 0, 2, -0.004), (0, 4, 'head', 0, 1, 0.001)) AS t(prompt_a, place, component, layer, "index", difference))`;
    const rows = await run('compared_prompts', {}, { compared, largest, prompts: ['golden/prompts-0.parquet'] });
    expect(rows.map((row) => row.largest)).toEqual(['L3 MLP +0.012, L0H2 -0.004', null]);
    expect(rows.map((row) => row.change)).toEqual([0.25, -0.25]);
  });

  it('are found whichever is named first', () => {
    const all = [{ a: 'x', b: 'y', tables: { prompts: { files: [{ file: 'compare/x--y/prompts.parquet' }] } } }];
    expect(comparisonOf(all, 'y', 'x')).toBe(all[0]);
    expect(comparisonOf(all, 'x', 'z')).toBeNull();
    expect(comparisonOf(undefined, 'x', 'y')).toBeNull();
    expect(comparedFiles(all[0], 'prompts')).toEqual(['../compare/x--y/prompts.parquet']);
    expect(comparedFiles(all[0], 'largest')).toEqual([]);
  });

  it('differ where their configs do', () => {
    expect(differing([['a', '1'], ['b', '2']], [['a', '1'], ['b', '3'], ['c', '4']])).toEqual([['b', '2', '3'], ['c', '–', '4']]);
  });
});

describe('figures of a prompt, as they are asked in the console', () => {
  it('route: stored edges above a threshold', async () => {
    const rows = await run('route', { id: 0, tau: 0.1 }, { edges: file('edges') });
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.every((row) => row.share > 0.1)).toBe(true);
  });

  it('answer_by_layer: the last node is the prediction', async () => {
    const rows = await run('answer_by_layer', { id: 0, pos: 13 }, { nodes: file('nodes') });
    expect(rows).toHaveLength(9);
    expect(rows.at(-1).answer_rank).toBe(1);
    expect(rows.every(({ answer_prob }) => answer_prob >= 0 && answer_prob <= 1)).toBe(true);
  });

  it('heads_into: single heads of one node', async () => {
    const rows = await run('heads_into', { id: 0, layer: 1, pos: 13 }, { edges: file('edges') });
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.every(({ head, layer }) => head >= 0 && layer === 1)).toBe(true);
  });

  it('pair_edges: both prompts, the largest difference first', async () => {
    const rows = await run('pair_edges', { id: 0, other: 1 }, { edges: file('edges') });
    const sizes = rows.map(({ difference }) => Math.abs(difference));
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    expect(rows.some(({ here, there }) => here !== null && there !== null)).toBe(true);
  });

  it('prompts_asked: what the list finds', async () => {
    const of = (values) => run('prompts_asked', { q: '', group: '', any_group: true, ...values }, { prompts: file('prompts'), targets: file('targets') });
    const all = await of({});
    expect(all.length).toBeGreaterThan(1);
    expect((await of({ q: 'MARY AND' })).every(({ text }) => text.toLowerCase().includes('mary and'))).toBe(true);
    expect(await of({ any_group: false, group: 'nothing' })).toEqual([]);
  });
});

