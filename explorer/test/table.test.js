import { expect, it } from 'vitest';
import { sortingOf } from '../src/table.js';

it('reads orders from the address, one a table', () => {
  const sorting = sortingOf('lens.4d,heads-node.0a', () => {});
  expect(sorting.get('lens')).toEqual({ column: 4, down: true });
  expect(sorting.get('heads-node')).toEqual({ column: 0, down: false });
  expect(sorting.get('neurons')).toBe(null);
});

it('writes a new order, and takes one out', () => {
  const written = [];
  const sorting = sortingOf('lens.4d,neurons.2a', (list) => written.push(list));
  sorting.set('lens', { column: 12, down: false });
  sorting.set('lens', null);
  expect(written).toEqual(['neurons.2a,lens.12a', 'neurons.2a']);
});
