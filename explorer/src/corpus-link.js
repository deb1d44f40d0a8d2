/** From a prompt to the corpus: the page of a head or neuron, with its rank there. */

import { componentAddress, componentName } from './component-names.js';
import { h } from './dom.js';
import { integer } from './format.js';
import { PART_WORDS } from './measures.js';
import rankSql from './sql/component_rank.sql?raw';

/** @typedef {import('./component-names.js').Component} Component */

/**
 * @param {{ ask: import('./resources.js').Ask, source: import('./data.js').Data, index: import('./data.js').RunIndex, without: import('./live.js').Without }} props of the panel
 * @param {Component} of a head or neuron
 */
export function corpusLink({ ask, source, index, without }, of) {
  const { component, layer, expert, index: number } = of;
  const values = { component, layer, expert, index: number };
  const answer = ask(`corpus rank ${JSON.stringify(values)}`, () => source.stats.rows(index, rankSql, { importance: { component, group: null } }, values));
  const place = answer.value?.[0];
  const words = place ? `corpus: #${integer(place.place)} of ${integer(place.n_components)} ${PART_WORDS[/** @type {import('./measures.js').Part} */ (component)]}` : 'over all prompts';
  return h('p', { class: 'corpus-link' }, h('a', { href: componentAddress(index.id, of) ?? '', 'data-go': 'corpus page', 'data-testid': 'corpus-link', title: 'by mean share over positions; opens its page' }, words), ...withoutLink(without, componentName(of)));
}

/** Beside a model that runs prompts: the same prompt with a component off. @param {import('./live.js').Without} without @param {string} name */
export function withoutLink(without, name) {
  const href = without(name);
  return href === null ? [] : [' · ', h('a', { href, 'data-go': `without ${name}`, 'data-testid': 'try-without', title: `fills the form with this prompt and ${name} off` }, `Try without ${name}`)];
}
