/** Small charts of a table: bars with names, lines, points, columns of a histogram. Each is an SVG as wide as it is told. */

import './chart.css';
import { labelOf } from './chart-choice.js';
import { s } from './dom.js';
import { clip, exact, showText } from './format.js';
import { extentOf, linear, tickLabel, ticks } from './plot.js';

/** @typedef {import('./figure.js').Numbers} Numbers */
/** @typedef {import('./chart-choice.js').Spec} Spec */

export const MOST_BARS = 60;
const MOST_POINTS = 20_000;
const ROW = 20;
const LETTER = 7.3; // width of a character of a label
const FOOT = 40;

/** @param {number} width @param {number} height @param {string} label @param {...(Node | null)} children */
const frame = (width, height, label, ...children) =>
  s('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label, 'data-testid': 'chart' }, ...children);

/**
 * Ticks with grid lines below, and the axis' name.
 * @param {{ scale: (value: number) => number, marks: number[], names?: string[] | null, name: string, top: number, bottom: number, left: number, right: number }} axis
 */
function below({ scale, marks, names = null, name, top, bottom, left, right }) {
  const lines = marks.map((value, i) => {
    const x = scale(value).toFixed(1);
    return [s('path', { class: value === 0 ? 'zero' : 'grid', d: `M${x},${top}V${bottom}` }), s('text', { x, y: bottom + 15, 'text-anchor': 'middle' }, names ? names[i] : tickLabel(value))];
  });
  return s('g', { class: 'axis' }, ...lines.flat(), s('text', { class: 'axis-name', x: (left + right) / 2, y: bottom + 32, 'text-anchor': 'middle' }, name));
}

/** @param {{ scale: (value: number) => number, marks: number[], name: string, left: number, right: number, top: number }} axis */
function beside({ scale, marks, name, left, right, top }) {
  const lines = marks.map((value) => {
    const y = scale(value).toFixed(1);
    return [s('path', { class: value === 0 ? 'zero' : 'grid', d: `M${left},${y}H${right}` }), s('text', { x: left - 6, y: Number(y) + 3.5, 'text-anchor': 'end' }, tickLabel(value))];
  });
  return s('g', { class: 'axis' }, ...lines.flat(), s('text', { class: 'axis-name', x: 0, y: top - 8 }, name));
}

/**
 * Bars from left to right, each with its name; a thin line is the interval.
 * @param {{ bars: { label: string, value: number, low?: number | null, high?: number | null, note?: string, mark?: string }[], name: string, width: number, domain?: [number, number], ends?: string }} props
 *   `ends` says what the line goes between; `note` is said when pointing, besides name and value; `mark` is a class of the bar
 */
export function barChart({ bars, name, width, domain, ends: between = '95% interval' }) {
  const ends = bars.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  const left = Math.min(width * 0.42, Math.max(40, ...bars.map(({ label }) => Math.min(40, label.length) * LETTER + 10)));
  const right = width - 64;
  const scale = linear(domain ?? extentOf(ends, { zero: true }), [left, right]);
  const bottom = 6 + bars.length * ROW;
  const room = Math.max(3, Math.floor((left - 10) / LETTER));
  const rows = bars.map(({ label, value, low, high, note, mark = '' }, i) => {
    const y = 6 + i * ROW;
    const [from, to] = [scale(0), scale(value)].sort((a, b) => a - b);
    const far = Math.max(to, scale(high ?? value));
    const line = low === null || low === undefined || high === null || high === undefined ? null : s('path', { class: 'interval', d: `M${scale(low).toFixed(1)},${y + ROW / 2 - 1}H${scale(high).toFixed(1)}` });
    return s(
      'g',
      { class: 'bar-row', 'data-value': exact(value), 'data-label': label },
      s('title', {}, `${label}: ${exact(value)}${line ? ` (${between} ${exact(low)} to ${exact(high)})` : ''}${note ? `, ${note}` : ''}`),
      s('rect', { class: 'hit', x: 0, y, width, height: ROW }),
      s('text', { class: 'label', x: left - 6, y: y + 13, 'text-anchor': 'end' }, clip(showText(label), room)),
      s('rect', { class: `mark ${value < 0 ? 'minus' : 'plus'} ${mark}`, x: from, y: y + 3, width: Math.max(1, to - from), height: ROW - 8 }),
      line,
      s('text', { class: 'value', x: Math.max(far, scale(0)) + 6, y: y + 13 }, tickLabel(Number(value.toPrecision(3)))),
    );
  });
  const marks = ticks(...(domain ?? extentOf(ends, { zero: true })), Math.max(2, (right - left) / 80));
  return frame(width, bottom + FOOT, `${name}: ${bars.length} bars`, below({ scale, marks, name, top: 4, bottom, left, right }), ...rows);
}

/**
 * Columns of a histogram.
 * @param {{ columns: { low: number, high: number, n: number }[], labels?: string[] | null, name: string, unit: string, width: number, height?: number }} props
 *   `name` is of the axis below; `labels` name the columns where their ends say nothing
 */
export function histogram({ columns, labels = null, name, unit, width, height = 220 }) {
  const [left, right, top, bottom] = [44, width - 10, 26, height - FOOT];
  const across = linear([columns[0].low, columns[columns.length - 1].high], [left, right]);
  const most = Math.max(1, ...columns.map(({ n }) => n));
  const up = linear([0, most], [bottom, top]);
  const marks = columns.map(({ low, high, n }, i) =>
    s('rect', { class: 'mark plus bin', 'data-n': n, 'data-low': low, x: across(low) + 0.5, y: up(n), width: Math.max(1, across(high) - across(low) - 1), height: bottom - up(n) }, s('title', {}, `${name} ${labels ? labels[i] : `${tickLabel(low)} to ${tickLabel(high)}`}: ${n} ${unit}`)),
  );
  const under = labels ? columns.map(({ low }) => low + 0.5) : ticks(columns[0].low, columns[columns.length - 1].high, Math.max(2, width / 90));
  const axes = [
    below({ scale: across, marks: under, names: labels, name, top: bottom, bottom, left, right }),
    beside({ scale: up, marks: ticks(0, most, 3), name: unit, left, right, top }),
  ];
  return frame(width, height, `${unit} by ${name}`, ...axes, ...marks);
}

/** @param {Numbers} numbers @param {Spec} spec */
function pointsOf(numbers, { x, y, labels, series, low, high }) {
  const known = series < 0 ? [] : [...new Set(numbers.rows.map((row) => String(row[series])))];
  const points = numbers.rows
    .filter((row) => typeof row[x] === 'number' && typeof row[y] === 'number')
    .slice(0, MOST_POINTS)
    .map((row) => ({ x: Number(row[x]), y: Number(row[y]), label: labelOf(numbers, row, labels), series: series < 0 ? 0 : known.indexOf(String(row[series])), low: low < 0 ? null : row[low], high: high < 0 ? null : row[high] }));
  return { points, known };
}

/** @typedef {ReturnType<typeof pointsOf>['points'][number]} Point */

/** @param {Point[]} points @param {(value: number) => number} across @param {(value: number) => number} up */
function drawLines(points, across, up) {
  const byX = [...points].sort((a, b) => a.x - b.x);
  const known = [...new Set(points.map(({ series }) => series))];
  return known.flatMap((one) => {
    const own = byX.filter(({ series }) => series === one);
    const bars = own.filter(({ low, high }) => typeof low === 'number' && typeof high === 'number');
    return [
      s('path', { class: `line k${one}`, d: own.map((point, i) => `${i ? 'L' : 'M'}${across(point.x).toFixed(1)},${up(point.y).toFixed(1)}`).join('') }),
      s('path', { class: 'interval', d: bars.map((point) => `M${across(point.x).toFixed(1)},${up(Number(point.low)).toFixed(1)}V${up(Number(point.high)).toFixed(1)}`).join('') }),
    ];
  });
}

/** Points of one colour as one path each: thousands stay a handful of elements. @param {Point[]} points @param {(value: number) => number} across @param {(value: number) => number} up */
function drawPoints(points, across, up) {
  const r = points.length > 2000 ? 1.6 : points.length > 300 ? 2.4 : 3.4;
  const known = [...new Set(points.map(({ series }) => series))];
  return known.map((one) => {
    const dots = points.filter(({ series }) => series === one).map((point) => `M${(across(point.x) - r).toFixed(1)},${up(point.y).toFixed(1)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`);
    return s('path', { class: `points k${one}`, d: dots.join('') });
  });
}

/** @param {string[]} names @param {number} left */
function legend(names, left) {
  let x = left;
  const entries = names.map((name, i) => {
    const at = x;
    const words = clip(showText(name), 20);
    x += words.length * LETTER + 26;
    return s('g', { transform: `translate(${at},0)` }, s('rect', { class: `swatch k${i}`, x: 0, y: 2, width: 10, height: 10 }), s('text', { x: 14, y: 11 }, words));
  });
  return { el: s('g', { class: 'legend' }, ...entries), width: x };
}

/**
 * A line or points over two numbers.
 * @param {Numbers} numbers @param {Spec} spec @param {number} width @param {number} [height]
 * @param {{ at: number[], names: string[] } | null} [named] ticks of the axis below, where numbers alone would not do
 */
export function xyChart(numbers, spec, width, height = 360, named = null) {
  const { points, known } = pointsOf(numbers, spec);
  const names = [numbers.columns[spec.x], numbers.columns[spec.y]];
  const head = known.length ? 44 : 26;
  const [left, right, top, bottom] = [58, width - 14, head, height - FOOT];
  const [domainX, domainY] = [extentOf(points.map(({ x }) => x)), extentOf(points.map(({ y }) => y))];
  const [across, up] = [linear(domainX, [left, right]), linear(domainY, [bottom, top])];
  const key = legend(known, left);
  return frame(
    width,
    height,
    `${names[1]} by ${names[0]}: ${points.length} points`,
    below({ scale: across, marks: named?.at ?? ticks(...domainX, Math.max(2, width / 110)), names: named?.names, name: names[0], top, bottom, left, right }),
    beside({ scale: up, marks: ticks(...domainY, 5), name: names[1], left, right, top }),
    known.length && key.width < width ? key.el : null,
    ...(spec.kind === 'line' ? drawLines(points, across, up) : []),
    ...drawPoints(points, across, up),
    ...(points.length <= 400 ? points.map((point) => s('circle', { class: 'hit', cx: across(point.x), cy: up(point.y), r: 7 }, s('title', {}, `${point.label === '–' ? '' : `${point.label}: `}${names[0]} ${exact(point.x)}, ${names[1]} ${exact(point.y)}`))) : []),
  );
}

/** The chart of a result. @param {Numbers} numbers @param {Spec} spec @param {number} width */
export function chartOf(numbers, spec, width) {
  if (spec.kind !== 'bar') return xyChart(numbers, spec, width);
  const rows = numbers.rows.filter((row) => typeof row[spec.y] === 'number').slice(0, MOST_BARS);
  const number = (/** @type {import('./figure.js').Cell[]} */ row, /** @type {number} */ at) => (at >= 0 && typeof row[at] === 'number' ? row[at] : null);
  const bars = rows.map((row) => ({ label: labelOf(numbers, row, spec.labels), value: Number(row[spec.y]), low: number(row, spec.low), high: number(row, spec.high) }));
  return barChart({ bars, name: numbers.columns[spec.y], width });
}
