import { describe, expect, it } from 'vitest';
import { headsInto, MOST_CHIPS, neuronsInto, openedOn, placeChips, roomFor, stacks } from '../src/expand.js';
import { CHIP, columnAt, layoutFor, xOf } from '../src/layout.js';
import { buildGraph, reachFrom, routeAt } from '../src/routes.js';

const edge = (layer, kind, dst, src, share, head = -1) => ({ layer, kind, dst, src, head, share, attention: null });
const rows = [
  edge(0, 'resid_mlp', 2, 2, 0.7), edge(0, 'mlp', 2, 2, 0.3), edge(0, 'resid_attn', 2, 2, 0.2),
  edge(0, 'attn', 2, 0, 0.5), edge(0, 'attn', 2, 0, 0.4, 1), edge(0, 'attn', 2, 0, 0.1, 4),
  edge(0, 'attn', 2, 1, 0.2), edge(0, 'attn', 2, 1, 0.2, 1),
]; // prettier-ignore
const routeOf = (mode, tau = 0.15) => {
  const graph = buildGraph(rows, { parallel: false, nLayers: 1 });
  return routeAt(graph, reachFrom(graph, 2, mode), tau);
};
const neurons = (n) => Array.from({ length: n }, (_, i) => ({ neuron: i, expert: -1, share: 0.1 / (i + 1), activation: 1, token: 'x', score: 1 }));
const found = { heads: [{ head: 1, token: ' Mary', score: 2 }], neurons: neurons(20) };

describe('what an opened node holds', () => {
  it('its heads over all sources, the largest first, with what each promotes', () => {
    const chips = headsInto(routeOf('summed'), '0.mid.2', found);
    expect(chips.map((chip) => chip.name)).toEqual(['L0H1', 'L0H4']);
    expect(chips[0].share).toBeCloseTo(0.6);
    expect(chips[0]).toMatchObject({ token: ' Mary', from: [{ src: 0 }, { src: 1 }] });
    expect(chips[1].token).toBe(null);
  });
  it('per head, only those above the threshold', () => {
    expect(headsInto(routeOf('per_head'), '0.mid.2', null).map((chip) => chip.name)).toEqual(['L0H1']);
  });
  it('renormalised, they add up with the residual to one', () => {
    const route = routeOf('renormalised');
    const heads = headsInto(route, '0.mid.2', null).reduce((sum, chip) => sum + chip.share, 0);
    expect(heads + route.edges.get('0.resid_attn.2').shown).toBeCloseTo(1);
  });
  it('the first neurons, and the others as one with their sum', () => {
    const chips = neuronsInto(routeOf('summed'), '0.post.2', found);
    expect(chips).toHaveLength(MOST_CHIPS);
    expect(chips.at(-1)).toMatchObject({ kind: 'rest', name: '13 more neurons' });
    expect(chips.reduce((sum, chip) => sum + chip.share, 0)).toBeCloseTo(found.neurons.reduce((sum, row) => sum + row.share, 0));
  });
  it('no neurons while they load, nor where the MLP is off the route', () => {
    expect(neuronsInto(routeOf('summed'), '0.post.2', null)).toEqual([]);
    expect(neuronsInto(routeOf('summed', 0.4), '0.post.2', found)).toEqual([]);
  });
});

describe('room for it', () => {
  const opened = openedOn(routeOf('summed'), ['0.mid.2', '0.post.2', '3.mid.1'], () => found);
  const shape = { nTokens: 4, nLayers: 1, parallel: false, width: 900, height: 500 };
  const layout = layoutFor({ ...shape, opened: roomFor(opened) });

  it('only nodes of the route open', () => expect(opened.map(({ key }) => key)).toEqual(['0.mid.2', '0.post.2']));
  it('chips stand between their column and its neighbours, inside the graph', () => {
    for (const one of opened) {
      for (const { x, y } of placeChips(layout, one)) {
        const far = one.side === 'left' ? x - CHIP.width : x + CHIP.width;
        expect(far).toBeGreaterThan(xOf(layout, 1));
        expect(far).toBeLessThan(xOf(layout, 3));
        expect(y).toBeGreaterThan(CHIP.height / 2);
        expect(y).toBeLessThan(layout.height - CHIP.height / 2);
      }
    }
  });
  it('layers keep their heights, and what is opened beside one column stands below one another', () => {
    const shape = { nTokens: 3, nLayers: 6, parallel: false, width: 900, height: 700 };
    const three = [0, 1, 2].map((layer) => ({ key: `${layer}.post.2`, layer, pos: 2, side: 'right', chips: opened[1].chips }));
    const layout = layoutFor({ ...shape, opened: roomFor(three) });
    expect(layout.posts).toEqual(layoutFor(shape).posts);
    expect(layout.width).toBeLessThanOrEqual(900);
    const tops = stacks(layout, three);
    expect(tops[0] - tops[1]).toBeGreaterThanOrEqual(8 * CHIP.step);
    expect(tops[1] - tops[2]).toBeGreaterThanOrEqual(8 * CHIP.step);
    expect(Math.min(...tops)).toBeGreaterThan(0);
    expect(tops[0] + 8 * CHIP.step).toBeLessThan(layout.height);
  });
  it('stacks keep their size on the screen when the graph is magnified', () => {
    const [whole, half] = [1, 0.5].map((size) => placeChips(layout, opened[1], undefined, size).map(({ y }) => y));
    expect(whole.at(-1) - whole[0]).toBeCloseTo(7 * CHIP.step);
    expect(half.at(-1) - half[0]).toBeCloseTo(3.5 * CHIP.step);
  });
  it('more than the window holds makes the graph taller, not the stacks overlap', () => {
    const many = [0, 1, 2, 3, 4].map((layer) => ({ key: `${layer}.post.2`, layer, pos: 2, side: 'right', chips: opened[1].chips }));
    const layout = layoutFor({ nTokens: 3, nLayers: 6, parallel: false, width: 900, height: 300, opened: roomFor(many) });
    const tops = stacks(layout, many).reverse();
    tops.slice(1).forEach((top, i) => expect(top - tops[i]).toBeGreaterThanOrEqual(8 * CHIP.step));
  });
  it('no two of them overlap', () => {
    const ys = placeChips(layout, opened[1]).map(({ y }) => y);
    ys.slice(1).forEach((y, i) => expect(y - ys[i]).toBeGreaterThanOrEqual(CHIP.height));
  });
  it('the nearest column is found where columns are of unequal width', () => {
    for (let pos = 0; pos < 4; pos += 1) expect(columnAt(layout, xOf(layout, pos) + 3)).toBe(pos);
  });
});
