import { beforeAll, describe, expect, it } from 'vitest';
import { createDetails, inContext } from '../src/details.js';
import { effectsOf } from '../src/effects-figure.js';
import { json, sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const file = (table, bucket = 0) => [`golden/${table}/bucket-${bucket}.parquet`];
const model = { neuron_tokens: ['golden/model/neuron_tokens.parquet'], vocab: ['golden/model/vocab.parquet'] };
const run = (name, values, parts) => query(sql(name), values, parts);

describe('what is fetched on click', () => {
  it('writes: both signs, strongest first, with texts', async () => {
    const of = { id: 0, layer: 3, component: 'mlp', index: 0, pos: 13 };
    const rows = await run('writes', of, { writes: file('writes'), tokens: file('tokens') });
    expect(rows.map((row) => [row.sign, row.rank])).toEqual([1, -1].flatMap((sign) => [1, 2, 3, 4].map((rank) => [sign, rank])));
    expect(rows.every((row) => typeof row.token === 'string' && Math.sign(row.score) === row.sign)).toBe(true);
  });

  it('logit_effects: every head, MLP and bias once, and the embedding', async () => {
    const rows = await run('logit_effects', { id: 0, target: 13 }, { logit_effects: file('logit_effects') });
    expect(rows).toHaveLength(1 + 4 * (4 + 2));
    const sum = (of) => effectsOf(rows, of).reduce((total, row) => total + row.value, 0);
    expect(sum('difference')).toBeCloseTo(sum('answer') - sum('foil'), 5);
    const [none] = await run('logit_effects', { id: 0, target: 0 }, { logit_effects: file('logit_effects') });
    expect(none.effect_foil).toBeNull();
  });

  it('logit_bias: one number a token', async () => {
    const rows = await run('logit_bias', { answer: 1, foil: 2 }, { vocab: model.vocab });
    expect(rows.map((row) => row.token_id).sort()).toEqual([1, 2]);
    expect(rows.every((row) => Number.isFinite(row.logit_bias))).toBe(true);
    expect(await run('logit_bias', { answer: 1, foil: 1 }, { vocab: model.vocab })).toHaveLength(1);
  });

  it('components: largest share at the last target first', async () => {
    const rows = await run('components', { id: 0 }, { components: file('components') });
    expect(rows.filter((row) => row.component === 'head')).toHaveLength(16);
    expect(rows.every((row, i) => i === 0 || row.target_share <= rows[i - 1].target_share)).toBe(true);
  });

  it('neurons, neurons_top, neuron_places: the same rows, asked three ways', async () => {
    const parts = { neurons: file('neurons') };
    const here = await run('neurons', { id: 0, layer: 3, pos: 13 }, parts);
    expect(here).toHaveLength(5);
    expect(here.every((row, i) => i === 0 || row.share <= here[i - 1].share)).toBe(true);
    const places = await run('neuron_places', { id: 0, layer: 3, expert: -1, neuron: here[0].neuron }, parts);
    expect(places.find((row) => row.pos === 13).share).toBe(here[0].share);
    const top = await run('neurons_top', { id: 0, limit: 3 }, parts);
    expect(top).toHaveLength(3);
    expect(top[0].share).toBeGreaterThanOrEqual(here[0].share);
  });

  it('dominant, trace_dominant: what writes most at a target, on a route or not', async () => {
    const parts = { dominant_neurons: file('dominant_neurons') };
    const here = await run('dominant', { id: 0, pos: 13, layer: 3, limit: 30 }, parts);
    expect(here).toHaveLength(5);
    expect(here.every((row, i) => i === 0 || row.strength <= here[i - 1].strength)).toBe(true);
    const all = await run('dominant', { id: 0, pos: 13, layer: -1, limit: 7 }, parts);
    expect(all).toHaveLength(7);
    expect(all[0].strength).toBeGreaterThanOrEqual(here[0].strength);
    const column = await run('trace_dominant', { id: 0, pos: 13, limit: 2 }, { ...parts, ...model });
    expect(column.map((row) => row.layer)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(column.slice(-2).map((row) => row.neuron)).toEqual(here.slice(0, 2).map((row) => row.neuron));
    expect(column.every((row) => typeof row.token === 'string' && row.score > 0)).toBe(true);
    const stored = await run('neurons', { id: 0, layer: 3, pos: 13 }, { neurons: file('neurons') });
    for (const row of stored) {
      const same = here.find((one) => one.neuron === row.neuron);
      if (same) expect([same.share, same.activation, same.write_scale]).toEqual([row.share, row.activation, row.write_scale]);
    }
  });

  it('neuron_tokens: a negative scale swaps promoted and suppressed', async () => {
    const rows = await run('neuron_tokens', { layer: 1, expert: -1, neuron: 7 }, model);
    expect(rows).toHaveLength(8);
    const scores = { up: rows.slice(0, 4), down: rows.slice(4) };
    const turned = inContext(scores, -0.5);
    expect(turned.up.map((row) => row.token)).toEqual(scores.down.map((row) => row.token));
    expect(turned.up.every((row) => row.score > 0)).toBe(true);
    expect(turned.down[0].score).toBeCloseTo(-0.5 * scores.up[0].score, 6);
    expect(inContext(scores, 2).up[0].score).toBeCloseTo(2 * scores.up[0].score, 6);
  });

  it('maps: every query and key of a head; stored edges are among them', async () => {
    const cells = await run('maps', { id: 0, layer: 2, head: 1 }, { maps: file('maps') });
    expect(cells.every((row) => row.src <= row.dst && (row.share > 0.005 || row.attention > 0.005))).toBe(true);
    const edges = (await run('edges', { id: 0 }, { edges: file('edges') })).filter((row) => row.layer === 2 && row.head === 1);
    expect(edges.length).toBeGreaterThan(0);
    for (const edge of edges) expect(cells.find((row) => row.dst === edge.dst && row.src === edge.src).share).toBe(edge.share);
  });

  it('trace_lens, trace_writes, trace_neurons: one column', async () => {
    const tokens = await run('trace_lens', { id: 0, pos: 13, limit: 3 }, { lens: file('lens'), tokens: file('tokens') });
    expect(tokens).toHaveLength(9 * 3);
    const writes = await run('trace_writes', { id: 0, pos: 13 }, { writes: file('writes'), tokens: file('tokens') });
    expect(new Set(writes.map((row) => row.component))).toContain('head');
    const neurons = await run('trace_neurons', { id: 0, pos: 13, limit: 2 }, { neurons: file('neurons'), ...model });
    expect(neurons.filter((row) => row.layer === 3)).toHaveLength(2);
    expect(neurons.every((row) => typeof row.token === 'string' && row.score > 0)).toBe(true);
  });
});

describe('which files are asked', () => {
  const asked = [];
  const details = createDetails({
    query: async (text, values, parts) => (asked.push(...Object.values(parts).flat()), query(text, values, parts)),
    rows: async () => [],
    address: (index, path) => `${index.id}/${path}`,
  });

  it('maps have buckets of their own', async () => {
    const index = json('golden/index.json');
    const cells = await details.headMap(index, 3, { layer: 0, head: 0 });
    expect(asked).toEqual(['golden/maps/bucket-1.parquet']);
    expect(cells.length).toBeGreaterThan(0);
  });

  it('a run without maps answers null, at once', async () => {
    expect(await details.headMap(json('parallel/index.json'), 0, { layer: 0, head: 0 })).toBeNull();
    expect(await details.headMap({ ...json('golden/index.json'), maps: undefined }, 0, { layer: 0, head: 0 })).toBeNull();
    expect(asked).toHaveLength(1);
  });
});
