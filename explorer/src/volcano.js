/**
 * A contrast as a volcano plot: to the side the difference, upwards how surprising it is by chance. Coloured is what stays
 * under a false discovery rate of 5%; the shape says whether it is a head, an MLP, an attention block or a neuron.
 */

import { componentName } from './component-names.js';
import { surprise } from './contrast-rows.js';
import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { followCell } from './heat.js';
import { PART_WORDS } from './measures.js';
import { ticksBetween } from './ticks.js';

const LEFT = 40;
const RIGHT = 14;
const TOP = 24;
const BELOW = 44;
const NEAR = 28; // pixels
const LABELS = 14;
const GLYPH = 6.8;
const LEAST_P = 1e-30; // a smaller one is stored as this
export const RATE = 0.05;

/**
 * @typedef {import('./rows.js').Row} Row a row of `contrast.sql`
 * @typedef {{ row: Row, x: number, y: number }} Point
 * @typedef {{ rows: Row[], y: 'p' | 'q', width: number, title: string, unit: string, sides: [string, string], sql: HTMLAnchorElement,
 *   words: (row: Row) => (Node | string)[], call: (row: Row) => string, onChoose: (row: Row) => void }} VolcanoProps `sides` are the sets with
 *   less and more; `call` is what stands beside a mark
 */

/** @param {Row} row */
const classOf = (row) => (row.q !== null && row.q <= RATE ? (row.difference > 0 ? 'plus' : 'minus') : 'even');

/** Whether a height is that of the smallest p that is stored. @param {number} height */
const atCeiling = (height) => Math.abs(height + Math.log10(LEAST_P)) < 1e-6;

/** Its shape, around 0. @param {string} component */
function shapeOf(component) {
  if (component === 'mlp') return 'M-4,-4h8v8h-8z';
  if (component === 'attn') return 'M0,-5.2L5,3.6H-5z';
  const r = component === 'neuron' ? 3 : 4.2;
  return `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`;
}

/** The names that find room, the most telling first. @param {Point[]} points @param {number} width @param {(row: Row) => string} call */
function labelsOf(points, width, call) {
  const telling = points.filter(({ row }) => classOf(row) !== 'even').sort((a, b) => Math.abs(b.row.standardised ?? 0) - Math.abs(a.row.standardised ?? 0));
  /** @type {{ left: number, right: number, y: number }[]} */
  const taken = [];
  return telling.slice(0, 4 * LABELS).flatMap(({ row, x, y }) => {
    const words = call(row);
    const long = words.length * GLYPH + 8;
    const flip = x + long + 8 > width;
    const box = { left: flip ? x - long - 6 : x + 6, right: flip ? x - 6 : x + 6 + long, y };
    if (taken.length >= LABELS || taken.some((one) => Math.abs(one.y - y) < 15 && one.left < box.right && box.left < one.right)) return [];
    taken.push(box);
    return [s('text', { class: 'point-name', x: flip ? x - 8 : x + 8, y: y + 3.5, 'text-anchor': flip ? 'end' : 'start' }, words)];
  });
}

/** The point that a step of the arrow keys reaches: the next one to that side, or up or down. @param {Point[]} points @param {Point | null} from @param {number} dx @param {number} dy */
export function stepPoint(points, from, dx, dy) {
  const highest = points.reduce((/** @type {Point | null} */ best, one) => (best === null || one.y < best.y ? one : best), null);
  if (!from) return highest;
  const along = dx ? 'x' : 'y';
  const sorted = [...points].sort((a, b) => a[along] - b[along]);
  return sorted[Math.min(sorted.length - 1, Math.max(0, sorted.indexOf(from) + (dx || dy)))] ?? from;
}

