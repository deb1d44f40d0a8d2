import { beforeAll, describe, expect, it } from 'vitest';
import { sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const file = (table) => [`golden/${table}/bucket-0.parquet`];
const model = { neuron_tokens: ['golden/model/neuron_tokens.parquet'], vocab: ['golden/model/vocab.parquet'] };
const run = (name, values, parts) => query(sql(name), values, parts);

describe('what an opened node asks', () => {
  it('expand_heads: the most promoted token of each stored head', async () => {
    const at = { id: 0, layer: 3, pos: 13 };
    const parts = { writes: file('writes'), tokens: file('tokens') };
    const rows = await run('expand_heads', at, parts);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      const [first] = await run('writes', { ...at, component: 'head', index: row.head }, parts);
      expect([row.token, row.score]).toEqual([first.token, first.score]);
    }
  });

  it('expand_neurons: each neuron once, with what it promotes here', async () => {
    const at = { id: 0, layer: 3, pos: 13 };
    const rows = await run('expand_neurons', at, { neurons: file('neurons'), ...model });
    const stored = await run('neurons', at, { neurons: file('neurons') });
    expect(rows.map((row) => row.neuron)).toEqual(stored.map((row) => row.neuron));
    expect(rows.every((row) => row.score === null || row.score > 0)).toBe(true);
    const scores = await run('neuron_tokens', { layer: 3, expert: -1, neuron: rows[0].neuron }, model);
    const wanted = scores.find((row) => row.rank === 1 && row.sign === (stored[0].write_scale < 0 ? -1 : 1));
    expect(rows[0].token).toBe(wanted.token);
    expect(rows[0].score).toBeCloseTo(wanted.score * stored[0].write_scale, 5);
  });
});
