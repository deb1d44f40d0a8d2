/**
 * A table of rows that are data: it sorts by its headers, filters by what is typed, shows the first rows and more when asked,
 * and copies or downloads all that the filter leaves. Larger than what `table.js` makes of rows that are drawn already.
 *
 * @typedef {import('./figure.js').Cell} Cell
 * @typedef {Record<string, any>} Row
 * @typedef {{ name: string, label?: string, title?: string, value: (row: Row) => Cell, show?: (row: Row) => Node | string | (Node | string)[],
 *   hint?: (row: Row) => string, find?: (row: Row) => string, text?: boolean, also?: Record<string, (row: Row) => Cell>, class?: string }} Column
 *   `name` is the column in files, `label` its header (none: the name); `also` are columns of the files that the page shows within this one;
 *   without `show` the value itself is shown; `find` is searched in the place of the value; `text` columns stand at the left
 * @typedef {{ rows: Row[], columns: Column[], sorting: import('./table.js').Sorting, sql?: HTMLAnchorElement, empty?: string, on?: (row: Row) => boolean }} Props
 */

import { attr, fill, h, refill } from './dom.js';
import { integer, plural } from './format.js';
import { ordered, tableTools } from './table.js';

/** @param {Column} column */
const classOf = (column) => `${column.text ? '' : 'num'} ${column.class ?? ''}`.trim() || null;

/** @param {Row} row @param {Column} column @param {boolean} first */
function cell(row, column, first) {
  const value = column.value(row);
  const shown = column.show ? column.show(row) : String(value ?? '–');
  const props = { class: classOf(column), title: column.hint?.(row) };
  return first ? h('th', { scope: 'row', ...props }, ...[shown].flat()) : h('td', props, ...[shown].flat());
}

/** The rows as files hold them. @param {Row[]} rows @param {Column[]} columns @returns {import('./figure.js').Numbers} */
export function numbersOfRows(rows, columns) {
  const all = columns.flatMap((column) => [{ name: column.name, value: column.value }, ...Object.entries(column.also ?? {}).map(([name, value]) => ({ name, value }))]);
  return { columns: all.map(({ name }) => name), rows: rows.map((row) => all.map(({ value }) => value(row))) };
}

/** The rows in which every typed word occurs in one of the text columns. @param {Row[]} rows @param {Column[]} columns @param {string} find */
export function matching(rows, columns, find) {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return rows;
  const texts = columns.filter((column) => column.text);
  return rows.filter((row) => {
    const all = texts.map((column) => String(column.find?.(row) ?? column.value(row) ?? '').toLowerCase());
    return words.every((word) => all.some((text) => text.includes(word)));
  });
}

/**
 * @param {{ id: string, name: string, first?: number, onFind?: (find: string) => void }} options `id` names it in the address, `name` in words
 *   and files; `first` is how many rows are shown at first; `onFind` is told what is typed, and without it there is no field
 */
export function createDataTable({ id, name, first = 40, onFind }) {
  const words = name.replaceAll('-', ' ');
  const find = h('input', { type: 'search', placeholder: 'Filter', 'aria-label': `Filter ${words}`, maxlength: 500, spellcheck: 'false', autocomplete: 'off', 'data-testid': `find-${id}`, hidden: !onFind });
  const count = h('span', { class: 'count', role: 'status' });
  const tools = h('span', {});
  const head = h('tr', {});
  const body = h('tbody', {});
  const table = h('table', { class: 'data', 'data-testid': `table-${id}`, 'aria-label': words }, h('thead', {}, head), body);
  const more = h('button', { type: 'button', class: 'link', 'data-testid': `more-${id}`, onclick: () => given && ((all = true), draw(given)) });
  const el = h('div', { class: 'data-table' }, h('div', { class: 'table-top' }, find, count, h('span', { class: 'space' }), tools), h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `table of ${words}` }, table), h('p', { class: 'quiet narrow-note' }, 'A wider window shows more columns; CSV has them all.'), more);
  /** @type {(Props & { find: string }) | null} */
  let given = null;
  let all = false;
  let typing = 0;

  find.addEventListener('input', () => {
    clearTimeout(typing);
    typing = window.setTimeout(() => onFind?.(find.value), 150);
  });

  /** @param {Column} column @param {number} at @param {Props} props */
  function header(column, at, { sorting, rows }) {
    const order = sorting.get(id);
    const on = order?.column === at;
    const number = rows.some((row) => typeof column.value(row) === 'number');
    const onclick = () => {
      if (!on) sorting.set(id, { column: at, down: number });
      else sorting.set(id, order?.down === number ? { column: at, down: !number } : null);
    };
    const arrow = h('span', { class: 'arrow', 'aria-hidden': 'true' }, on ? (order?.down ? '↓' : '↑') : '');
    const sort = h('button', { type: 'button', class: 'sort', 'data-go': `sort ${id} ${at}`, onclick }, h('span', { class: 'label' }, column.label ?? column.name), arrow);
    return h('th', { scope: 'col', class: classOf(column), title: column.title, 'aria-sort': on ? (order?.down ? 'descending' : 'ascending') : null }, sort);
  }

  /** @param {Props & { find: string }} props */
  function draw(props) {
    const { rows, columns, sorting, sql, empty = 'Nothing to show.', on } = props;
    const kept = matching(rows, columns, props.find);
    const order = sorting.get(id);
    const by = order && columns[order.column];
    const sorted = by ? ordered(kept, by.value, order.down) : kept;
    const shown = all ? sorted : sorted.slice(0, first);
    refill(head, () => columns.map((column, at) => header(column, at, props)));
    fill(body, ...shown.map((row) => h('tr', { 'data-testid': `row-${id}`, class: on?.(row) ? 'on' : null }, ...columns.map((column, at) => cell(row, column, at === 0)))));
    if (!shown.length) fill(body, h('tr', {}, h('td', { colspan: columns.length, class: 'empty' }, rows.length ? 'No row has these words.' : empty)));
    attr(more, 'hidden', shown.length < sorted.length ? null : '');
    more.textContent = `Show all ${integer(sorted.length)}`;
    count.textContent = kept.length < rows.length ? `${integer(kept.length)} of ${plural(rows.length, 'row')}` : plural(rows.length, 'row');
    fill(tools, tableTools(() => numbersOfRows(sorted, columns), { name, sql }));
  }

  /** @param {Props & { find?: string }} props */
  function update(props) {
    given = { find: '', ...props };
    if (document.activeElement !== find) find.value = given.find;
    draw(given);
  }

  return { el, update };
}
