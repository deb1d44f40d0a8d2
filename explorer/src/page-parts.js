/** What the pages of a run share: a frame that draws itself anew when something has come, controls, and what is said where there are no statistics. */

import './pages.css';
import { fill, h, perFrame, refill } from './dom.js';
import { clip, showText } from './format.js';
import { createResources } from './resources.js';
import { statsOf } from './stats-data.js';
import { sortingOf } from './table.js';

/** @typedef {import('./data.js').RunIndex} RunIndex */
/**
 * @template S
 * @typedef {{ index: RunIndex, stats: import('./stats-data.js').StatsMarker, state: S, width: number, ask: import('./resources.js').Ask,
 *   sorting: import('./table.js').Sorting, go: (change: Partial<S>, replace?: boolean) => void, redraw: () => void }} PageProps
 *   `width` is the room in pixels; `go` changes the address; `redraw` draws what the page itself has changed
 */

const MARGIN = 32;
const WIDEST = 1680;
const TWO = 1080; // from here on there are two columns, as in pages.css
const GAP = 32;
const PATIENCE_MS = 160; // answers that come soon after one another are drawn together: a page is drawn whole

/** The width of the left one of two columns, or of the only one. @param {number} width of the page */
export const halfOf = (width) => (width > TWO ? (width - GAP) * 0.46 : width);

/** Said where a run has no statistics, with the command that makes them. @param {RunIndex} index */
export function noStats(index) {
  return h('p', { class: 'hint', 'data-testid': 'no-stats' }, 'This run has no statistics over its prompts yet. ', h('code', {}, `flowatlas stats ${showText(index.title)}`), ' makes them; then make the site again with ', h('code', {}, 'flowatlas site'), '.');
}

/**
 * @param {string} title @param {string} lead says in a sentence what the page answers
 * @returns {{ el: HTMLElement, title: HTMLElement, body: HTMLElement }} `body` is the page's to fill
 */
export function pageFrame(title, lead) {
  const heading = h('h1', {}, title);
  const body = h('div', { class: 'page-body' });
  return { el: h('main', { class: 'page wide', id: 'main', tabindex: '-1' }, heading, h('p', { class: 'lead' }, lead), body), title: heading, body };
}

/**
 * A page that is drawn from the statistics of a run.
 * @template {import('./state.js').PageState} S
 * @param {import('./pages.js').Options & { heading: (state: S) => string, lead: string, evenWithout?: boolean, render: (props: PageProps<S>) => (Node | string | null)[] }} options
 *   `evenWithout` statistics the page has something to show; `render` asks for what it needs and is called again when that has come
 * @returns {{ el: HTMLElement, update: (state: S) => Promise<void>, title: () => string }}
 */
export function createStatsPage({ data, navigate, heading, lead, evenWithout = false, render }) {
  const { el, title, body } = pageFrame('', lead);
  const redraw = perFrame(draw);
  let waiting = 0;
  const { ask } = createResources({
    onSettled(pending) {
      if (pending && waiting) return;
      clearTimeout(waiting);
      waiting = pending ? window.setTimeout(() => ((waiting = 0), redraw()), PATIENCE_MS) : 0;
      if (!pending) redraw();
    },
  });
  /** @type {{ state: S, index: RunIndex } | null} */
  let shown = null;
  let latest = 0;
  let width = 0;

  new ResizeObserver(() => {
    if (Math.abs(el.clientWidth - width) > 8) redraw();
  }).observe(el);

  function draw() {
    if (!shown) return;
    const { state, index } = shown;
    width = el.clientWidth;
    fill(title, heading(state));
    const stats = statsOf(index);
    if (!stats && !evenWithout) return fill(body, noStats(index));
    const go = (/** @type {Partial<S>} */ change, replace = false) => shown && navigate({ ...shown.state, ...change }, { replace });
    const order = /** @type {{ order?: string }} */ (state).order ?? '';
    const sorting = sortingOf(order, (next) => go(/** @type {any} */ ({ order: next }), true));
    const asking = /** @type {import('./resources.js').Ask} */ ((key, load) => ask(`${index.id} ${key}`, load));
    const given = { index, stats: /** @type {import('./stats-data.js').StatsMarker} */ (stats), state, width: Math.max(240, Math.min(WIDEST, width || window.innerWidth) - MARGIN), ask: asking, sorting, go, redraw };
    refill(body, () => /** @type {any[]} */ (render(given)));
  }

  /** @param {S} state */
  async function update(state) {
    const ticket = (latest += 1);
    const index = await data.run(state.run);
    if (ticket !== latest) return;
    shown = { state, index };
    draw();
  }

  return { el, update, title: () => (shown ? `${heading(shown.state)} · ${shown.index.title}` : '') };
}

/**
 * A choice among words.
 * @param {{ label: string, value: string, options: [string, string][], onChange: (value: string) => void, testid: string }} props value and words of each option
 */
export function selectField({ label, value, options, onChange, testid }) {
  const field = h('select', { 'data-testid': testid, 'data-go': testid }, ...options.map(([name, words]) => h('option', { value: name, selected: name === value }, clip(words, 60))));
  field.addEventListener('change', () => onChange(field.value));
  return h('label', { class: 'field' }, h('span', {}, label), field);
}

/**
 * A choice among a few, all seen.
 * @param {{ label: string, value: string, options: [string, string, string?][], onChange: (value: string) => void, testid: string }} props value, words and title of each
 */
export function choiceField({ label, value, options, onChange, testid }) {
  const buttons = options.map(([name, words, title]) =>
    h('button', { type: 'button', class: 'choice', title, 'aria-pressed': name === value ? 'true' : 'false', 'data-go': `${testid} ${name}`, 'data-value': name, onclick: () => onChange(name) }, words));
  return h('div', { class: 'field', role: 'group', 'aria-label': label, 'data-testid': testid }, h('span', {}, label), ...buttons);
}

/** All prompts or one group; the group of an address that is not among them is listed, so that nothing is replaced in silence. @param {string[]} groups @param {string | null} value @param {(group: string | null) => void} onChange */
export function groupField(groups, value, onChange) {
  const listed = value === null || groups.includes(value) ? groups : [...groups, value];
  return selectField({
    label: 'prompts',
    value: value === null ? '*' : `=${value}`,
    options: [['*', 'all prompts'], ...listed.map((group) => /** @type {[string, string]} */ ([`=${group}`, showText(group) || 'no group']))],
    onChange: (chosen) => onChange(chosen === '*' ? null : chosen.slice(1)),
    testid: 'group',
  });
}

const USUAL_TAU = 0.04; // the threshold that a prompt's page begins with

/** The threshold of the statistics that is nearest to a wanted one. @param {number[]} taus @param {number | null} wanted */
export function nearestTau(taus, wanted) {
  const to = wanted ?? USUAL_TAU;
  return taus.reduce((best, tau) => (Math.abs(tau - to) < Math.abs(best - to) ? tau : best), taus[0]);
}

/** @param {number[]} taus @param {number} value @param {(tau: number | null) => void} onChange told null for the usual one */
export function tauField(taus, value, onChange) {
  return choiceField({
    label: 'threshold',
    value: String(value),
    options: taus.map((tau) => [String(tau), String(tau), `on a route above the threshold ${tau}`]),
    onChange: (chosen) => onChange(Number(chosen) === nearestTau(taus, null) ? null : Number(chosen)),
    testid: 'tau',
  });
}
