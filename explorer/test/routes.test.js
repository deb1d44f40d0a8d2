import { beforeAll, describe, expect, it } from 'vitest';
import { buildGraph, edgeKey, MODES, nodeKey, parseNode, reachFrom, routeAt, sharesOf, summary } from '../src/routes.js';
import { json, sql, startEngine } from './engine.js';

const KINDS = ['attn', 'resid_attn', 'mlp', 'resid_mlp'];
const row = (layer, kind, dst, src, share, head = -1) => ({ layer, kind, dst, src, head, share, attention: head < 0 ? null : 0.5 });

/** Two tokens, one layer, two heads: small enough for a pencil. */
const ONE_LAYER = [
  row(0, 'mlp', 1, 1, 0.3),
  row(0, 'resid_mlp', 1, 1, 0.7),
  row(0, 'resid_attn', 1, 1, 0.5),
  row(0, 'attn', 1, 0, 0.3), // 0.2 + 0.1
  row(0, 'attn', 1, 0, 0.2, 0),
  row(0, 'attn', 1, 0, 0.1, 1),
  row(0, 'attn', 1, 1, 0.2), // head 1 alone
  row(0, 'attn', 1, 1, 0.2, 1),
];
const route = (rows, target, tau, mode, shape = { parallel: false, nLayers: 1 }) => {
  const graph = buildGraph(rows, shape);
  return routeAt(graph, reachFrom(graph, target, mode), tau);
};
const shown = (of) => Object.fromEntries([...of.edges.values()].map((edge) => [edge.key, Number(edge.shown.toFixed(6))]));

/** Straight from the definition: start at the target, keep edges above tau, go on from their sources. */
function literalWalk(rows, target, tau, mode, { parallel, nLayers }) {
  const nodes = new Set([nodeKey(nLayers - 1, 'post', target)]);
  const edges = new Set();
  const todo = [...nodes];
  while (todo.length) {
    const { layer, point, pos } = parseNode(todo.pop());
    for (const edge of rows) {
      const perHead = edge.kind === 'attn' && mode !== 'summed';
      if (perHead !== edge.head >= 0 || !(edge.share > tau) || edge.layer !== layer || edge.dst !== pos) continue;
      const intoPost = parallel || edge.kind === 'mlp' || edge.kind === 'resid_mlp';
      if (intoPost !== (point === 'post')) continue;
      const source = intoPost && !parallel ? nodeKey(layer, 'mid', pos) : nodeKey(layer - 1, 'post', edge.src);
      edges.add(edgeKey(edge));
      if (!nodes.has(source)) todo.push(source);
      nodes.add(source);
    }
  }
  return { nodes, edges };
}

describe('a route worked out by hand', () => {
  it('summed: all edges at a low threshold', () => {
    const at = route(ONE_LAYER, 1, 0.05, 'summed');
    expect(shown(at)).toEqual({ '0.mlp.1': 0.3, '0.resid_mlp.1': 0.7, '0.resid_attn.1': 0.5, '0.attn.1-0': 0.3, '0.attn.1-1': 0.2 });
    expect([...at.nodes.keys()].sort()).toEqual(['-1.post.0', '-1.post.1', '0.mid.1', '0.post.1']);
  });

  it('the threshold is strict', () => {
    expect(route(ONE_LAYER, 1, 0.2, 'summed').edges.has('0.attn.1-1')).toBe(false);
    expect(route(ONE_LAYER, 1, 0.1999, 'summed').edges.has('0.attn.1-1')).toBe(true);
  });

  it('per head: an edge is there while one of its heads is, and shows the heads above tau', () => {
    const at = route(ONE_LAYER, 1, 0.15, 'per_head');
    expect(at.edges.get('0.attn.1-0')).toMatchObject({ shown: 0.2, on: [{ head: 0, share: 0.2 }] });
    expect(route(ONE_LAYER, 1, 0.25, 'per_head').edges.has('0.attn.1-0')).toBe(false);
    expect(route(ONE_LAYER, 1, 0.25, 'summed').edges.has('0.attn.1-0')).toBe(true);
  });

  it('renormalised: parts above tau are rescaled to sum to 1 at each node', () => {
    // mid: 0.2 (head 0), 0.2 (head 1 at itself), 0.5 residual; head 1 of the first edge (0.1) is dropped
    expect(shown(route(ONE_LAYER, 1, 0.15, 'renormalised'))).toEqual({
      '0.mlp.1': 0.3,
      '0.resid_mlp.1': 0.7,
      '0.attn.1-0': 0.222222,
      '0.attn.1-1': 0.222222,
      '0.resid_attn.1': 0.555556,
    });
  });

  it('above every share only the target is left', () => {
    const at = route(ONE_LAYER, 1, 0.7, 'summed');
    expect([...at.nodes.keys()]).toEqual(['0.post.1']);
    expect(at.edges.size).toBe(0);
  });

  it('reach is the widest path: the smallest share on the best way down', () => {
    const reach = reachFrom(buildGraph(ONE_LAYER, { parallel: false, nLayers: 1 }), 1, 'summed');
    expect(reach.nodes.get('0.mid.1')).toBe(0.7);
    expect(reach.nodes.get('-1.post.1')).toBe(0.5);
    expect(reach.nodes.get('-1.post.0')).toBe(0.3);
  });

  it('parallel blocks have no mid: every kind goes from post to post', () => {
    const rows = [row(0, 'mlp', 1, 1, 0.4), row(0, 'resid_attn', 1, 1, 0.3), row(0, 'attn', 1, 0, 0.3), row(0, 'attn', 1, 0, 0.3, 0)];
    const at = route(rows, 1, 0.1, 'renormalised', { parallel: true, nLayers: 1 });
    expect([...at.nodes.keys()].sort()).toEqual(['-1.post.0', '-1.post.1', '0.post.1']);
    expect([...at.edges.values()].every((edge) => edge.to === '0.post.1')).toBe(true);
  });

  it('summary: what is kept, cut and not stored, averaged over nodes with parts', () => {
    const at = route(ONE_LAYER, 1, 0.25, 'summed');
    const stored = new Map([['0.post.1', { stored_share: 1 }], ['0.mid.1', { stored_share: 0.95 }]]);
    const total = summary(at, stored);
    expect(total).toMatchObject({ nodes: 4, edges: 4 });
    expect(total.kept).toBeCloseTo((1 + 0.8) / 2);
    expect(total.under).toBeCloseTo(0.15 / 2);
    expect(total.unstored).toBeCloseTo(0.05 / 2);
  });

  it('no edges at all: the target alone, nothing divided by zero', () => {
    const at = route([], 3, 0.01, 'renormalised');
    expect([...at.nodes.keys()]).toEqual(['0.post.3']);
    expect(summary(at, new Map()).kept).toBe(0);
  });
});