/** @param {VolcanoProps} props @returns {HTMLElement} */
export function volcano(props) {
  const { rows, y: by, width, title, unit, sides, sql, words, onChoose } = props;
  const tested = rows.filter((row) => row[by] !== null && row.difference !== null);
  const reach = tested.reduce((most, row) => Math.max(most, Math.abs(row.difference)), 0) * 1.08 || 1;
  const top = Math.max(2, tested.reduce((most, row) => Math.max(most, /** @type {number} */ (surprise(row[by]))), 0) * 1.04);
  const height = Math.round(Math.min(460, Math.max(280, width * 0.72)));
  const [right, bottom] = [width - RIGHT, height - BELOW];
  const x = (/** @type {number} */ value) => LEFT + ((right - LEFT) * (value + reach)) / (2 * reach);
  const y = (/** @type {number} */ value) => bottom - ((bottom - TOP) * value) / top;
  const points = tested.map((row) => ({ row, x: x(row.difference), y: y(/** @type {number} */ (surprise(row[by]))) }));
  const line = y(/** @type {number} */ (surprise(RATE)));
  const cursor = s('circle', { class: 'cursor', r: 8, visibility: 'hidden' });
  const drawn = [...points].sort((a, b) => Number(classOf(a.row) !== 'even') - Number(classOf(b.row) !== 'even'));
  const svg = s(
    'svg',
    { class: 'volcano', viewBox: `0 0 ${width} ${height}`, width, height, role: 'application', tabindex: '0', 'data-go': 'volcano', 'data-testid': 'volcano', 'aria-roledescription': 'volcano plot', 'aria-label': `${title}. Arrow keys go from point to point, Enter opens one.` },
    ...ticksBetween(-reach, reach, Math.max(6, Math.floor(width / 80))).map((tick) => s('g', {}, s('path', { class: tick === 0 ? 'grid zero' : 'grid', d: `M${x(tick)},${TOP}V${bottom}` }), s('text', { class: 'tick', x: x(tick), y: bottom + 15, 'text-anchor': 'middle' }, String(tick).replace('-', '−')))),
    ...ticksBetween(0, top, 6).map((tick) => s('g', {}, s('path', { class: 'grid', d: `M${LEFT},${y(tick)}H${right}` }), s('text', { class: 'tick', x: LEFT - 6, y: y(tick) + 3.5, 'text-anchor': 'end' }, atCeiling(tick) ? `≥${tick}` : String(tick)))),
    s('path', { class: 'rate', d: `M${LEFT},${line.toFixed(1)}H${right}` }),
    s('text', { class: 'tick', x: right, y: line - 4, 'text-anchor': 'end' }, `${by} = ${RATE}`),
    s('text', { class: 'axis-name', x: LEFT, y: height - 6 }, `← ${sides[0]}`),
    s('text', { class: 'axis-name', x: right, y: height - 6, 'text-anchor': 'end' }, `${sides[1]} →`),
    s('text', { class: 'axis-name', x: (LEFT + right) / 2, y: height - 18, 'text-anchor': 'middle' }, `difference (${unit})`),
    s('text', { class: 'axis-name', x: 0, y: 11 }, `−log₁₀ ${by}`),
    ...drawn.map(({ row, x: px, y: py }) => s('path', { class: `point ${classOf(row)}${row.specific ? ' specific' : ''}`, transform: `translate(${px.toFixed(1)},${py.toFixed(1)})`, d: shapeOf(row.component), 'data-name': componentName(/** @type {any} */ (row)), 'data-difference': row.difference, 'data-q': row.q })),
    ...labelsOf(points, right, props.call),
    cursor,
  );
  const rest = ['Point at a mark, or walk with the arrow keys, for its numbers; Enter or a click opens a head or neuron.'];
  const readout = h('output', { class: 'readout', 'data-testid': 'volcano-readout' }, ...rest);
  followCell(/** @type {any} */ (svg), {
    cellAt: (px, py) =>
      points.reduce((/** @type {Point | null} */ best, one) => {
        const far = Math.hypot(one.x - px, one.y - py);
        return far < (best ? Math.hypot(best.x - px, best.y - py) : NEAR) ? one : best;
      }, null),
    step: (from, dx, dy) => stepPoint(points, from, dx, dy),
    show(point) {
      cursor.setAttribute('visibility', point ? 'visible' : 'hidden');
      if (point) for (const [name, value] of [['cx', point.x], ['cy', point.y]]) cursor.setAttribute(String(name), String(value));
      readout.replaceChildren(...(point ? words(point.row) : rest));
    },
    choose: ({ row }) => onChoose(row),
  });
  const table = () => ({ columns: ['component', 'difference', 'difference_low', 'difference_high', 'p', 'q'], rows: rows.map((row) => [componentName(/** @type {any} */ (row)), row.difference, row.difference_low, row.difference_high, row.p, row.q]) });
  const shapes = [...new Set(rows.map((row) => row.component))].map((component) =>
    h('span', { class: 'shape-key' }, /** @type {any} */ (s('svg', { width: 12, height: 12, viewBox: '-6 -6 12 12', 'aria-hidden': 'true' }, s('path', { class: 'point even', d: shapeOf(component) }))), ` ${PART_WORDS[/** @type {import('./measures.js').Part} */ (component)]}`));
  return h(
    'figure',
    { class: 'small-figure' },
    h('figcaption', {}, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name: 'contrast', svg: () => /** @type {any} */ (svg), table, title: () => title, sql })),
    /** @type {any} */ (svg),
    h('p', { class: 'scales' }, ...shapes, h('span', { class: 'key-plus' }, `● more in ${sides[1]}, q ≤ ${RATE}`), h('span', { class: 'key-minus' }, `● more in ${sides[0]}, q ≤ ${RATE}`), rows.some((row) => row.specific) ? h('span', {}, `○ ringed: specific to ${sides[1]}`) : null),
    readout,
  );
}
