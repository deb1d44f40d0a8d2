/** The pages' questions on statistics of 40 prompts of the demo (`make_golden_stats.py`), asked of the shipped engine. */
import { beforeAll, describe, expect, it } from 'vitest';
import { chosenContrast, turnedRow } from '../src/contrast-rows.js';
import { sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const tables = (...names) => Object.fromEntries(names.map((name) => [name, [`demo/stats/${name}.parquet`]]));
const run = (name, values, ...of) => query(sql(name), values, tables(...of));
const head = { component: 'head', layer: 1, expert: -1, index: 2 };

describe('importance', () => {
  const of = (values) => run('corpus_parts', { neurons: false, tau: 0.04, group: null, ...values }, 'importance', 'activity');

  it('corpus_parts: one row a head, MLP and block, with both tables’ columns', async () => {
    const rows = await of({});
    expect(rows.map((row) => row.component).filter((one) => one === 'head')).toHaveLength(16);
    expect(rows).toHaveLength(16 + 4 + 4);
    expect(rows.every((row) => row.n === 40 && row.n_active <= row.n && Math.abs(row.frequency - row.n_active / row.n) < 1e-6)).toBe(true);
    expect(rows.every((row) => row.mean_share_low <= row.mean_share && row.mean_share <= row.mean_share_high)).toBe(true);
  });

  it('corpus_parts: a group’s own prompts, its own threshold; neurons by themselves', async () => {
    const [all, group] = [await of({}), await of({ group: 'ioi' })];
    expect(group[0].n).toBeLessThan(all[0].n);
    const [low, high] = [await of({ tau: 0.01 }), await of({ tau: 0.16 })];
    expect(low.every((row, i) => row.n_active >= high[i].n_active)).toBe(true);
    const neurons = await of({ neurons: true });
    expect(neurons.length).toBeGreaterThan(50);
    expect(neurons.every((row) => row.component === 'neuron' && (row.effect === null) === (row.n_effect === 0) && row.n_effect <= row.n)).toBe(true);
    expect(neurons.some((row) => row.n_effect > 1 && row.effect_low < row.effect)).toBe(true);
    expect(await of({ group: "no'such" })).toEqual([]);
  });

  it('component_groups and component_rank: the same numbers, from the component’s side', async () => {
    const rows = await run('component_groups', { ...head, tau: 0.04 }, 'importance', 'activity');
    expect(rows[0].group).toBe(null);
    const wide = (await of({})).filter((row) => row.component === 'head');
    const own = wide.find((row) => row.layer === 1 && row.index === 2);
    expect(rows[0].mean_share).toBe(own.mean_share);
    const [{ place, n_components }] = await run('component_rank', head, 'importance');
    expect(n_components).toBe(16);
    expect(place).toBe(1 + wide.filter((row) => row.mean_share > own.mean_share).length);
  });

  it('search_top: largest first', async () => {
    const rows = await run('search_top', { component: 'head' }, 'importance');
    expect(rows).toHaveLength(16);
    expect(rows.every((row, i) => i === 0 || row.mean_share <= rows[i - 1].mean_share)).toBe(true);
  });

  it('corpus_stability: every pair of thresholds once', async () => {
    const rows = await run('corpus_stability', { component: 'head', group: null }, 'stability');
    expect(rows).toHaveLength(10);
    expect(rows.every((row) => row.tau_a < row.tau_b && (row.rank_correlation === null || Math.abs(row.rank_correlation) <= 1))).toBe(true);
  });
});

describe('contrasts', () => {
  it('contrast_choices: each comparison once', async () => {
    const choices = await run('contrast_choices', {}, 'contrasts');
    const keys = choices.map((one) => JSON.stringify([one.contrast, one.a, one.b, one.group]));
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(choices.map((one) => one.contrast))).toEqual(new Set(['rest', 'groups', 'roles']));
    expect(chosenContrast(choices, { by: 'roles', a: null, b: null, group: null }).choice).toMatchObject({ a: 'clean', b: 'corrupt' });
  });

  it('contrast: the smallest q first; turned, the signs change and nothing else', async () => {
    const [pair] = (await run('contrast_choices', {}, 'contrasts')).filter((one) => one.contrast === 'groups');
    const rows = await run('contrast', { by: 'groups', a: pair.a, b: pair.b, group: null, measure: 'mean_share', neurons: false }, 'contrasts');
    expect(rows).toHaveLength(24);
    expect(rows.every((row, i) => i === 0 || row.q >= rows[i - 1].q)).toBe(true);
    expect(rows.every((row) => Math.abs(row.mean_a - row.mean_b - row.difference) < 1e-6)).toBe(true);
    for (const row of rows.map(turnedRow)) {
      expect(row.mean_a - row.mean_b).toBeCloseTo(row.difference, 6);
      expect(row.difference_low).toBeLessThanOrEqual(row.difference_high);
    }
  });

  it('contrast_specific and component_specific: the same findings from both sides', async () => {
    const rows = await run('contrast_specific', { measure: 'mean_share', neurons: true }, 'contrasts');
    expect(rows.length).toBeGreaterThan(0);
    const [first] = rows;
    const back = await run('component_specific', { component: 'neuron', layer: first.layer, expert: first.expert, index: first.index }, 'contrasts');
    expect(back.find((row) => row.a === first.a)).toMatchObject({ difference: first.difference, q: first.q });
    expect(rows.every((row) => row.frequency_a >= 0.2 && row.frequency_a >= 5 * row.frequency_b && row.q <= 0.05)).toBe(true);
  });
});

