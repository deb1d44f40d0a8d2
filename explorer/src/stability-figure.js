/** Do two thresholds rank components alike? Their rank correlations, as a triangle of numbers. */

import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { binFor } from './heat.js';

const LEFT = 44;
const CELL = 52;
const TALL = 26;

/** @typedef {{ tau_a: number, tau_b: number, n_components: number, rank_correlation: number | null }} Pair */

/** A threshold as it was set: stored as float32. @param {number} tau */
const written = (tau) => String(Number(tau.toPrecision(4)));

/** In words, for a line above the figure. @param {Pair[]} rows @param {number[]} taus */
export function stabilityWords(rows, taus) {
  const found = rows.filter((row) => row.rank_correlation !== null).map((row) => /** @type {number} */ (row.rank_correlation));
  if (!found.length) return 'At these thresholds there is nothing to rank: all are equally often on a route.';
  const least = Math.min(...found);
  const verdict = least >= 0.9 ? 'The ranking by frequency hardly hangs on the threshold' : least >= 0.6 ? 'The order by frequency shifts with the threshold' : 'The ranking by frequency hangs on the threshold: say which one was used';
  return `${verdict}: rank correlations between ${taus.length} thresholds from ${least.toFixed(2)} to ${Math.max(...found).toFixed(2)}.`;
}

/** @param {{ rows: Pair[], taus: number[], title: string, sql: HTMLAnchorElement }} props @returns {HTMLElement} */
export function stabilityFigure({ rows, taus, title, sql }) {
  const n = taus.length;
  const of = (/** @type {number} */ tau) => taus.findIndex((one) => Math.abs(one - tau) < 1e-6);
  const width = LEFT + (n - 1) * CELL + 2;
  const height = (n - 1) * TALL + 18;
  const cells = rows.map((row) => {
    const value = row.rank_correlation;
    const [x, y] = [LEFT + of(row.tau_a) * CELL, (of(row.tau_b) - 1) * TALL];
    const bin = value === null ? 'none' : `b${binFor(Math.max(0, value) ** 4, 1)}`; // most are near 1
    const words = value === null ? '–' : value.toFixed(2).replace('-', '−');
    return s(
      'g',
      { 'data-testid': 'stability-cell', 'data-value': value },
      s('title', {}, `${written(row.tau_a)} and ${written(row.tau_b)}: ${value ?? 'no order to compare'}, ${row.n_components} ranked`),
      s('rect', { class: `cell attention ${bin}`, x, y, width: CELL - 1.5, height: TALL - 1.5 }),
      s('text', { class: `in-cell${value !== null && binFor(Math.max(0, value) ** 4, 1) > 4 ? ' deep' : ''}`, x: x + CELL / 2, y: y + TALL / 2 + 3.5, 'text-anchor': 'middle' }, words),
    );
  });
  const svg = s(
    'svg',
    { class: 'stability', viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': title },
    ...cells,
    ...taus.slice(1).map((tau, i) => s('text', { x: LEFT - 6, y: (i + 0.5) * TALL + 3.5, 'text-anchor': 'end' }, written(tau))),
    ...taus.slice(0, -1).map((tau, i) => s('text', { x: LEFT + (i + 0.5) * CELL, y: height - 4, 'text-anchor': 'middle' }, written(tau))),
  );
  const table = () => ({ columns: ['tau_a', 'tau_b', 'n_components', 'rank_correlation'], rows: rows.map((row) => [row.tau_a, row.tau_b, row.n_components, row.rank_correlation]) });
  return h('figure', { class: 'small-figure', 'data-testid': 'stability' }, h('figcaption', {}, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name: 'stability', svg: () => /** @type {any} */ (svg), table, title: () => title, sql })), /** @type {any} */ (svg));
}
