/** How the answer and the foil come up: their probability and rank in the lens of every node of a column. */

import { nodeName } from './describe.js';
import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { clip, exact, fraction, integer, showToken } from './format.js';
import { rowsOf } from './layout.js';
import { nodeKey } from './routes.js';

const LEFT = 40;
const RIGHT = 10;
const BAND = 74; // height of each of the two charts
const GAP = 26;
const TOP = 8;

/**
 * @typedef {{ key: string, name: string, rank: number, prob: number }} Point
 * @typedef {{ name: 'answer' | 'foil', token: string, points: (Point | null)[] }} Line
 */

/**
 * Rank and probability of answer and foil at every node of a target's column.
 * @param {Map<string, import('./data.js').NodeRow>} nodes @param {import('./data.js').Target} target
 * @param {{ nLayers: number, parallel: boolean }} shape @returns {Line[]} a null point where the node is not stored
 */
export function linesOf(nodes, target, shape) {
  const line = (/** @type {'answer' | 'foil'} */ name) =>
    rowsOf(shape).map(({ layer, point }) => {
      const key = nodeKey(layer, point, target.target);
      const node = nodes.get(key);
      const rank = node?.[`${name}_rank`] ?? null;
      const logit = node?.[`${name}_logit`] ?? null;
      if (!node || rank === null || logit === null) return null;
      return { key, name: nodeName({ layer, point }), rank, prob: Math.exp(logit - node.logsumexp) };
    });
  /** @type {Line[]} */
  const lines = [{ name: 'answer', token: target.answer ?? '?', points: line('answer') }];
  if (target.foil_id !== null) lines.push({ name: 'foil', token: target.foil ?? '?', points: line('foil') });
  return lines;
}

/** @param {number[]} xs @param {(number | null)[]} ys */
function pathThrough(xs, ys) {
  let pen = 'M';
  return ys
    .map((y, i) => {
      if (y === null) {
        pen = 'M';
        return '';
      }
      const step = `${pen}${xs[i].toFixed(1)},${y.toFixed(1)}`;
      pen = 'L';
      return step;
    })
    .join('');
}

/** @param {Line} line @param {number[]} xs @param {(point: Point) => number} y @param {string | null} here */
function series(line, xs, y, here) {
  const ys = line.points.map((point) => (point ? y(point) : null));
  const marks = line.points.map((point, i) => {
    if (!point) return null;
    const size = point.key === here ? 4.5 : 2.6;
    const at = { class: `mark${point.key === here ? ' here' : ''}` };
    return line.name === 'answer'
      ? s('circle', { ...at, cx: xs[i], cy: /** @type {number} */ (ys[i]), r: size })
      : s('rect', { ...at, x: xs[i] - size, y: /** @type {number} */ (ys[i]) - size, width: 2 * size, height: 2 * size });
  });
  return s('g', { class: `series ${line.name}` }, s('path', { d: pathThrough(xs, ys) }), ...marks);
}

/** Lines across one of the two charts. @param {[number, string][]} ticks y and its word @param {number} right @param {string} title */
function grid(ticks, right, title) {
  const [, top] = [0, Math.min(...ticks.map(([y]) => y))];
  return [
    ...ticks.flatMap(([y, word]) => [s('path', { class: 'grid', d: `M${LEFT},${y}H${right}` }), s('text', { class: 'tick', x: LEFT - 5, y: y + 3.5, 'text-anchor': 'end' }, word)]),
    s('text', { class: 'caption', x: LEFT, y: top - 4 }, title),
  ];
}

/**
 * @param {{ sql: HTMLAnchorElement, nodes: Map<string, import('./data.js').NodeRow>, target: import('./data.js').Target,
 *   shape: { nLayers: number, parallel: boolean }, here: string | null, width: number, onSelect: (key: string) => void }} props
 *   `here` is the node that is selected
 * @returns {HTMLElement}
 */
