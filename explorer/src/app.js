/** The frame around the views: header, theme, keys, which view is shown, and what is said when one fails. */

import { createAddress } from './address.js';
import { createCatalogue } from './catalogue.js';
import { attr, fill, h } from './dom.js';
import { createEmbedLine, embedOf, leadBeside, openBeside } from './embed.js';
import { clip, showText } from './format.js';
import { createKeySheet, keyOf } from './keys.js';
import { createLater } from './later.js';
import { messageFor } from './messages.js';
import { createPage, fetchPages, NAVIGATION } from './pages.js';
import { createPrompt } from './prompt.js';
import { createPrompts } from './prompts.js';
import { format, isOfRun, pageState, parse, promptsState, promptState } from './state.js';
import { createThemeSwitch } from './theme.js';

/** @typedef {import('./state.js').State} State */
/** @typedef {{ el: HTMLElement, update: (state: any) => Promise<void>, title: () => string,
 *   onKey?: (key: string, event: KeyboardEvent) => boolean, search?: () => void, leave?: () => void }} View */

/** @param {{ data: import('./data.js').Data, live?: import('./live.js').Live | null }} options `live`: a server runs prompts of the reader's own */
export function createApp({ data, live = null }) {
  const sheet = createKeySheet();
  const theme = createThemeSwitch();
  const runLink = h('a', { class: 'run-name' });
  const promptsLink = h('a', { class: 'nav' }, 'Prompts');
  const pageLinks = NAVIGATION.map(([name]) => h('a', { class: 'nav' }, name));
  const find = h('input', { type: 'search', class: 'find', placeholder: 'Find a prompt, head, neuron  /', 'aria-label': 'Find a prompt, head or neuron', maxlength: 500, spellcheck: 'false', autocomplete: 'off', hidden: true, 'data-testid': 'find' });
  const seek = h('button', { type: 'button', class: 'icon seek', 'aria-label': 'Find a prompt, head or neuron', title: 'Find a prompt, head or neuron  /', hidden: true, onclick: searchAnywhere }, '⌕'); // where there is no room for the field
  const nav = h('nav', { class: 'run-nav', 'aria-label': 'Run', hidden: true }, runLink, promptsLink, ...pageLinks);
  const tryLink = h('a', { class: 'nav', href: '#/try', hidden: live === null, 'data-testid': 'try-link' }, 'Try a prompt');
  const strange = h('p', { class: 'banner', role: 'status', 'data-testid': 'banner', hidden: true });
  const stage = h('div', { class: 'view' });
  const header = h(
    'header',
    { class: 'top' },
    h('a', { class: 'skip', href: '#main', onclick: skip }, 'Skip to the content'),
    h('a', { class: 'brand', href: '#/' }, 'flowatlas'),
    nav,
    tryLink,
    h('span', { class: 'space' }),
    find,
    seek,
    theme.el,
    h('button', { type: 'button', class: 'icon', 'aria-label': 'Keys', title: 'Keys  ?', onclick: sheet.open }, '?'),
  );
  const framed = createEmbedLine();
  const el = h('div', { class: 'app' }, header, strange, stage, framed.el, sheet.el);

  /** @type {View | null} */
  let view = null;
  /** @type {State | null} */
  let state = null;
  let shownHash = /** @type {string | null} */ (null);
  let latest = 0;
  const address = createAddress();
  /** @type {Map<string, number>} how far each list was scrolled when it was left */
  const scrolled = new Map();

  /** @param {Event} event */
  function skip(event) {
    event.preventDefault(); // the hash belongs to the state
    document.getElementById('main')?.focus();
  }

  /** @param {State} next @param {{ replace?: boolean }} [options] */
  function navigate(next, { replace = false } = {}) {
    const hash = format(next);
    if (hash === shownHash) return;
    if (state && embedOf(state) && !embedOf(next)) return openBeside(next);
    if (replace) address.replace(hash);
    else address.push(hash);
    show(next, []);
  }

  /** @param {string} run */
  async function openFirst(run) {
    try {
      navigate(promptState(run, await data.first(await data.run(run))));
    } catch (error) {
      fail(error);
    }
  }

  /** @param {State['view']} name @returns {View} */
  function create(name) {
    if (name === 'catalogue') return createCatalogue({ data, onOpen: (run) => void openFirst(run) });
    if (name === 'prompts') return createPrompts({ data, navigate });
    if (name === 'try') return createLater(async () => (await import('./try-page.js')).createTry({ data, live, navigate }), { searches: false });
    return name === 'prompt' ? createPrompt({ data, live, navigate }) : createPage(name, { data, navigate });
  }

  /** @param {State} next @param {string[]} problems @param {boolean} [back] along the history: the list stands where it was */
  function show(next, problems, back = false) {
    const ticket = (latest += 1);
    const before = state;
    state = next;
    if (before?.view === 'prompts' && next.view !== 'prompts' && shownHash !== null) scrolled.set(shownHash, window.scrollY);
    shownHash = format(next);
    const place = back && next.view === 'prompts' ? scrolled.get(shownHash) : undefined;
    if (!view || before?.view !== next.view || view.el.parentNode !== stage) {
      view?.leave?.();
      view = create(next.view);
      fill(stage, view.el);
      window.scrollTo(0, 0);
    }
    const current = view;
    drawHeader(next);
    attr(el, 'data-embed', embedOf(next));
    framed.update(next);
    strange.hidden = problems.length === 0;
    if (problems.length) fill(strange, 'Part of the address was not understood and was left out: ', ...problems.slice(0, 3).flatMap((problem) => [h('code', {}, clip(showText(problem), 60)), ' ']));
    current.update(next).then(
      () => {
        if (next.view !== 'catalogue') fetchPages();
        if (ticket !== latest) return;
        if (place !== undefined) window.scrollTo(0, place);
        document.title = `${current.title()} · flowatlas`;
      },
      (error) => {
        if (ticket === latest) fail(error);
      },
    );
  }

  /** @param {unknown} error */
  function fail(error) {
    const retry = () => state && show(state, []);
    fill(stage, h('main', { class: 'page', id: 'main', tabindex: '-1' }, messageFor(error, retry)));
    document.title = 'flowatlas';
  }

  /** @param {State} next */
  function drawHeader(next) {
    attr(tryLink, 'aria-current', next.view === 'try' ? 'page' : null);
    nav.hidden = !isOfRun(next);
    find.hidden = seek.hidden = !isOfRun(next) || next.view === 'prompts' || next.view === 'search';
    find.value = '';
    if (!isOfRun(next)) return;
    const list = format(promptsState(next.run));
    attr(runLink, 'href', list);
    attr(promptsLink, 'href', list);
    attr(promptsLink, 'aria-current', next.view === 'prompts' ? 'page' : null);
    NAVIGATION.forEach(([, view, under], i) => {
      attr(pageLinks[i], 'href', format(pageState(view, next.run)));
      attr(pageLinks[i], 'aria-current', /** @type {string[]} */ (under).includes(next.view) ? 'page' : null);
    });
    runLink.textContent = clip(showText(next.run), 40);
    data.run(next.run).then(
      (index) => {
        if (state !== next) return;
        runLink.textContent = clip(showText(index.title), 60);
        attr(runLink, 'title', showText(index.title));
      },
      () => {}, // the view reports it
    );
  }

  function searchAnywhere() {
    if (state && embedOf(state)) return; // there is no room for it
    if (view?.search) view.search();
    else if (!find.hidden && find.offsetParent) find.focus();
    else if (state && isOfRun(state)) {
      navigate(pageState('search', state.run));
      view?.search?.();
    }
  }

  find.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && state && isOfRun(state)) navigate(pageState('search', state.run, { q: find.value.trim() }));
    else if (event.key === 'Escape') find.blur();
  });
  el.addEventListener('click', (event) => state && embedOf(state) && leadBeside(event), { capture: true });
  window.addEventListener('keydown', (event) => {
    const key = keyOf(event);
    if (key === null) return;
    let used = true;
    if (key === '?') sheet.open();
    else if (key === 't') theme.el.click();
    else if (key === '/') searchAnywhere();
    else used = view?.el.parentNode === stage ? (view.onKey?.(key, event) ?? false) : false;
    if (used) event.preventDefault();
  });

  /** @param {Event} [event] */
  function fromAddress(event) {
    address.forget();
    const { state: next, problems } = parse(location.hash);
    const hash = format(next);
    if (hash === shownHash && !problems.length) return;
    show(next, problems, event?.type === 'popstate');
  }
  history.scrollRestoration = 'manual'; // a list is drawn after the browser would scroll it
  window.addEventListener('pagehide', address.flush);
  window.addEventListener('popstate', fromAddress);
  window.addEventListener('hashchange', fromAddress);

  function start() {
    address.adopt(location);
    fromAddress();
  }

  return { el, start };
}
