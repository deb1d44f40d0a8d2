/** A component's name and label: as a link where it has a page, as the column of a table, and in an edit. */

import { componentAddress, componentName, typedComponent } from './component-names.js';
import { h } from './dom.js';
import { rowWords } from './name-label.js';

/** @typedef {import('./data.js').RunIndex} RunIndex */
/** @typedef {import('./rows.js').Row} Row with `component`, `layer`, `expert`, `index` */

/** @param {RunIndex} index @param {Row} row @param {Record<string, any>} [props] attributes */
export function componentLink(index, row, props = {}) {
  const href = componentAddress(index.id, /** @type {any} */ (row));
  const words = rowWords(index, row);
  return href ? h('a', { ...props, href }, ...words) : h('span', props, ...words);
}

/** Found by its label too; files hold the label beside the name, where a run has names. @param {RunIndex} index @returns {import('./data-table.js').Column} */
export function componentColumn(index) {
  const name = (/** @type {Row} */ row) => componentName(/** @type {any} */ (row));
  const label = (/** @type {Row} */ row) => index.names.label(name(row));
  return { name: 'component', text: true, value: name, show: (row) => componentLink(index, row), find: (row) => `${name(row)} ${label(row)}`, also: index.names.all().length ? { label } : {} };
}

/** Edits as they were written, their components linked. @param {RunIndex} index @param {string[]} edits @returns {(Node | string)[]} */
export function editLinks(index, edits) {
  return edits.flatMap((edit, i) => {
    const [name, ...action] = edit.split('=');
    const component = typedComponent(name);
    return [i ? ', ' : '', component ? componentLink(index, component) : name, `=${action.join('=')}`];
  });
}
