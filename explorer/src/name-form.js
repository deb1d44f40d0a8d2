/** The form in which a reader calls a component something: label and note, kept in this browser. */

import { fill, h, text } from './dom.js';
import { LONGEST } from './names.js';

/** @typedef {import('./name-label.js').Labelled} Labelled */

/**
 * @param {{ onDone: () => void }} options told when something was kept or taken away
 * @returns {{ el: HTMLFormElement, update: (index: Labelled, name: string) => void, focus: () => void }}
 */
export function createNameForm({ onDone }) {
  const label = h('input', { type: 'text', maxlength: LONGEST.label, autocomplete: 'off', 'data-testid': 'name-label' });
  const note = h('textarea', { maxlength: LONGEST.note, rows: 4, 'data-testid': 'name-note' });
  const remove = h('button', { type: 'button', class: 'button', 'data-testid': 'name-remove', onclick: () => keep(null) }, 'Remove');
  const said = h('span', { class: 'quiet', role: 'status', 'data-testid': 'name-said' });
  const el = h(
    'form',
    { class: 'name-form', 'data-testid': 'name-form' },
    h('label', {}, h('span', {}, 'Label'), label),
    h('label', {}, h('span', {}, 'Note'), note),
    h('p', { class: 'actions' }, h('button', { type: 'submit', class: 'primary', 'data-testid': 'name-keep' }, 'Keep'), remove, said),
  );
  /** @type {{ index: Labelled, name: string } | null} */
  let about = null;

  el.addEventListener('submit', (event) => {
    event.preventDefault();
    keep({ label: label.value, note: note.value });
  });

  /** @param {import('./names.js').Named | null} named */
  function keep(named) {
    if (!about) return;
    const { index, name } = about;
    index.names.set(name, named);
    read();
    const { kept } = index.names.changes();
    text(said, `${index.names.get(name) ? 'Kept' : 'Removed'} ${kept ? 'in this browser' : 'until this page is left: the browser keeps nothing for it'}.`);
    onDone();
  }

  /** What is known now, as it was cleaned. */
  function read() {
    const named = about?.index.names.get(about.name);
    label.value = named?.label ?? '';
    note.value = named?.note ?? '';
    remove.hidden = !named;
  }

  return {
    el,
    /** What a reader has typed stays while the form is about the same component. @param {Labelled} index @param {string} name */
    update(index, name) {
      if (about?.index === index && about.name === name) return;
      about = { index, name };
      fill(said);
      read();
    },
    focus: () => label.focus(),
  };
}
