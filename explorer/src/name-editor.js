/** What people call a component, at the head of its page: label, note, and the form that changes them. */

import { fill, h } from './dom.js';
import { labelMark, noteOf } from './name-label.js';
import { createNameForm } from './name-form.js';
import { format, pageState } from './state.js';

/** Said where a reader's own names are seen: what they need before others see them. @param {import('./data.js').RunIndex} index */
export function unpublished(index) {
  const { n } = index.names.changes();
  return n ? h('p', { class: 'quiet', 'data-testid': 'unpublished' }, 'Names changed in this browser only: ', h('a', { href: format(pageState('names', index.id)) }, 'download the file'), ' to publish them.') : null;
}

/** @returns {{ update: (page: { index: import('./data.js').RunIndex, redraw: () => void }, name: string) => HTMLElement }} */
export function createNameEditor() {
  let redraw = () => {};
  const form = createNameForm({ onDone: () => redraw() });
  const words = h('div', { 'data-testid': 'named' });
  const summary = h('summary', {});
  // It stays where it is, so that a reader can type while other parts of the page arrive.
  const el = h('section', { class: 'naming' }, words, h('details', { 'data-testid': 'name-editor', ontoggle: (/** @type {ToggleEvent} */ event) => event.newState === 'open' && form.focus() }, summary, form.el));

  return {
    update({ index, redraw: draw }, name) {
      redraw = draw;
      const mark = labelMark(index, name);
      fill(words, mark ? h('p', {}, mark) : null, ...noteOf(index, name), index.names.get(name) ? unpublished(index) : null);
      fill(summary, index.names.get(name) ? 'Change what it is called' : 'Give it a name');
      form.update(index, name);
      return el;
    },
  };
}
