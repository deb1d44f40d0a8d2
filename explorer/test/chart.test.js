import { describe, expect, it } from 'vitest';
import { choose, labelOf } from '../src/chart-choice.js';
import { extentOf, linear, tickLabel, ticks } from '../src/plot.js';
import { plainNumber } from '../src/result-table.js';
import { tabulate } from '../src/rows.js';

describe('ticks', () => {
  it('are round and inside', () => {
    expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(-0.31, 0.42, 4)).toEqual([-0.2, 0, 0.2, 0.4]);
    expect(ticks(3, 3)).toEqual([3]);
    expect(ticks(NaN, 2)).toEqual([]);
  });

  it('belong to a range with air, from zero where it is near', () => {
    expect(extentOf([1, 10])[0]).toBe(0);
    expect(extentOf([9, 10])[0]).toBeGreaterThan(8.9);
    expect(extentOf([5, 5])[0]).toBeLessThan(5);
    expect(extentOf([])).toEqual([0, 1]);
    expect(linear([0, 10], [100, 0])(2.5)).toBe(75);
  });

  it('are written short', () => {
    expect(tickLabel(-0.25)).toBe('−0.25');
    expect([2e6, 1.5e-4, 5e-5].map(tickLabel)).toEqual(['2e6', '1.5e−4', '5e−5']);
    expect(tickLabel(0)).toBe('0');
  });
});

describe('the choice of a chart', () => {
  const heads = { columns: ['layer', 'head', 'mean_share', 'mean_share_low', 'mean_share_high'], rows: [[0, 1, 0.5, 0.4, 0.6], [2, 0, 0.1, 0.05, 0.2]] };

  it('names heads, and bounds what has an interval', () => {
    expect(choose(heads)).toEqual({ kind: 'bar', labels: [0, 1], x: -1, y: 2, low: 3, high: 4, series: -1 });
    expect(labelOf(heads, heads.rows[1], [0, 1])).toBe('L2H0');
    expect(labelOf({ columns: ['component', 'layer', 'index'], rows: [] }, ['mlp', 3, 0], [0, 1, 2])).toBe('L3 MLP');
  });

  it('draws a line along a number that runs on', () => {
    const numbers = { columns: ['layer', 'entropy'], rows: [[-1, 5], [0, 4], [1, 2], [2, 1]] };
    expect(choose(numbers)).toMatchObject({ kind: 'line', x: 0, y: 1 });
  });

  it('draws points where two measures stand against each other', () => {
    const rows = Array.from({ length: 80 }, (_, i) => [(i * 7) % 80, Math.sin(i), Math.cos(i)]);
    const numbers = { columns: ['src', 'attention', 'share'], rows };
    expect(choose(numbers)).toMatchObject({ kind: 'scatter', x: 1, y: 2 });
    expect(choose(numbers, { x: 'share', y: 'src' })).toMatchObject({ x: 2, y: 0 });
    expect(choose(numbers, { kind: 'bar', y: 'nothing' })).toMatchObject({ kind: 'bar', y: 1 });
  });

  it('leaves alone what has no number', () => {
    expect(choose({ columns: ['text'], rows: [['a']] })).toBeNull();
    expect(choose({ columns: ['n'], rows: [] })).toBeNull();
  });
});

describe('a result of any query', () => {
  it('keeps two columns of one name, and writes out what is no scalar', () => {
    const vector = (values) => ({ get: (i) => values[i] });
    const batch = (n, ...columns) => ({ numRows: n, schema: { fields: [{ name: 'a' }, { name: 'a' }] }, getChildAt: (at) => vector(columns[at]) });
    const list = Object.assign([1, 2], { toArray: () => [1, 2] });
    expect(tabulate([batch(2, [1, null], [list, 'x']), batch(1, [3n], [true])])).toEqual({ columns: ['a', 'a'], rows: [[1, '[1,2]'], [null, 'x'], [3, true]] });
    expect(tabulate([])).toEqual({ columns: [], rows: [] });
  });

  it('writes numbers short, whole ones whole', () => {
    expect([7, -3, 0.123456, 1234567.5, 0.00001].map(plainNumber)).toEqual(['7', '−3', '0.1235', '1.23e+6', '1.00e−5']);
  });
});
