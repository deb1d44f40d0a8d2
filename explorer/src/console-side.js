/** Beside the console: prepared queries, and the tables with what their columns mean. */

import { h } from './dom.js';
import { integer, showText, size } from './format.js';

/**
 * @param {import('./sql-examples.js').Example[]} examples @param {(sql: string) => void} onChoose
 */
export function examplesList(examples, onChoose) {
  const item = (/** @type {import('./sql-examples.js').Example} */ { title, teaches, sql }) =>
    h('li', {}, h('button', { type: 'button', class: 'example', 'data-testid': 'sql-example', onclick: () => onChoose(sql) }, h('b', {}, title), h('small', {}, teaches)));
  return h('section', { 'aria-label': 'Prepared queries' }, h('h2', {}, 'Prepared queries'), h('ul', { class: 'examples' }, ...examples.map(item)));
}

/** @param {import('./sql-plan.js').ColumnNote} column @param {(text: string) => void} onInsert */
function columnLine({ name, type, meaning, unit, range, null: none }, onInsert) {
  const notes = [meaning, unit && `in ${unit}`, range, none && `null: ${none}`].filter(Boolean).join('; ');
  return h('li', {}, h('button', { type: 'button', class: 'column-name', title: `Insert ${name}`, onclick: () => onInsert(/^(group|index)$/.test(name) ? `"${name}"` : name) }, name), h('span', { class: 'type' }, ` ${type.toLowerCase()} `), h('small', {}, notes));
}

/** @param {import('./data.js').RunIndex} index @param {string} name */
function rowsIn(index, name) {
  const short = name.replace('stats.', '');
  return index.tables?.[name]?.rows ?? (name.startsWith('stats.') ? index.stats?.tables?.[short]?.rows : undefined) ?? index.manifest?.tables?.[name]?.rows;
}

/**
 * @param {import('./data.js').RunIndex} index @param {import('./sql-plan.js').Source[]} sources
 * @param {import('./compared.js').Compared | null} pair that `compared` is of
 * @param {(text: string) => void} onInsert
 */
export function tablesList(index, sources, pair, onInsert) {
  const one = (/** @type {import('./sql-plan.js').Source} */ { table, files, bytes }) => {
    const rows = rowsIn(index, table.name);
    const about = files.length ? [rows === undefined ? '' : `${integer(rows)} rows`, bytes ? size(bytes) : ''].filter(Boolean).join(', ') : 'not stored';
    return h(
      'details',
      { class: 'table-note', 'data-table': table.name },
      h('summary', {}, h('code', {}, table.name), h('small', {}, about)),
      h('p', { class: 'quiet' }, `One row: ${table.row}.${pair && table.name.startsWith('compared.') ? ` Of ${showText(pair.a)} (a) and ${showText(pair.b)} (b).` : ''}`),
      h('ul', {}, ...table.columns.map((column) => columnLine(column, onInsert))),
    );
  };
  return h('section', { 'aria-label': 'Tables' }, h('h2', {}, 'Tables'), ...sources.map(one));
}
