/** A route small enough for a list: where the prediction came through, with one edge or square pointed out. */

import { s } from './dom.js';
import { curvesOf, layoutFor, mlpAt, pathOf, xOf, yOf } from './layout.js';
import { buildGraph, reachFrom, routeAt } from './routes.js';
import { binOf } from './sizes.js';

const WIDTH = 208;
const HEIGHT = 108;
const FAINT = 160; // edges behind the route, at most

/** @typedef {{ layer: number, kind: 'attn' | 'mlp', dst: number, src: number }} Pointed */

/**
 * @param {import('./data.js').PromptData} data @param {{ nLayers: number, parallel: boolean }} shape
 * @param {{ tau: number, target: number, pointed: Pointed }} options `pointed` is drawn on top whether it is on the route of the target or not
 * @returns {SVGSVGElement}
 */
export function miniRoute(data, shape, { tau, target, pointed }) {
  const graph = buildGraph(data.edges, shape);
  const route = routeAt(graph, reachFrom(graph, target, 'summed'), tau);
  const layout = layoutFor({ nTokens: data.prompt.n_tokens, nLayers: shape.nLayers, parallel: shape.parallel, width: WIDTH, height: HEIGHT + 20 });
  const lines = (/** @type {{ key: string }[]} */ edges) => edges.map((edge) => pathOf(curvesOf(layout, /** @type {any} */ (edge)))).join('');
  const faint = graph.parts.filter((part) => !route.edges.has(part.key)).sort((a, b) => b.share - a.share).slice(0, FAINT);
  /** @type {Map<string, { key: string }[]>} */
  const bins = new Map();
  for (const edge of route.edges.values()) {
    const look = `edge ${edge.kind === 'mlp' ? 'mlp' : 'attn'} b${binOf(edge.shown)}`;
    bins.set(look, [...(bins.get(look) ?? []), edge]);
  }
  const at = mlpAt(layout, pointed.layer, pointed.dst);
  return s(
    'svg',
    { class: 'mini-route', viewBox: `0 22 ${layout.width.toFixed(1)} ${(layout.height - 22).toFixed(1)}`, 'aria-hidden': 'true', preserveAspectRatio: 'none' },
    s('path', { class: 'faint', d: lines(faint) }),
    ...[...bins].map(([look, edges]) => s('path', { class: look, d: lines(edges) })),
    pointed.kind === 'mlp' ? s('circle', { class: 'pointed-square', cx: at.x, cy: at.y, r: 4 }) : s('path', { class: 'pointed', d: lines([{ key: '', ...pointed }]) }),
    s('circle', { class: 'node target', cx: xOf(layout, target), cy: yOf(layout, shape.nLayers - 1, 'post'), r: 3 }),
  );
}
