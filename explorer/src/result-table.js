/** The rows of a query as a table: sorts by its headers, shows a part at a time, links prompts, heads and neurons to their pages. */

import { componentAddress, componentName } from './component-names.js';
import { h } from './dom.js';
import { clip, exact, integer, showText } from './format.js';
import { nameText } from './name-label.js';
import { format, promptState } from './state.js';
import { ordered } from './table.js';

/** @typedef {import('./figure.js').Cell} Cell */
/** @typedef {import('./figure.js').Numbers} Numbers */
/** @typedef {import('./data.js').RunIndex} RunIndex */

const AT_ONCE = 100;
const LONGEST = 160;

/** A number of unknown unit: whole as it is, else four figures. @param {number} value */
export function plainNumber(value) {
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value).replace('-', '−');
  const size = Math.abs(value);
  const text = size >= 1e6 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace(/-/g, '−');
}

/** Where a cell leads, and what is there. @param {RunIndex} index @param {Numbers} numbers @param {Cell[]} row @param {string} name of the column */
function linkOf(index, { columns }, row, name) {
  const value = (/** @type {string} */ column) => row[columns.indexOf(column)];
  const number = value(name);
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0) return null;
  if (name === 'prompt_id') return { href: format(promptState(index.id, number)), title: `prompt ${number}` };
  const layer = value('layer');
  if (typeof layer !== 'number' || layer < 0) return null;
  const component = name === 'index' ? String(value('component')) : name;
  const expert = Number(value('expert') ?? -1);
  const of = { component, layer, expert, index: number };
  const href = componentAddress(index.id, of);
  return href && { href, title: nameText(index, componentName(of)) };
}

/** @param {RunIndex} index @param {Numbers} numbers @param {Cell[]} row */
function rowOf(index, numbers, row) {
  const cells = row.map((value, at) => {
    if (value === null || value === undefined) return h('td', { class: 'quiet' }, '–');
    const link = linkOf(index, numbers, row, numbers.columns[at]);
    if (typeof value === 'number') {
      const words = plainNumber(value);
      return h('td', { class: 'num', title: exact(value) }, link ? h('a', link, words) : words);
    }
    const text = showText(String(value));
    return h('td', { title: text.length > LONGEST ? clip(text, 1000) : null }, h('bdi', {}, clip(text, LONGEST)));
  });
  return h('tr', { 'data-testid': 'sql-row' }, ...cells);
}

/** @param {{ index: RunIndex, numbers: Numbers, label: string }} props `label` names the table to screen readers */
export function resultTable({ index, numbers, label }) {
  const { columns } = numbers;
  const body = h('tbody', {});
  const more = h('button', { type: 'button', class: 'button', hidden: true, onclick: () => grow() });
  /** @type {{ at: number, down: boolean } | null} */
  let order = null;
  let rows = numbers.rows;

  function grow() {
    const from = body.rows.length;
    body.append(...rows.slice(from, from + AT_ONCE).map((row) => rowOf(index, numbers, row)));
    const left = rows.length - body.rows.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${integer(Math.min(AT_ONCE, left))} more of ${integer(left)}`;
  }

  const numbersIn = columns.map((_, at) => numbers.rows.some((row) => typeof row[at] === 'number'));
  const heads = columns.map((name, at) => {
    const arrow = h('span', { class: 'arrow', 'aria-hidden': 'true' });
    return h('th', { scope: 'col', class: numbersIn[at] ? 'num' : null }, h('button', { type: 'button', class: 'sort', onclick: () => sort(at) }, name || '–', arrow));
  });

  /** Numbers largest first, then smallest, then as the query gave them. @param {number} at */
  function sort(at) {
    const first = numbersIn[at];
    if (order?.at !== at) order = { at, down: first };
    else order = order.down === first ? { at, down: !first } : null;
    const by = order;
    rows = by ? ordered(numbers.rows, (row) => row[by.at], by.down) : numbers.rows;
    heads.forEach((head, i) => {
      const on = by?.at === i;
      if (on) head.setAttribute('aria-sort', by.down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
      /** @type {HTMLElement} */ (head.querySelector('.arrow')).textContent = on ? (by.down ? '↓' : '↑') : '';
    });
    body.replaceChildren();
    grow();
  }

  grow();
  const table = h('table', { class: 'result', 'data-testid': 'sql-table' }, h('caption', { class: 'sr' }, label), h('thead', {}, h('tr', {}, ...heads)), body);
  return {
    el: h('div', {}, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, table), h('p', { class: 'more' }, more)),
    /** In the order shown. @returns {Numbers} */
    numbers: () => ({ columns, rows }),
  };
}
