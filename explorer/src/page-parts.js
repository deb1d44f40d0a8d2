/** What the pages of a run share: a frame with a title, and what is said where there are no statistics. */

import { h } from './dom.js';
import { showText } from './format.js';

/** Said where a run has no statistics, with the command that makes them. @param {import('./data.js').RunIndex} index */
export function noStats(index) {
  const run = showText(index.title);
  return h('p', { class: 'hint', 'data-testid': 'no-stats' }, 'This run has no statistics over its prompts yet. ', h('code', {}, `flowatlas stats ${run}`), ' makes them; then make the site again with ', h('code', {}, 'flowatlas site'), '.');
}

/**
 * @param {string} title @param {string} lead what the page answers, in a sentence
 * @returns {{ el: HTMLElement, body: HTMLElement }} `body` is the page's to fill
 */
export function pageFrame(title, lead) {
  const body = h('div', { class: 'page-body' });
  const el = h('main', { class: 'page', id: 'main', tabindex: '-1' }, h('h1', {}, title), h('p', { class: 'lead' }, lead), body);
  return { el, body };
}