export function answerChart({ sql, nodes, target, shape, here, width, onSelect }) {
  const lines = linesOf(nodes, target, shape);
  const rows = rowsOf(shape);
  const right = width - RIGHT;
  const xs = rows.map((_, i) => LEFT + 8 + ((right - LEFT - 16) * i) / Math.max(1, rows.length - 1));
  const probTop = TOP + 12;
  const rankTop = probTop + BAND + GAP;
  const height = rankTop + BAND + 22;
  const worst = Math.max(10, ...lines.flatMap((line) => line.points.map((point) => point?.rank ?? 1)));
  const decades = Math.ceil(Math.log10(worst));
  const yProb = (/** @type {Point} */ point) => probTop + BAND * (1 - point.prob);
  const yRank = (/** @type {{ rank: number }} */ point) => rankTop + (BAND * Math.log10(point.rank)) / decades;
  const step = Math.ceil((shape.nLayers * 16) / (right - LEFT));
  const layers = rows.flatMap(({ layer, point }, i) => (point === 'post' && (layer < 0 || layer % step === step - 1 || step === 1) ? [s('text', { class: 'tick', x: xs[i], y: height - 6, 'text-anchor': 'middle' }, layer < 0 ? 'emb' : `L${layer}`)] : []));
  const column = (xs[1] ?? xs[0] + 10) - xs[0];
  const hits = rows.map(({ layer, point }, i) => {
    const key = nodeKey(layer, point, target.target);
    const words = lines.map((line) => {
      const found = line.points[i];
      return `${line.name} ${showToken(line.token)}: ${found ? `rank ${integer(found.rank)}, probability ${exact(found.prob)}` : 'not stored'}`;
    });
    return s('rect', { class: 'hit', x: xs[i] - column / 2, y: 0, width: column, height, 'data-key': key, onclick: () => onSelect(key) }, s('title', {}, [nodeName({ layer, point }), ...words].join('\n')));
  });
  const at = rows.findIndex(({ layer, point }) => nodeKey(layer, point, target.target) === here);
  const ranks = Array.from({ length: decades + 1 }, (_, i) => /** @type {[number, string]} */ ([yRank({ rank: 10 ** i }), i > 3 ? `1e${i}` : integer(10 ** i)]));
  const svg = s(
    'svg',
    { class: 'answer-chart', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': describe(lines) },
    at < 0 ? null : s('path', { class: 'cursor', d: `M${xs[at]},${probTop}V${rankTop + BAND}` }),
    ...grid([0, 0.5, 1].map((p) => [probTop + BAND * (1 - p), String(p)]), right, 'probability'),
    ...grid(ranks, right, 'rank (log scale)'),
    ...lines.flatMap((line) => [series(line, xs, yProb, here), series(line, xs, yRank, here)]).reverse(),
    ...layers,
    ...hits,
  );
  const legend = lines.map((line) => h('span', { class: `key ${line.name}` }, line.name === 'answer' ? '●' : '■', ' ', line.name, ' ', h('bdi', { class: 'token' }, clip(showToken(line.token), 20))));
  const table = () => ({
    columns: ['node', 'token', 'name', 'rank', 'probability'],
    rows: lines.flatMap((line) => line.points.flatMap((point) => (point ? [[point.name, line.token, line.name, point.rank, point.prob]] : []))),
  });
  return h('figure', { class: 'small-figure', 'data-testid': 'answer-chart' }, h('figcaption', {}, ...legend, h('span', { class: 'space' }), figureTools({ name: 'answer-by-layer', svg: () => svg, table, sql })), /** @type {any} */ (svg));
}

/** In words, for who cannot see it. @param {Line[]} lines */
function describe(lines) {
  const parts = lines.map((line) => {
    const found = line.points.filter((point) => point !== null);
    const [first, last] = [found[0], found.at(-1)];
    if (!first || !last) return `${line.name} ${showToken(line.token)}: not stored`;
    const won = found.find((point) => point.rank === 1);
    return `${line.name} ${showToken(line.token)}: rank ${first.rank} at the embedding, ${last.rank} at the top with probability ${fraction(last.prob)}${won ? `, first at rank 1 at ${won.name}` : ''}`;
  });
  return `Rank and probability by layer. ${parts.join('. ')}.`;
}