describe('one component', () => {
  it('component_roles: every role once, over all prompts', async () => {
    const rows = await run('component_roles', { ...head, source: 'edges' }, 'roles');
    expect(rows).toHaveLength(7);
    expect(rows.every((row) => row.n_role <= row.n_edges && row.n_edges <= row.n_all)).toBe(true);
  });

  it('component_kinds: kinds of a split do not repeat', async () => {
    const rows = await run('component_kinds', head, 'by_kind');
    const keys = rows.map((row) => `${row.split} ${row.key} ${row.value}`);
    expect(keys.length).toBeGreaterThan(8);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('component_pairs: places from 1, parts falling', async () => {
    const rows = await run('component_pairs', { ...head, pair: 'moves' }, 'token_pairs');
    expect(rows.map((row) => row.place)).toEqual(rows.map((_, i) => i + 1));
    expect(rows.every((row, i) => row.attention !== null && (i === 0 || row.part <= rows[i - 1].part))).toBe(true);
  });

  it('component_promoted: both signs, promoted first', async () => {
    const rows = await run('component_promoted', head, 'promoted');
    expect(rows[0].sign).toBe(1);
    expect(rows.at(-1).sign).toBe(-1);
    expect(rows.every((row) => row.n <= row.n_all && typeof row.token === 'string')).toBe(true);
  });

  it('component_examples: in order, within the causal triangle', async () => {
    const rows = await run('component_examples', { ...head, choice: 'top' }, 'examples');
    expect(rows.map((row) => row.place)).toEqual(rows.map((_, i) => i + 1));
    expect(rows.every((row, i) => row.src <= row.dst && (i === 0 || row.share <= rows[i - 1].share))).toBe(true);
  });

  it('neuron_activation: one row, and none for a neuron that is stored nowhere', async () => {
    const [{ layer, index }] = await run('search_top', { component: 'neuron' }, 'importance');
    const rows = await run('neuron_activation', { layer, expert: -1, index }, 'activations');
    expect(rows).toHaveLength(1);
    expect(rows[0].activation_least).toBeLessThanOrEqual(rows[0].activation_most);
    expect(await run('neuron_activation', { layer: 99, expert: -1, index: 0 }, 'activations')).toEqual([]);
  });
});

describe('search', () => {
  it('search_components: whatever the case, the whole token before its parts', async () => {
    const rows = await run('search_components', { q: 'the' }, 'promoted');
    expect(rows.every((row) => row.token.toLowerCase().includes('the'))).toBe(true);
    const [any] = await query('SELECT token FROM {promoted} WHERE length(token) > 3 LIMIT 1', {}, tables('promoted'));
    const found = await run('search_components', { q: any.token.trim().toUpperCase() }, 'promoted');
    expect(found[0].token.trim().toLowerCase()).toBe(any.token.trim().toLowerCase());
    expect(await run('search_components', { q: '%' }, 'promoted')).toEqual([]);
  });
});
