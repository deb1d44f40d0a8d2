/** What the panel's tabs are made of: tokens, bars, facts, lists, tables of promoted tokens, and what is shown meanwhile. */

import { modeName } from './describe.js';
import { h } from './dom.js';
import { SiteError } from './errors.js';
import { clip, exact, fraction, quantity, showToken } from './format.js';
import { binOf } from './sizes.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./routes.js').RouteEdge} RouteEdge */

const LISTED = 12;

/** @param {string} token @param {boolean} [special] */
export function tokenMark(token, special = false) {
  const shown = showToken(token);
  return h('bdi', { class: `token${special ? ' special' : ''}`, title: shown.length > 24 ? clip(shown, 400) : null }, clip(shown, 24));
}

/** @param {string[]} tokens @param {number} pos */
export const at = (tokens, pos) => [tokenMark(tokens[pos] ?? '?'), h('span', { class: 'pos' }, pos)];

/** A bar of a share or probability, its number beside it. @param {number} value @param {string} kind */
export function bar(value, kind) {
  const inner = h('span', { class: `bar-fill ${kind} b${binOf(value)}` });
  inner.style.inlineSize = `${Math.max(0, Math.min(1, value)) * 100}%`;
  return h('span', { class: 'bar', 'aria-hidden': 'true' }, inner);
}

/** @param {[string, string | Node | null, string?][]} facts name, value, title */
export function factList(facts) {
  const shown = facts.filter(([, value]) => value !== null);
  return h('dl', { class: 'facts' }, ...shown.map(([name, value, title]) => h('div', { title: title ?? null }, h('dt', {}, name), h('dd', {}, value))));
}

/** @param {string} title @param {string} [note] */
export const heading = (title, note) => h('h3', {}, title, note ? h('small', {}, ` ${note}`) : null);

/**
 * A line that goes to an edge or node.
 * @param {RouteEdge} edge @param {string} go the key it selects @param {(Node | string)[]} words @param {PanelProps} props
 */
function edgeLine(edge, go, words, props) {
  const kind = edge.kind === 'mlp' ? 'mlp' : 'attn';
  return h(
    'li',
    {},
    h(
      'button',
      { type: 'button', class: 'line', 'data-go': go, title: `share ${exact(edge.shown)}`, onclick: () => props.onSelect(go) },
      h('span', { class: `swatch ${kind} b${binOf(edge.shown)}`, 'aria-hidden': 'true' }),
      h('span', { class: 'words' }, ...words),
      bar(edge.shown, kind),
      h('span', { class: 'num' }, fraction(edge.shown)),
    ),
  );
}

/** @param {string} title @param {RouteEdge[]} edges @param {PanelProps} props @param {(edge: RouteEdge) => (Node | string)[]} words */
export function edgeList(title, edges, props, words) {
  if (!edges.length) return [];
  const sorted = [...edges].sort((a, b) => b.shown - a.shown);
  const more = sorted.length - LISTED;
  return [
    heading(title, `${edges.length}, share ${modeName(props.route.mode)}`),
    h('ul', { class: 'lines' }, ...sorted.slice(0, LISTED).map((edge) => edgeLine(edge, edge.key, words(edge), props))),
    more > 0 ? h('p', { class: 'quiet' }, `and ${more} smaller`) : '',
  ].filter((part) => part instanceof Node);
}

/** The shape of what comes; it shows after a moment, so that a fast answer does not flicker. @param {number} [lines] */
export function waiting(lines = 6) {
  return h('div', { class: 'skeleton-rows late', 'aria-label': 'loading' }, ...Array.from({ length: lines }, () => h('span', { class: 'skeleton' })));
}

/** @param {string} what @param {Error} error @param {() => void} retry */
export function failed(what, error, retry) {
  if (error instanceof SiteError && error.kind === 'left-out') return h('p', { class: 'hint', 'data-testid': 'left-out' }, `${what}: ${error.message}.`);
  return h(
    'p',
    { class: 'inline-error', role: 'alert' },
    `${what} could not be read. `,
    h('button', { type: 'button', class: 'link', 'data-go': `retry:${what}`, onclick: retry }, 'Retry'),
    h('small', {}, error.message),
  );
}

/**
 * What a table's answer is shown as: its rows, the wait, or why there are none.
 * @template T
 * @param {import('./resources.js').Answer<T>} answer @param {string} what @param {(value: T) => (Node | string | null)[]} show @param {number} [lines]
 * @returns {Node[]}
 */
export function answered(answer, what, show, lines) {
  if (answer.error) return [failed(what, answer.error, answer.retry)];
  if (answer.value === undefined) return [waiting(lines)];
  return show(answer.value).flatMap((part) => (part === null || part === '' ? [] : [part instanceof Node ? part : document.createTextNode(part)]));
}

/** A signed number of logits, with its sign. @param {number | null | undefined} value */
export function signed(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  return `${value > 0 ? '+' : ''}${quantity(value)}`;
}

/** @param {import('./details.js').WriteRow[]} rows @param {string} id @param {string} title @param {number} largest @param {number[]} marked */
function writeList(rows, id, title, largest, marked) {
  const line = (/** @type {import('./details.js').WriteRow} */ row) => {
    const fill = h('span', { class: `bar-fill ${row.score < 0 ? 'minus' : 'plus'}` });
    fill.style.inlineSize = `${(100 * Math.abs(row.score)) / largest}%`;
    return h(
      'li',
      { class: marked.includes(row.token_id) ? 'marked' : null, title: `token id ${row.token_id}: ${exact(row.score)} logits` },
      tokenMark(row.token ?? `#${row.token_id}`, row.special),
      h('span', { class: 'bar', 'aria-hidden': 'true' }, fill),
      h('span', { class: 'num' }, signed(row.score)),
    );
  };
  return h('div', {}, h('h4', {}, title), rows.length ? h('ol', { class: 'write-list', 'data-testid': id }, ...rows.map(line)) : h('p', { class: 'quiet', 'data-testid': id }, 'none stored'));
}

/**
 * Promoted and suppressed tokens side by side.
 * @param {import('./details.js').Writes} writes @param {number[]} [marked] tokens to point out: answer and foil
 */
export function writesTable({ up, down }, marked = []) {
  const largest = Math.max(1e-9, ...[...up, ...down].map((row) => Math.abs(row.score)));
  return h('div', { class: 'writes' }, writeList(up, 'writes-up', 'promotes', largest, marked), writeList(down, 'writes-down', 'suppresses', largest, marked));
}

/** @param {PanelProps} props @returns {number[]} token ids of the target's answer and foil */
export function namedTokens({ target }) {
  return target ? [target.answer_id, target.foil_id ?? -1] : [];
}
