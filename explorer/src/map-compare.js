/** A group of the map against all other prompts: which components it uses more, and which less. */

import { barChart } from './chart.js';
import { componentColumn } from './component-link.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { exact, fraction, integer, plural, showText } from './format.js';
import { counted, mostly } from './map-groups.js';
import { rowText } from './name-label.js';
import { signedShare } from './signed.js';
import { format, promptState } from './state.js';

/** @typedef {import('./data.js').RunIndex} RunIndex */
/** @typedef {import('./rows.js').Row} Row of `map_compare.sql` */
/** @typedef {import('./map-plot.js').Point} Point */

const BARS = 16;
const LISTED = 8;

/** @param {RunIndex} index @returns {import('./data-table.js').Column[]} */
export const compareColumns = (index) => [
  componentColumn(index),
  { name: 'mean_in', label: 'in the group', value: (row) => row.mean_in, show: (row) => fraction(row.mean_in), hint: (row) => exact(row.mean_in) },
  { name: 'mean_out', label: 'elsewhere', value: (row) => row.mean_out, show: (row) => fraction(row.mean_out), hint: (row) => exact(row.mean_out) },
  { name: 'difference', value: (row) => row.difference, show: (row) => signedShare(row.difference), hint: (row) => exact(row.difference) },
  { name: 'standardised', label: 'per standard deviation', title: 'the difference over the pooled standard deviation of prompts', value: (row) => row.standardised, show: (row) => signedShare(row.standardised), hint: (row) => exact(row.standardised) },
];

/** @param {{ index: RunIndex, rows: Row[], width: number, sql: HTMLAnchorElement }} props */
export function compareFigure({ index, rows, width, sql }) {
  const shown = rows.filter(({ difference }) => difference !== null).slice(0, BARS);
  const bars = shown.map((row) => ({ label: rowText(index, row), value: row.difference, note: `${exact(row.mean_in)} in the group, ${exact(row.mean_out)} elsewhere` }));
  const svg = barChart({ bars, name: 'mean share in the group less elsewhere', width });
  const columns = ['component', 'layer', 'index', 'mean_in', 'mean_out', 'difference', 'standardised', 'n_in', 'n_out'];
  const table = () => ({ columns, rows: rows.map((row) => columns.map((name) => row[name])) });
  return h('figure', { class: 'chart-frame', 'data-testid': 'map-difference' }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'figure-title' }, `The ${bars.length} components that differ most`), h('span', { class: 'space' }), figureTools({ name: 'map-group', svg: () => svg, table, sql })), /** @type {any} */ (svg));
}

/** What the group is, in words, with ways to its prompts. @param {string} run @param {Point[]} group @param {Row[]} rows */
export function groupWords(run, group, rows) {
  const { n_in = 0, n_out = 0 } = rows[0] ?? {};
  const some = n_in < group.length ? ` (of ${plural(n_in, 'prompt')} whose vectors are stored)` : '';
  const links = group.slice(0, LISTED).flatMap(({ prompt_id, text }) => [h('a', { href: format(promptState(run, prompt_id)), title: showText(text ?? '') }, String(prompt_id)), ' ']);
  return [
    h('p', { class: 'about-group', 'data-testid': 'map-group' }, h('b', {}, plural(group.length, 'prompt')), ` against ${integer(n_out)} others${some}: ${mostly(group)}`, counted(group.map((one) => one.group)).length > 2 ? ', …' : '', '. Prompts ', ...links, group.length > LISTED ? '…' : ''),
    h('p', { class: 'quiet' }, 'The group was drawn by looking at these very shares, so no p-value would mean anything: take a difference as a question for the contrasts or for an ablation.'),
  ];
}
