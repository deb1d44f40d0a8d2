import { describe, expect, it } from 'vitest';
import { alignable, changesBetween, differingTokens, stepChange, stepOf } from '../src/pair.js';
import { buildGraph, reachFrom, routeAt } from '../src/routes.js';

const edge = (layer, kind, dst, src, share, head = -1) => ({ layer, kind, dst, src, head, share, attention: null });
const side = (rows, tau = 0.05, mode = 'summed') => {
  const graph = buildGraph(rows, { parallel: false, nLayers: 1 });
  return { graph, route: routeAt(graph, reachFrom(graph, 1, mode), tau) };
};
const base = [edge(0, 'resid_mlp', 1, 1, 0.9), edge(0, 'resid_attn', 1, 1, 0.3)];
const one = [...base, edge(0, 'attn', 1, 0, 0.6), edge(0, 'attn', 1, 0, 0.5, 2), edge(0, 'attn', 1, 0, 0.1, 3)];
const two = [...base, edge(0, 'attn', 1, 0, 0.04), edge(0, 'attn', 1, 0, 0.04, 3), edge(0, 'mlp', 1, 1, 0.1)];

describe('difference of two routes', () => {
  const changes = changesBetween(side(one), side(two));
  const byKey = Object.fromEntries(changes.map((change) => [change.key, change]));

  it('has every edge of either route, the largest difference first', () => {
    expect(changes.map((change) => change.key)).toEqual(['0.attn.1-0', '0.mlp.1', '0.resid_attn.1', '0.resid_mlp.1']);
  });
  it('takes the stored share off the route, so that the threshold makes no difference', () => {
    expect(byKey['0.attn.1-0']).toMatchObject({ here: 0.6, there: 0.04, only: 'here' });
    expect(byKey['0.attn.1-0'].difference).toBeCloseTo(0.56);
    expect(byKey['0.attn.1-0'].exact).toBe(true);
  });
  it('marks what is in one of them only, with its sign', () => {
    expect(byKey['0.mlp.1']).toMatchObject({ here: 'floor', there: 0.1, only: 'there', difference: -0.1, exact: false });
    expect(byKey['0.resid_mlp.1']).toMatchObject({ difference: 0, only: null });
  });
  it('compares heads, those of one side included', () => {
    expect(byKey['0.attn.1-0'].heads).toMatchObject([{ head: 2, here: 0.5, there: 'floor', exact: false }, { head: 3, here: 0.1, there: 0.04, exact: true }]);
  });
  it('is the negative when the sides are swapped', () => {
    const back = changesBetween(side(two), side(one));
    expect(back.map((change) => change.difference)).toEqual(changes.map((change) => (change.difference === 0 ? 0 : -change.difference)));
    expect(back.map((change) => change.only)).toEqual(changes.map(({ only }) => (only === null ? null : only === 'here' ? 'there' : 'here')));
  });
  it.each(['per_head', 'renormalised'])('%s: the mode decides what is on a route, the shares stay the stored ones', (mode) => {
    const [first] = changesBetween(side(one, 0.2, mode), side(two, 0.2, mode));
    expect(first).toMatchObject({ key: '0.attn.1-0', here: 0.6, there: 0.04, only: 'here' });
  });
  it('says nothing of a node that is on no stored route', () => {
    const bare = side([edge(0, 'resid_mlp', 1, 1, 0.9)]);
    const change = changesBetween(side(one), bare).find(({ key }) => key === '0.attn.1-0');
    expect(change).toMatchObject({ here: 0.6, there: 'unstored', exact: false });
  });
  it('arrows lead along edges and among those into one node', () => {
    expect(stepChange(changes, null, 'up')).toBe(changes[0].key);
    expect(stepChange(changes, '0.attn.1-0', 'up')).toBe('0.mlp.1');
    expect(stepChange(changes, '0.mlp.1', 'up')).toBe(null);
    expect(stepChange(changes, '0.mlp.1', 'down')).toBe('0.attn.1-0');
    expect(stepChange(changes, '0.attn.1-0', 'right')).toBe('0.resid_attn.1');
    expect(stepChange(changes, '0.attn.1-0', 'left')).toBe(null);
    expect(stepChange(changes, '0.resid_mlp.1', 'right')).toBe('0.mlp.1');
  });
});

it('aligns equal lengths only, and finds the tokens that differ', () => {
  expect(alignable({ n_tokens: 3 }, { n_tokens: 3 })).toBe(true);
  expect(alignable({ n_tokens: 3 }, { n_tokens: 4 })).toBe(false);
  expect(differingTokens([1, 2, 3], [1, 5, 3])).toEqual([1]);
});

it.each([[0, 0], [0.009, 0], [-0.02, -1], [0.05, 2], [-0.9, -3]])('difference %d is step %d', (value, step) => {
  expect(stepOf(value) + 0).toBe(step);
});
