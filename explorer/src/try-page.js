/** A prompt of one's own, run by the model beside this page: text, answer, foil, how far to continue it, and what to switch off. */

import './try.css';
import { componentName, typedComponent } from './component-names.js';
import { attr, fill, h } from './dom.js';
import { clip, showText } from './format.js';
import { format, MOST_NEW, promptState, tryState } from './state.js';

/** @typedef {import('./state.js').TryState} TryState */

/** What may be done to a component: a word, whether it takes a number, and how it is written. @type {Record<string, { words: string, number: boolean, write: (value: string) => string }>} */
const ACTIONS = {
  off: { words: 'off', number: false, write: () => 'off' },
  scale: { words: 'times', number: true, write: (value) => `x${value}` },
  on: { words: 'on (neuron)', number: false, write: () => 'on' },
  set: { words: 'set to (neuron)', number: true, write: (value) => value },
};

const HOW = 'A prompt is run by a model on your own machine: “flowatlas serve SITE --live model=…” opens this site with a place for prompts, “flowatlas try model=… "a prompt"” does it from the shell.';

/** @param {string} list @returns {string[]} */
const listed = (list) => list.split(';').filter(Boolean);

/** @param {{ data: import('./data.js').Data, live: import('./live.js').Live | null, navigate: (state: import('./state.js').State, options?: { replace?: boolean }) => void }} options */
export function createTry({ data, live, navigate }) {
  const title = () => 'Try a prompt';
  const about = h('p', { class: 'lead' });
  if (!live) {
    const el = h('main', { class: 'page', id: 'main', tabindex: '-1' }, h('h1', {}, title()), h('p', { class: 'lead', 'data-testid': 'no-model' }, HOW));
    return { el, update: async () => {}, title };
  }
  const server = live;
  let state = tryState();
  let running = false;
  let asked = false;
  /** @type {Set<string>} edits that are switched off in the form, but not forgotten */
  const resting = new Set();

  const field = (/** @type {'text' | 'answer' | 'foil'} */ name, /** @type {HTMLInputElement | HTMLTextAreaElement} */ input) => {
    input.addEventListener('input', () => change({ [name]: input.value }));
    return input;
  };
  const line = (/** @type {'answer' | 'foil'} */ name) => /** @type {HTMLInputElement} */ (field(name, h('input', { type: 'text', maxlength: 500, 'data-testid': `try-${name}`, spellcheck: 'false', autocomplete: 'off' })));
  const text = /** @type {HTMLTextAreaElement} */ (field('text', h('textarea', { rows: 4, maxlength: 8000, required: true, 'data-testid': 'try-text', dir: 'auto' })));
  const [answer, foil] = [line('answer'), line('foil')];
  const n = h('input', { type: 'number', min: 0, max: MOST_NEW, step: 1, 'data-testid': 'try-n', oninput: () => change({ n: Math.min(MOST_NEW, Math.max(0, Math.round(Number(n.value) || 0))) }) });
  const switches = h('ul', { class: 'switches', 'data-testid': 'switches' });
  const name = h('input', { type: 'text', placeholder: 'L1H2', 'aria-label': 'Head, MLP or neuron', 'data-testid': 'edit-name', maxlength: 40, spellcheck: 'false', autocomplete: 'off', onkeydown: addByKey });
  const action = h('select', { 'aria-label': 'What is done to it', 'data-testid': 'edit-action', onchange: drawNumber }, ...Object.entries(ACTIONS).map(([value, { words }]) => h('option', { value }, words)));
  const value = h('input', { type: 'number', step: 'any', value: '0', 'aria-label': 'Number', 'data-testid': 'edit-value', hidden: true, onkeydown: addByKey });
  const wrong = h('p', { class: 'hint', role: 'status', 'data-testid': 'edit-wrong', hidden: true });
  const go = h('button', { type: 'submit', class: 'primary', 'data-testid': 'try-run' }, 'Run');
  const notice = h('p', { class: 'notice', role: 'status', 'data-testid': 'try-notice' });
  const before = h('section', { 'aria-label': 'Tried so far', 'data-testid': 'history' });
  const labelled = (/** @type {string} */ words, /** @type {HTMLElement} */ input, /** @type {string} */ hint = '') => h('label', { class: 'try-field' }, h('span', {}, words), input, hint ? h('small', { class: 'quiet' }, hint) : null);
  const form = h(
    'form',
    { class: 'try-form', onsubmit: submit },
    labelled('Prompt', text),
    h('div', { class: 'try-row' }, labelled('Answer', answer, 'else what is predicted is explained'), labelled('Foil', foil, 'what the answer is contrasted with'), labelled('Tokens to write', n, `each is explained; ${MOST_NEW} at most`)),
    h('fieldset', {}, h('legend', {}, 'Interventions'), h('p', { class: 'quiet' }, 'With any switched on, the prompt is run twice, as it is and under them, and the two are compared.'), switches, h('div', { class: 'adder' }, name, action, value, h('button', { type: 'button', class: 'button', 'data-testid': 'edit-add', onclick: add }, 'Add')), wrong),
    h('p', { class: 'actions' }, go),
    notice,
  );
  const el = h('main', { class: 'page try-page', id: 'main', tabindex: '-1' }, h('h1', {}, title()), about, form, before);
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });

  /** @param {Partial<TryState>} part */
  function change(part) {
    navigate({ ...state, ...part }, { replace: true });
  }

  function drawNumber() {
    value.hidden = !ACTIONS[action.value].number;
  }

  /** @param {KeyboardEvent} event */
  function addByKey(event) {
    if (event.key !== 'Enter' || event.ctrlKey || event.metaKey) return;
    event.preventDefault(); // Enter adds here; it does not run the prompt
    add();
  }

  function add() {
    const of = typedComponent(name.value);
    wrong.hidden = of !== null && of.component !== 'attn';
    if (!of || of.component === 'attn') return fill(wrong, `“${clip(name.value, 40)}” names nothing that can be switched: L1H2 is a head, L1N30 a neuron, L1 MLP an MLP.`);
    const edit = `${componentName(of)}=${ACTIONS[action.value].write(String(Number(value.value) || 0))}`;
    name.value = '';
    name.focus();
    put(edit, true);
  }

  /** Switches an edit on or off; another one of the same component gives way to it. @param {string} edit @param {boolean} on */
  function put(edit, on) {
    const others = listed(state.edits).filter((one) => one.split('=')[0] !== edit.split('=')[0]);
    if (on) resting.delete(edit);
    else resting.add(edit);
    change({ edits: (on ? [...others, edit] : others).join(';') });
    draw();
  }

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    if (running) return;
    const given = state;
    setRunning(true);
    fill(notice, 'Running …');
    try {
      const edits = listed(given.edits);
      const run = await server.run({ text: given.text, answer: given.answer || null, foil: given.foil || null, edits, new_tokens: given.n });
      data.renew();
      fill(notice, '');
      if (el.isConnected) navigate(promptState(run, 0, { pair: edits.length ? 1 : null }));
    } catch (error) {
      fill(notice, /** @type {Error} */ (error).message);
    }
    setRunning(false);
  }

  /** @param {boolean} now */
  function setRunning(now) {
    running = now;
    go.disabled = now;
    attr(el, 'aria-busy', now ? 'true' : null);
  }

  /** @param {string} edit @param {boolean} on */
  const switchOf = (edit, on) => h('li', {}, h('label', { class: 'switch' }, h('input', { type: 'checkbox', role: 'switch', checked: on, 'data-testid': 'edit', 'data-edit': edit, onchange: (/** @type {Event} */ event) => put(edit, /** @type {HTMLInputElement} */ (event.target).checked) }), ' ', h('code', {}, edit)));

  function draw() {
    for (const [input, now] of /** @type {const} */ ([[text, state.text], [answer, state.answer], [foil, state.foil], [n, String(state.n)]])) {
      if (input.value !== now && !(input === n && Number(n.value) === state.n)) input.value = now;
    }
    const on = listed(state.edits);
    const shown = JSON.stringify([on, [...resting]]);
    if (switches.dataset.shown === shown) return;
    const focused = document.activeElement instanceof HTMLElement && switches.contains(document.activeElement) ? document.activeElement.dataset.edit : undefined;
    switches.dataset.shown = shown;
    fill(switches, ...[...new Set([...on, ...resting])].sort().map((edit) => switchOf(edit, on.includes(edit))));
    if (focused) /** @type {HTMLElement | null} */ (switches.querySelector(`[data-edit="${CSS.escape(focused)}"]`))?.focus();
  }

  /** @param {import('./live.js').Known} known */
  function drawKnown({ model, n_layers: layers, n_heads: heads, asked: tried }) {
    fill(about, `${showText(model)}, ${layers} layers of ${heads} heads, runs it on this machine. What you try stays in a scratch folder that is gone when the server ends.`);
    const lines = tried.map((request) => {
      const { run, edits } = request;
      const words = [clip(showText(request.text), 100), edits.length ? ` · ${edits.join(', ')}` : ''].join('');
      return h('li', {}, h('a', { href: format(promptState(run, 0, { pair: edits.length ? 1 : null })), 'data-testid': 'tried' }, h('bdi', {}, words)), ' ', h('a', { class: 'quiet', href: server.formOf(request), 'aria-label': `Change: ${words}` }, 'change'));
    });
    fill(before, h('h2', {}, 'Tried so far'), lines.length ? h('ol', { class: 'tried' }, ...lines) : h('p', { class: 'empty' }, 'Nothing yet.'));
  }

  /** @param {TryState} now */
  async function update(now) {
    state = now;
    draw();
    if (asked) return;
    asked = true;
    try {
      drawKnown(await server.refresh());
    } catch (error) {
      fill(notice, /** @type {Error} */ (error).message);
    }
  }

  return { el, update, title };
}
