/** Effects of removals against shares, in words and as a figure: for a prompt's panel and for the corpus. */

import { xyChart } from './chart.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { choiceField } from './page-parts.js';

/** @typedef {import('./rows.js').Row} Row */

/** @type {Record<import('./state.js').Removal, [string, string]>} words and what they mean */
export const REMOVAL_WORDS = {
  mean: ['its mean', 'The output is replaced by its mean over the dataset: what varies from prompt to prompt is gone'],
  zero: ['zero', 'The output is set to zero: its constant part is gone too, which the model has learned to expect'],
};

/** @type {Record<import('./state.js').Share, string>} */
export const SHARE_WORDS = { mean_share: 'mean share over positions', target_share: 'share at the last target', route_tau: 'route threshold', direct: 'direct effect' };

/** @param {import('./state.js').Removal} value @param {(removal: any) => void} onChange */
export const removalField = (value, onChange) =>
  choiceField({ label: 'replaced by', value, options: Object.entries(REMOVAL_WORDS).map(([id, [words, title]]) => [id, words, title]), onChange, testid: 'removal' });

/**
 * Each head and MLP as a point: to the side what it carries, upwards what is lost without it.
 * @param {{ rows: Row[], x: { column: string, name: string }, y: { column: string, name: string }, width: number, height?: number, name: string, title: string,
 *   sql: HTMLAnchorElement }} props `rows` have component, layer, index, and the two columns
 */
export function effectAgainstShare({ rows, x, y, width, height = 320, name, title, sql }) {
  const columns = ['component', 'layer', 'index', x.name, y.name, 'what'];
  const listed = [...rows].sort((a, b) => (a.component === b.component ? 0 : a.component === 'head' ? -1 : 1)); // heads have the first colour
  const numbers = { columns, rows: listed.map((row) => [row.component, row.layer, row.index, row[x.column], row[y.column], row.component === 'head' ? 'heads' : 'MLPs']) };
  const svg = xyChart(numbers, { kind: 'scatter', labels: [], x: 3, y: 4, low: -1, high: -1, series: 5 }, width, height);
  return h('figure', { class: 'chart-frame', 'data-testid': 'effect-against-share' }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name, svg: () => svg, table: () => numbers, title: () => title, sql })), /** @type {any} */ (svg));
}
