/**
 * The route that prompts of one shape share: an edge is as wide as its mean share, and as dark as the part of the prompts that
 * hold it. Where the prompts' tokens differ, the column shows a gap.
 */

import { edgeName, tokenAt } from './describe.js';
import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { clip, exact, plural, showToken } from './format.js';
import { every } from './heat.js';
import { curvesOf, layoutFor, mlpAt, pathOf, xOf, yOf } from './layout.js';
import { binOf, scaleOf, sideOf, widthOf } from './sizes.js';

/** @typedef {import('./rows.js').Row} Row of `consensus.sql` */
/** @typedef {{ template: number, group: string | null, n_prompts: number, n_tokens: number, example_id: number, tokens: (string | null)[] }} Template */

const LEFT = 40;
const BELOW = 84;
const VARIES = '…';

/** The texts of the columns. @param {Template} template */
export const columnsOf = ({ tokens }) => tokens.map((token) => token ?? VARIES);

/** @param {Row} edge @param {Template} template */
function edgeWords(edge, template) {
  const tokens = columnsOf(template);
  const ends = edge.kind === 'attn' ? `${tokenAt(tokens, edge.src)} → ${tokenAt(tokens, edge.dst)}` : `at ${tokenAt(tokens, edge.dst)}`;
  return `${edgeName(/** @type {any} */ (edge))} ${ends}: ${edge.n_holding} of ${plural(template.n_prompts, 'prompt')}, mean share ${exact(edge.share)}`;
}

/** @param {{ edges: Row[], template: Template, nLayers: number, parallel: boolean, width: number, sql: HTMLAnchorElement, title: string }} props `edges` sum over heads */
export function consensusFigure({ edges, template, nLayers, parallel, width, sql, title }) {
  const tokens = columnsOf(template);
  const layout = layoutFor({ nTokens: tokens.length, nLayers, parallel, width: width - LEFT - 8, height: Math.min(560, 60 + nLayers * 96) });
  const drawn = [...edges].sort((a, b) => a.frequency - b.frequency || a.share - b.share);
  const [side, thin] = [sideOf(layout, 1), scaleOf(layout, 1)];
  const paths = drawn.flatMap((edge) => {
    const kind = edge.kind === 'mlp' ? 'mlp' : 'attn';
    const look = `${kind} b${binOf(edge.frequency ** 2)}`;
    const words = edgeWords(edge, template);
    const path = s('path', { class: `edge ${look}`, d: pathOf(curvesOf(layout, /** @type {any} */ (edge))), 'stroke-width': (thin * widthOf(edge.share)).toFixed(2), 'data-testid': 'consensus-edge', 'data-holding': edge.n_holding }, s('title', {}, words));
    if (kind !== 'mlp') return [path];
    const { x, y } = mlpAt(layout, edge.layer, edge.dst);
    return [path, s('rect', { class: `square ${look}`, x: x - side / 2, y: y - side / 2, width: side, height: side }, s('title', {}, words))];
  });
  const step = every(layout.dx, 15);
  const words = tokens.map((token, pos) =>
    pos % step ? null : s('text', { class: template.tokens[pos] === null ? 'varies' : null, transform: `translate(${(LEFT + xOf(layout, pos) + 4).toFixed(1)},${layout.height + 12}) rotate(-52)`, 'text-anchor': 'end' }, `${clip(token === VARIES ? token : showToken(token), 9)} ${pos}`),
  );
  const layers = Array.from({ length: nLayers + 1 }, (_, i) => s('text', { x: LEFT - 10, y: (i ? yOf(layout, i - 1, 'post') + layout.dy * 0.29 : yOf(layout, -1, 'post')) + 4, 'text-anchor': 'end' }, i ? `L${i - 1}` : 'emb'));
  const size = { width: Math.ceil(layout.width + LEFT + 8), height: Math.ceil(layout.height + BELOW) };
  const svg = s('svg', { class: 'consensus', viewBox: `0 0 ${size.width} ${size.height}`, ...size, role: 'img', 'aria-label': `${title}: ${edges.length} edges; the table lists them`, 'data-testid': 'consensus' }, s('g', { transform: `translate(${LEFT},0)` }, ...paths), ...words, ...layers);
  const columns = ['layer', 'kind', 'dst', 'src', 'head', 'n_holding', 'frequency', 'share'];
  const table = () => ({ columns, rows: edges.map((edge) => columns.map((name) => edge[name])) });
  return h('figure', { class: 'chart-frame' }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name: 'consensus', svg: () => svg, table, title: () => title, sql })), /** @type {any} */ (svg));
}