describe('against the literal walk on golden data', () => {
  const prompts = [];
  beforeAll(async () => {
    const { query } = await startEngine();
    for (const [run, id, bucket] of [['golden', 0, 0], ['golden', 7, 1], ['golden', 9, 2], ['parallel', 0, 0], ['parallel', 2, 1]]) {
      const index = json(`${run}/index.json`);
      const files = (table) => [`${run}/${table}/bucket-${bucket}.parquet`];
      const rows = (await query(sql('edges'), { id }, { edges: files('edges') })).map((edge) => ({ ...edge, kind: KINDS[edge.kind] }));
      const [{ targets }] = await query(sql('prompt'), { id }, { prompts: files('prompts') });
      const reaches = await query('SELECT * FROM {nodes} WHERE prompt_id = $id', { id }, { nodes: files('nodes') });
      prompts.push({ rows, targets, reaches, shape: { parallel: index.parallel, nLayers: index.n_layers } });
    }
  });

  it.each(MODES)('%s: same nodes and edges at every threshold, from every target', (mode) => {
    for (const { rows, targets, shape } of prompts) {
      const graph = buildGraph(rows, shape);
      for (const target of targets) {
        const reach = reachFrom(graph, target, mode);
        for (const tau of [0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.9]) {
          const at = routeAt(graph, reach, tau);
          const expected = literalWalk(rows, target, tau, mode, shape);
          expect(new Set(at.nodes.keys())).toEqual(expected.nodes);
          expect(new Set(at.edges.keys())).toEqual(expected.edges);
        }
      }
    }
  });

  it('renormalised reaches exactly the per-head route, and sums to 1 at each node that has parts', () => {
    for (const { rows, targets, shape } of prompts) {
      for (const tau of [0.01, 0.07, 0.2]) {
        const target = targets.at(-1);
        const perHead = route(rows, target, tau, 'per_head', shape);
        const renormalised = route(rows, target, tau, 'renormalised', shape);
        expect([...renormalised.edges.keys()]).toEqual([...perHead.edges.keys()]);
        expect([...renormalised.nodes.keys()]).toEqual([...perHead.nodes.keys()]);
        const sums = new Map();
        for (const edge of renormalised.edges.values()) sums.set(edge.to, (sums.get(edge.to) ?? 0) + edge.shown);
        for (const sum of sums.values()) expect(sum).toBeCloseTo(1, 9);
      }
    }
  });

  it('a stored edge at an exact share: on the route just below it, off it at it', () => {
    const { rows, targets, shape } = prompts[0];
    const graph = buildGraph(rows, shape);
    const reach = reachFrom(graph, targets.at(-1), 'summed');
    for (const [key, bottleneck] of [...reach.edges].slice(0, 40)) {
      expect(routeAt(graph, reach, bottleneck).edges.has(key)).toBe(false);
      expect(routeAt(graph, reach, bottleneck - 1e-9).edges.has(key)).toBe(true);
    }
  });

  it('reach equals the stored columns, the largest over all targets', () => {
    for (const { rows, targets, reaches, shape } of prompts) {
      const graph = buildGraph(rows, shape);
      for (const [mode, column] of [['summed', 'reach_summed'], ['per_head', 'reach_per_head']]) {
        const all = targets.map((target) => reachFrom(graph, target, mode));
        for (const node of reaches) {
          const here = Math.max(0, ...all.map((reach) => Math.min(1, reach.nodes.get(nodeKey(node.layer, node.point, node.pos)) ?? 0)));
          expect(here > 0.01 ? here : 0).toBeCloseTo(node[column], 6);
        }
      }
    }
  });

  it('the histogram counts one share per edge, or per head', () => {
    const { rows, targets, shape } = prompts[3];
    const graph = buildGraph(rows, shape);
    const summed = reachFrom(graph, targets.at(-1), 'summed');
    expect(sharesOf(graph, summed)).toHaveLength(summed.edges.size);
    const perHead = sharesOf(graph, reachFrom(graph, targets.at(-1), 'per_head'));
    expect(perHead.every((share) => share > 0.01)).toBe(true);
  });
});
