import { describe, expect, it } from 'vitest';
import { createStats, filesOf } from '../src/stats-data.js';

const cut = {
  taus: [0.01],
  groups: ['a', 'b'],
  complete: true,
  n_prompts: 4,
  tables: {
    small: { rows: 3, bytes: 90, cut: ['group'], files: [{ file: 'stats/small.parquet', rows: 3, bytes: 90 }] },
    large: {
      rows: 6,
      bytes: 180,
      cut: ['component', 'group'],
      files: [
        { file: 'stats/large-0.parquet', rows: 2, bytes: 60, keys: [['head', null], ['head', 'a']] },
        { file: 'stats/large-1.parquet', rows: 2, bytes: 60, keys: [['mlp', null]] },
        { file: 'stats/large-2.parquet', rows: 2, bytes: 60, keys: [['neuron', null], ['neuron', 'a']] },
      ],
    },
  },
};
const names = (table, wanted) => filesOf(cut, table, wanted).map(({ file }) => file.match(/[a-z]+(-\d)?(?=\.parquet)/)[0]);

describe('the files that can hold what is wanted', () => {
  it('a whole table is one file, whatever is wanted', () => {
    expect(names('small', { group: 'b' })).toEqual(['small']);
  });
  it('pieces by the columns at which the table is cut, null being all prompts', () => {
    expect(names('large')).toEqual(['large-0', 'large-1', 'large-2']);
    expect(names('large', { component: 'neuron' })).toEqual(['large-2']);
    expect(names('large', { group: 'a' })).toEqual(['large-0', 'large-2']);
    expect(names('large', { component: ['head', 'mlp'], group: null })).toEqual(['large-0', 'large-1']);
    expect(names('large', { component: 'head', layer: 3 })).toEqual(['large-0']);
  });
  it('nothing where the site has no such table, or no statistics', () => {
    expect(names('other')).toEqual([]);
    expect(filesOf(null, 'small')).toEqual([]);
  });
});

it('a question on a table that is not there has no rows, and is not asked', async () => {
  const asked = [];
  const stats = createStats({ query: async (sql, values, parts) => (asked.push(parts), [{ n: 1 }]), address: (index, path) => `${index.id}/${path}` });
  const index = { id: 'demo', stats: cut };
  expect(await stats.rows(index, 'SELECT', { small: {}, other: {} })).toEqual([]);
  expect(asked).toEqual([]);
  expect(await stats.rows(index, 'SELECT', { large: { component: 'mlp' } }, {}, { order: 'x' })).toEqual([{ n: 1 }]);
  expect(asked).toEqual([{ large: ['demo/stats/large-1.parquet'], order: 'x' }]);
});
