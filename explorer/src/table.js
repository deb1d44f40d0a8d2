/**
 * Tables that sort by their headers and copy as TSV.
 *
 * Use: build a plain `<table>` with one header row and one body, give a cell `data-value` where its text is not the
 * exact number or token, and call `sortable(table, { id: 'lens', sorting })`. The order that a reader chose is part of the
 * view's state, so `sorting` tells it and is told of a new one. `tableTools(table, { name })` gives its Copy and CSV buttons.
 *
 * @typedef {import('./figure.js').Cell} Cell
 * @typedef {{ column: number, down: boolean }} Order
 * @typedef {{ get: (id: string) => Order | null, set: (id: string, order: Order | null) => void }} Sorting orders by table
 */

import { attr, h } from './dom.js';
import { csvOf, download, fileName, flash, toolButton, tsvOf } from './figure.js';

const DASH = /^[–—]?$/; // what stands for a missing number

/** @param {Cell} value */
const missing = (value) => value === null || value === undefined || value === '';

/**
 * Numbers by size, texts by the alphabet, missing values last either way.
 * @param {Cell} a @param {Cell} b @param {boolean} down
 */
export function compare(a, b, down) {
  if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
  const sign = down ? -1 : 1;
  if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
  return sign * String(a).localeCompare(String(b), 'en', { numeric: true });
}

/**
 * The rows in order; rows that compare equal keep their places.
 * @template T
 * @param {T[]} rows @param {(row: T) => Cell} value @param {boolean} down
 */
export function ordered(rows, value, down) {
  return rows.map((row) => ({ row, by: value(row) })).sort((a, b) => compare(a.by, b.by, down)).map(({ row }) => row);
}

/** The value of a cell: `data-value`, else its text; a number where it reads as one. @param {Element | undefined} cell @returns {Cell} */
export function cellValue(cell) {
  if (!cell) return null;
  const text = cell.getAttribute('data-value') ?? (cell.textContent ?? '').trim();
  if (DASH.test(text)) return null;
  const number = Number(text.replace('−', '-').replace(/(?<=\d),(?=\d{3})/g, ''));
  return Number.isFinite(number) && text.trim() !== '' && !cell.hasAttribute('data-text') ? number : text;
}

/**
 * The orders that an address holds, as `lens.4d,heads-node.2a`: table, column, down or up.
 * @param {string} list @param {(list: string) => void} change @returns {Sorting}
 */
export function sortingOf(list, change) {
  const pieces = list.split(',').filter(Boolean).map((piece) => piece.split('.'));
  return {
    get(id) {
      const found = pieces.find(([name]) => name === id)?.[1];
      return found ? { column: Number.parseInt(found, 10), down: found.endsWith('d') } : null;
    },
    set(id, order) {
      const others = pieces.filter(([name]) => name !== id).map((piece) => piece.join('.'));
      change([...others, ...(order ? [`${id}.${order.column}${order.down ? 'd' : 'a'}`] : [])].join(','));
    },
  };
}

/** Headers that mean something to a reader of the file: bars and the like have none. @param {HTMLTableElement} table */
function columnsOf(table) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  return heads.map((head, at) => ({ name: (head.getAttribute('data-name') ?? head.querySelector('.label')?.textContent ?? head.textContent ?? '').trim(), at })).filter(({ at, name }) => name && heads[at].getAttribute('aria-hidden') !== 'true');
}

/** What a table shows, in the order shown. @param {HTMLTableElement} table @returns {import('./figure.js').Numbers} */
export function numbersOf(table) {
  const columns = columnsOf(table);
  const rows = [...(table.tBodies[0]?.rows ?? [])].filter((row) => row.cells.length > 1);
  return { columns: columns.map(({ name }) => name), rows: rows.map((row) => columns.map(({ at }) => cellValue(row.cells[at]))) };
}

/** @param {HTMLTableElement} table @param {Order | null} order */
function mark(table, order) {
  [...(table.tHead?.rows[0]?.cells ?? [])].forEach((head, column) => {
    const on = order?.column === column;
    attr(head, 'aria-sort', on ? (order?.down ? 'descending' : 'ascending') : null);
    const arrow = head.querySelector('.arrow');
    if (arrow) arrow.textContent = on ? (order?.down ? '↓' : '↑') : '';
  });
}

/**
 * Makes every header with words a button that sorts: numbers largest first, then smallest; texts the other way round;
 * a third click restores the first order.
 * @param {HTMLTableElement} table @param {{ id: string, sorting: Sorting }} options `id` names the table in the address
 * @returns {HTMLTableElement} the same table
 */
export function sortable(table, { id, sorting }) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  const order = sorting.get(id);
  for (const { at } of columnsOf(table)) {
    const head = /** @type {HTMLTableCellElement} */ (table.tHead?.rows[0].cells[at]);
    const number = first.some((row) => typeof cellValue(row.cells[at]) === 'number');
    const onclick = () => {
      if (order?.column !== at) sorting.set(id, { column: at, down: number });
      else sorting.set(id, order.down === number ? { column: at, down: !number } : null);
    };
    const label = h('span', { class: 'label' });
    label.append(...head.childNodes);
    head.append(h('button', { type: 'button', class: 'sort', 'data-go': `sort ${id} ${at}`, onclick }, label, h('span', { class: 'arrow', 'aria-hidden': 'true' })));
  }
  if (order && columnsOf(table).some(({ at }) => at === order.column)) body.append(...ordered(first, (row) => cellValue(row.cells[order.column]), order.down));
  mark(table, order);
  return table;
}

/**
 * Copy as TSV, download as CSV.
 * @param {HTMLTableElement | (() => import('./figure.js').Numbers)} table or what it shows, where a page holds only part of it
 * @param {{ name: string, sql?: HTMLAnchorElement }} options `sql` leads to the question that the numbers answer
 */
export function tableTools(table, { name, sql }) {
  const numbers = () => (typeof table === 'function' ? table() : numbersOf(table));
  const words = name.replaceAll('-', ' ');
  return h(
    'span',
    { class: 'tools', role: 'group', 'aria-label': `Copy or download ${words}` },
    toolButton('Copy', `Copy ${words} as tab-separated text`, 'copy-tsv', async (button) => {
      await navigator.clipboard.writeText(tsvOf(numbers()));
      flash(button, 'copied');
    }),
    toolButton('CSV', `Download ${words} as CSV`, 'download-csv', () => download(`${fileName(name)}.csv`, new Blob(['\ufeff', csvOf(numbers())], { type: 'text/csv;charset=utf-8' }))),
    sql ?? null,
  );
}
