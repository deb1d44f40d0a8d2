/** Estimates with their intervals, one below the other on one scale: of groups, kinds of tokens, runs. */

import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { clip, integer } from './format.js';
import { exactWords, intervalWords } from './interval.js';
import { spanOf, ticksBetween } from './ticks.js';

const ROW = 22;
const GLYPH = 7.4; // of a label's character
const DIGIT = 7; // of a number's
const TOP = 16;
const BELOW = 26;

/**
 * @typedef {import('./interval.js').Estimate & { label: string, n: number, chance?: number | null, href?: string, strong?: boolean }} ForestRow
 *   `n` is what the estimate is of; `chance` a tick beside it
 * @typedef {{ rows: ForestRow[], name: string, title: string, unit: string, of: string, width: number, show: (value: number | null) => string,
 *   kind?: string, sql?: HTMLAnchorElement, span?: [number, number] }} ForestProps `of` names what is counted by `n`; `kind` is a class that colours it
 */

/** @param {ForestProps} props @param {number} left @param {number} right */
function scaleOf({ rows, span }, left, right) {
  const [from, to] = span ?? spanOf(rows.flatMap(({ value, low, high, chance }) => [value, low, high, chance]));
  return { from, to, x: (/** @type {number} */ value) => left + ((right - left) * (value - from)) / (to - from) };
}

/** @param {ForestRow} row @param {number} y @param {(value: number) => number} x */
function mark({ value, low, high, chance }, y, x) {
  return [
    chance === null || chance === undefined ? null : s('path', { class: 'chance', d: `M${x(chance).toFixed(1)},${y - 7}v14` }),
    low === null || high === null ? null : s('path', { class: 'range', d: `M${x(low).toFixed(1)},${y}H${x(high).toFixed(1)}` }),
    value === null ? null : s('circle', { class: 'dot', cx: x(value).toFixed(1), cy: y, r: 4 }),
  ];
}

/** @param {ForestProps} props @returns {HTMLElement} */
export function forest(props) {
  const { rows, name, title, unit, of, width, show, kind = '', sql } = props;
  const numbers = rows.map((row) => ({ value: show(row.value), range: intervalWords(row, show), n: integer(row.n) }));
  const longest = (/** @type {string[]} */ words) => words.reduce((most, word) => Math.max(most, word.length), 0);
  const most = Math.max(8, Math.floor((width * 0.3) / GLYPH));
  const left = Math.min(most, longest(rows.map(({ label }) => label))) * GLYPH + 10;
  const roomy = width > 460;
  const columns = [longest(numbers.map(({ value }) => value)), roomy ? longest(numbers.map(({ range }) => range)) : 0, longest([...numbers.map(({ n }) => n), of])].map((length) => length * DIGIT);
  const right = width - columns[0] - columns[1] - columns[2] - (roomy ? 44 : 32);
  const scale = scaleOf(props, left, right);
  const height = TOP + rows.length * ROW + BELOW;
  const bottom = TOP + rows.length * ROW;
  const ticks = ticksBetween(scale.from, scale.to, Math.max(2, Math.floor((right - left) / 60)));
  const lines = rows.map((row, i) => {
    const y = TOP + (i + 0.5) * ROW;
    const words = s('text', { class: `row-name${row.strong ? ' strong' : ''}`, x: left - 10, y: y + 4, 'text-anchor': 'end' }, clip(row.label, most));
    return s(
      'g',
      { class: 'forest-row', 'data-testid': `${name}-row`, 'data-value': row.value },
      s('title', {}, `${row.label}: ${exactWords(row)}, ${integer(row.n)} ${of}`),
      s('rect', { class: 'hit', x: 0, y: y - ROW / 2, width, height: ROW }),
      row.href ? s('a', { href: row.href }, words) : words,
      ...mark(row, y, scale.x),
      s('text', { class: 'number', x: right + 16 + columns[0], y: y + 4, 'text-anchor': 'end' }, numbers[i].value),
      roomy ? s('text', { class: 'number quiet', x: right + 28 + columns[0] + columns[1], y: y + 4, 'text-anchor': 'end' }, numbers[i].range) : null,
      s('text', { class: 'number quiet', x: width - 2, y: y + 4, 'text-anchor': 'end' }, numbers[i].n),
    );
  });
  const svg = s(
    'svg',
    { class: `forest ${kind}`, viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': `${title}: ${rows.slice(0, 12).map((row, i) => `${row.label} ${numbers[i].value}`).join(', ')}` },
    ...ticks.map((tick) => s('path', { class: tick === 0 ? 'grid zero' : 'grid', d: `M${scale.x(tick).toFixed(1)},${TOP - 2}V${bottom + 4}` })),
    ...ticks.map((tick) => s('text', { class: 'tick', x: scale.x(tick).toFixed(1), y: bottom + 16, 'text-anchor': 'middle' }, String(tick).replace('-', '−'))),
    s('text', { class: 'tick', x: width - 2, y: TOP - 4, 'text-anchor': 'end' }, of),
    roomy ? s('text', { class: 'tick', x: right + 28 + columns[0] + columns[1], y: TOP - 4, 'text-anchor': 'end' }, '95% interval') : null,
    ...lines,
  );
  const table = () => ({
    columns: ['name', unit, 'low', 'high', of, ...(rows.some(({ chance }) => chance !== undefined) ? ['chance'] : [])],
    rows: rows.map((row) => [row.label, row.value, row.low, row.high, row.n, ...(row.chance === undefined ? [] : [row.chance])]),
  });
  return h('figure', { class: 'small-figure', 'data-testid': name }, h('figcaption', {}, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name, svg: () => /** @type {any} */ (svg), table, title: () => title, sql })), /** @type {any} */ (svg));
}
