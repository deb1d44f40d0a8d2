/** The keyboard: one table of what keys do, used by the handler and by the sheet that `?` opens. */

import { h } from './dom.js';

/** @type {[string, string[], string][]} where, keys, what they do */
export const KEYS = [
  ['On the route', ['←', '→'], 'previous or next node in this row; from an edge, the stronger or weaker one into the same node'],
  ['On the route', ['↑', '↓'], 'up or down the column, else along the strongest edge; from an edge, to its ends'],
  ['On the route', ['Shift ↑', 'Shift ↓'], 'along the strongest attention edge to another token'],
  ['On the route', ['Enter'], 'from a node onto the strongest edge into it, again: on down the flow; → then leads to its MLP'],
  ['On the route', ['e'], 'open the selected node, or the one that the selected edge enters, into its heads or neurons; close it'],
  ['On the route', ['Esc'], 'clear the selection; then close what is opened; leave the comparison'],
  ['One prediction', ['[', ']'], 'previous, next prompt'],
  ['One prediction', ['-', '='], 'lower, raise the threshold'],
  ['One prediction', ['m'], 'mode: summed, per head, renormalised'],
  ['One prediction', ['1', '2', '3'], 'show or hide residual, MLP, self edges'],
  ['One prediction', ['f'], 'show or hide what is off the route'],
  ['One prediction', ['p'], 'compare with the other prompt of the pair'],
  ['View', ['z', 'Shift z'], 'zoom in, out'],
  ['View', ['w', 'a', 's', 'd'], 'move the window over the graph'],
  ['View', ['0'], 'fit the graph to the window'],
  ['View', ['v'], 'fullscreen, and back'],
  ['Comparison', ['←', '→', '↑', '↓'], 'up and down along the edge that changed most; sideways among the edges into one node'],
  ['Comparison', ['z', 'Shift z', '0'], 'larger, smaller, the whole in the window'],
  ['Panel', ['←', '→'], 'on the tabs: the next view; on a map: the next cell, its numbers below it'],
  ['Panel', ['↑', '↓', 'Enter'], 'move along a list, choose; on a map: open the cell'],
  ['Map', ['←', '→', '↑', '↓', 'Enter'], 'from prompt to prompt, open it; zoom and move as on the route'],
  ['SQL', ['Ctrl Enter'], 'run the query; Ctrl Space completes a table or column'],
  ['Prompts', ['↑', '↓', 'Enter'], 'move along the list, open a prompt'],
  ['Everywhere', ['t'], 'theme: as the system, light, dark'],
  ['Corpus', ['←', '→', '↑', '↓'], 'on a heat map or plot: the next cell or mark, its numbers below it'],
  ['Corpus', ['Enter'], 'on a cell or mark: the page of that head or neuron'],
  ['Components', ['↓', '↑', 'Enter'], 'from the field along what was found; open it'],
  ['Everywhere', ['/'], 'search prompts, heads and neurons'],
  ['Everywhere', ['?'], 'this sheet'],
];

/**
 * The key that was pressed as this page names it; null when it belongs to a field, a control or the browser.
 * @param {KeyboardEvent} event
 */
export function keyOf(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const at = event.target instanceof Element ? event.target : null;
  if (at?.closest('dialog')) return null;
  if (event.key === 'Escape') return 'Escape';
  const typing = at?.matches('input:not([type=range]), textarea, select, [contenteditable]');
  if (typing) return null;
  if (at?.matches('input[type=range], [role=tab]') && event.key.startsWith('Arrow')) return null;
  return event.key;
}

export function createKeySheet() {
  const sections = [...new Set(KEYS.map(([where]) => where))];
  const el = h(
    'dialog',
    { class: 'sheet', 'aria-labelledby': 'keys-title', 'data-testid': 'key-sheet' },
    h(
      'form',
      { method: 'dialog' },
      h('h2', { id: 'keys-title' }, 'Keys'),
      h('div', { class: 'sections' }, ...sections.map((section) => h(
        'section',
        {},
        h('h3', {}, section),
        h('dl', {}, ...KEYS.filter(([where]) => where === section).map(([, keys, what]) => h('div', {}, h('dt', {}, ...keys.map((key) => h('kbd', {}, key))), h('dd', {}, what)))),
      ))),
      h('button', { class: 'primary', value: 'close' }, 'Close'),
    ),
  );
  el.addEventListener('click', (event) => {
    if (event.target === el) el.close();
  });
  return { el, open: () => el.showModal() };
}
