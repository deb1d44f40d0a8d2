/** A component's name with what people call it: as elements, as plain text, and with the note. */

import { componentName } from './component-names.js';
import { h } from './dom.js';
import { clip, showText } from './format.js';

const SHOWN = 40; // characters of a label in a line
const TIGHT = 24; // and in a figure

/** @typedef {{ names: import('./names.js').Names }} Labelled a run's index */

/** The label behind a name; nothing where nobody gave one. @param {Labelled} index @param {string} name */
export function labelMark({ names }, name) {
  const named = names.get(name);
  if (!named?.label) return null;
  return h('bdi', { class: 'called', title: showText(named.note ? `${named.label}: ${clip(named.note, 400)}` : named.label) }, clip(showText(named.label), SHOWN));
}

/** @param {Labelled} index @param {string} name @returns {(Node | string)[]} */
export function nameWords(index, name) {
  const mark = labelMark(index, name);
  return mark ? [name, ' ', mark] : [name];
}

/** Where only text can stand. @param {Labelled} index @param {string} name */
export function nameText({ names }, name) {
  const label = names.label(name);
  return label ? `${name} ${clip(showText(label), TIGHT)}` : name;
}

/** @param {Labelled} index @param {import('./rows.js').Row} row with `component`, `layer`, `expert`, `index` */
export const rowWords = (index, row) => nameWords(index, componentName(/** @type {any} */ (row)));
/** @param {Labelled} index @param {import('./rows.js').Row} row */
export const rowText = (index, row) => nameText(index, componentName(/** @type {any} */ (row)));

/** The note, as a person wrote it: its lines stay; nothing where there is none. @param {Labelled} index @param {string} name @returns {Node[]} */
export function noteOf({ names }, name) {
  const note = names.get(name)?.note;
  return note ? [h('p', { class: 'note', dir: 'auto', 'data-testid': 'note' }, ...note.split('\n').flatMap((text, i) => (i ? [h('br'), showText(text)] : [showText(text)])))] : [];
}
