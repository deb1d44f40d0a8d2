/** The families of models that flowatlas reads, as the pipeline lists them: what is stored of each, and in what detail. */

import { h } from './dom.js';
import { plural } from './format.js';
import families from './models.json';

/** @typedef {{ family: string, known_as: string, block: string, norms: string, level: string, neurons: string, notes: string }} Family */

/** Names of settings stand between backticks. @param {string} text */
const withCode = (text) => text.split('`').map((piece, i) => (i % 2 ? h('code', {}, piece) : piece));

/** @param {Family} of */
function row({ family, known_as: known, block, norms, level, neurons, notes }) {
  return h(
    'tr',
    { 'data-testid': 'family' },
    h('th', { scope: 'row' }, known),
    h('td', {}, h('code', {}, family)),
    h('td', {}, ...withCode(block)),
    h('td', {}, ...withCode(norms)),
    h('td', {}, neurons, level === 'block' ? h('small', {}, ' block level: the neurons of a mixture cannot be told apart') : null),
    h('td', {}, ...withCode(notes)),
  );
}

export function familiesSection() {
  const list = /** @type {Family[]} */ (families);
  const head = ['models', 'family', 'block', 'norms', 'neurons', 'also'].map((name) => h('th', { scope: 'col' }, name));
  return h(
    'details',
    { class: 'families', 'data-testid': 'families' },
    h('summary', {}, `Models that can be explored: ${plural(list.length, 'family', 'families')}`),
    h('p', { class: 'lead' }, 'Any checkpoint of these families runs, whatever its size: the family is read from its configuration.'),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Families of models' }, h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...list.map(row)))),
  );
}
