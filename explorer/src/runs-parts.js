/** Tables and figures of two runs compared. */

import { xyChart } from './chart.js';
import { componentColumn } from './component-link.js';
import { corpusFigure } from './corpus-figure.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { clip, exact, fraction, integer, quantity, showText } from './format.js';
import { estimateOf, exactWords, intervalMark, intervalWords, written } from './interval.js';
import { MEASURES } from './measures.js';
import { rowWords } from './name-label.js';
import { halfOf } from './page-parts.js';
import { signed } from './panel-parts.js';
import { signedShare } from './signed.js';
import { format, promptState } from './state.js';
import { spanOf } from './ticks.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./compared.js').Compared} Compared */
/** @typedef {import('./data.js').RunIndex} RunIndex */
/** @typedef {import('./state.js').CompareState} CompareState */

/** How a difference of a measure is written. @param {string} measure */
const shower = (measure) => (MEASURES[measure].signed ? signed : signedShare);

/** @param {RunIndex} index of the first run @param {CompareState} state @param {Compared} pair @param {Row[]} rows @returns {import('./data-table.js').Column[]} */
export function componentColumns(index, { measure }, pair, rows) {
  const show = shower(measure);
  const span = spanOf(rows.flatMap((row) => [row.difference, row.difference_low, row.difference_high]));
  const mean = (/** @type {'a' | 'b'} */ side) => ({ name: `mean_${side}`, label: showText(pair[side]), class: 'secondary', title: `mean in ${pair[side]}`, value: (/** @type {Row} */ row) => row[`mean_${side}`], show: (/** @type {Row} */ row) => written(measure, row[`mean_${side}`]), hint: (/** @type {Row} */ row) => exact(row[`mean_${side}`]) });
  return [
    componentColumn(index),
    { name: 'difference', value: (row) => row.difference, show: (row) => show(row.difference), hint: (row) => exactWords(estimateOf(row, 'difference')) },
    { name: 'difference_low', label: '95% interval', class: 'interval-cell', value: (row) => row.difference_low, show: (row) => intervalMark(estimateOf(row, 'difference'), span, { kind: 'signed' }), hint: (row) => exactWords(estimateOf(row, 'difference')), also: { difference_high: (row) => row.difference_high } },
    { name: 'q', title: 'Benjamini-Hochberg', value: (row) => row.q, show: (row) => fraction(row.q), hint: (row) => exact(row.q) },
    { name: 'standardised', label: 'std. effect', class: 'secondary', title: 'mean difference over its standard deviation', value: (row) => row.standardised, show: (row) => quantity(row.standardised), hint: (row) => exact(row.standardised) },
    { name: 'correlation', class: 'secondary', title: 'of the two runs’ values over prompts', value: (row) => row.correlation, show: (row) => quantity(row.correlation), hint: (row) => exact(row.correlation) },
    mean('a'),
    mean('b'),
  ];
}

/**
 * @param {{ rows: Row[], index: RunIndex, state: CompareState, pair: Compared, width: number, title: string,
 *   sql: HTMLAnchorElement, onChoose: (row: Row) => void }} props
 */
export function differenceFigure({ rows, index, state, pair, width, title, sql, onChoose }) {
  const { measure } = state;
  const show = shower(measure);
  return corpusFigure({
    rows,
    nLayers: index.n_layers,
    nHeads: index.n_heads,
    measure,
    column: 'difference',
    width: halfOf(width),
    title,
    sql,
    onChoose,
    words: (row) => [h('b', {}, ...rowWords(index, row)), ` ${written(measure, row.mean_a)} in ${showText(pair.a)}, ${written(measure, row.mean_b)} in ${showText(pair.b)}: `, h('b', { title: exactWords(estimateOf(row, 'difference')) }, show(row.difference)), ` (95%: ${intervalWords(estimateOf(row, 'difference'), show)}), q ${fraction(row.q)}, over ${integer(row.n)} prompts`],
    rest: ['Point at a cell, or walk with the arrow keys, for both means and the difference; Enter or a click opens a head.'],
  });
}

/** @param {Compared} pair @param {(token: string) => string} token @returns {import('./data-table.js').Column[]} */
export function promptColumns(pair, token) {
  const open = (/** @type {'a' | 'b'} */ side, /** @type {Row} */ row) => h('a', { href: format(promptState(pair[side], row[`prompt_${side}`])), title: `prompt ${row[`prompt_${side}`]} in ${showText(pair[side])}` }, showText(pair[side]));
  const sides = (/** @type {string} */ name, /** @type {string} */ label, /** @type {(value: any) => string} */ show) => ({ name: `${name}_a`, label, class: 'secondary', value: (/** @type {Row} */ row) => row[`${name}_a`], show: (/** @type {Row} */ row) => `${show(row[`${name}_a`])} → ${show(row[`${name}_b`])}`, also: { [`${name}_b`]: (/** @type {Row} */ row) => row[`${name}_b`] } });
  return [
    { name: 'prompt_a', label: 'prompt', text: true, value: (row) => row.prompt_a, show: (row) => [open('a', row), ' ', open('b', row)], also: { prompt_b: (row) => row.prompt_b } },
    { name: 'text', text: true, class: 'prompt-text', value: (row) => row.text, show: (row) => h('bdi', {}, clip(showText(row.text), 70)), hint: (row) => showText(row.text) },
    { name: 'distance', title: 'mean absolute difference of the shares of heads and MLPs', value: (row) => row.distance, show: (row) => fraction(row.distance), hint: (row) => exact(row.distance) },
    { name: 'largest', label: 'differ most', class: 'secondary', value: (row) => row.largest, show: (row) => (row.distance === 0 ? '–' : String(row.largest ?? '–').replaceAll('-', '−')) },
    { name: 'change', label: 'change of the answer’s probability', value: (row) => row.change, show: (row) => signedShare(row.change), hint: (row) => `${exact(row.answer_prob_a)} → ${exact(row.answer_prob_b)}`, also: { answer_prob_a: (row) => row.answer_prob_a, answer_prob_b: (row) => row.answer_prob_b } },
    sides('predicted', 'prediction', (value) => token(String(value))),
    sides('answer_rank', 'rank', (value) => String(value)),
    { name: 'n_edges_both', label: 'edges in both', class: 'secondary', title: 'edges on the route in both, and in either', value: (row) => row.n_edges_both, show: (row) => (row.n_edges_both === null ? '–' : `${integer(row.n_edges_both)} of ${integer(row.n_edges_a + row.n_edges_b - row.n_edges_both)}`), also: { n_edges_a: (row) => row.n_edges_a, n_edges_b: (row) => row.n_edges_b } },
  ];
}

/** Each prompt as a point: how far its shares moved, and what became of its answer. @param {{ rows: Row[], width: number, title: string, sql: HTMLAnchorElement }} props */
export function promptFigure({ rows, width, title, sql }) {
  const numbers = { columns: ['mean distance of shares', 'change of the answer’s probability', 'prompt'], rows: rows.map((row) => [row.distance, row.change, `prompt ${row.prompt_a}`]) };
  const svg = xyChart(numbers, { kind: 'scatter', labels: [2], x: 0, y: 1, low: -1, high: -1, series: -1 }, Math.min(width, 900), 300);
  return h('figure', { class: 'chart-frame', 'data-testid': 'compared-prompts' }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name: 'prompts-in-two-runs', svg: () => svg, table: () => numbers, sql })), /** @type {any} */ (svg));
}
