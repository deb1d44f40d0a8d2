/**
 * The only module that maps the address's hash to the page's state and back. Whatever the hash holds is checked here;
 * only what differs from the default is written.
 *
 * @typedef {{ view: 'catalogue' }} CatalogueState
 * @typedef {{ view: 'prompts', run: string, q: string, group: string | null, sort: string, page: number }} PromptsState
 * @typedef {{ view: 'prompt', run: string, id: number, t: number | null, tau: number | null,
 *   mode: import('./routes.js').Mode, sel: string | null, faint: boolean, tab: import('./tabs.js').TabName | null,
 *   head: string | null, neuron: string | null, of: import('./tabs.js').Outcome, raw: boolean,
 *   hide: string, open: string, zoom: string | null, pair: number | null, order: string }} PromptState `hide`, `open` and `order`
 *   are lists with commas, `zoom` is as in `camera.js`, `order` as in `table.js`
 * @typedef {CatalogueState | PromptsState | PromptState} State
 */

import { MODES } from './routes.js';
import { OUTCOMES, parseHead, parseNeuron, TAB_NAMES } from './tabs.js';

const MAX_INT = 2 ** 31 - 1;
const SORT = /^-?(id|text|group|tokens|predicted|prob|rank)$/;
const NODE = /^(-1|\d{1,4})\.(mid|post)\.\d{1,6}$/;
const EDGE = /^\d{1,4}\.(?:attn\.\d{1,6}-\d{1,6}|(?:resid_attn|mlp|resid_mlp)\.\d{1,6})$/;
const TAU = /^\d?(\.\d{1,12})?(e-\d{1,2})?$/;
const ZOOM = /^-?\d(\.\d{1,3})?,-?\d(\.\d{1,3})?,\d{1,3}(\.\d{1,3})?$/;
const ORDER = /^[a-z-]{1,24}\.\d{1,2}[ad]$/;
const INTEGER = /^\d{1,10}$/;

/** @param {string} text @returns {number | undefined} */
const toInt = (text) => (INTEGER.test(text) && Number(text) <= MAX_INT ? Number(text) : undefined);

/** @param {readonly string[]} values */
const oneOf = (values) => (/** @type {string} */ text) => (values.includes(text) ? text : undefined);

/** Kinds of edges that a reader may hide: residual, MLP, attention of a token to itself. */
export const HIDEABLE = ['resid', 'mlp', 'self'];
export const MOST_OPEN = 24;

/** A list of some of the words, in their own order. @param {string[]} words @param {string} text */
function someOf(words, text) {
  const given = text.split(',').filter(Boolean);
  return given.every((word) => words.includes(word)) ? words.filter((word) => given.includes(word)).join(',') : undefined;
}

/** A list of nodes, each once. @param {string} text */
function readNodes(text) {
  const given = [...new Set(text.split(',').filter(Boolean))];
  return given.length <= MOST_OPEN && given.every((key) => NODE.test(key)) ? given.join(',') : undefined;
}

/** Orders of tables, each table once. @param {string} text */
function readOrders(text) {
  const given = text.split(',').filter(Boolean);
  const tables = new Set(given.map((one) => one.split('.')[0]));
  return given.length <= 8 && tables.size === given.length && given.every((one) => ORDER.test(one)) ? text : undefined;
}

/**
 * A comma-separated list with a word put in, or taken out where it was in.
 * @param {string} list @param {string} word @param {string[]} [order] of the words, where they have one
 */
export function toggled(list, word, order) {
  const now = list.split(',').filter(Boolean);
  const next = now.includes(word) ? now.filter((one) => one !== word) : [...now, word];
  return (order ? order.filter((one) => next.includes(one)) : next).join(',');
}

/**
 * One parameter: default, and from text to value (undefined when it is not valid) and back.
 * @typedef {{ default: any, read: (text: string) => any, write?: (value: any) => string }} Param
 */

/** @type {Record<'prompts' | 'prompt', Record<string, Param>>} */
const PARAMS = {
  prompts: {
    q: { default: '', read: (text) => text.slice(0, 500) },
    group: { default: null, read: (text) => text.slice(0, 500) },
    sort: { default: 'id', read: (text) => (SORT.test(text) ? text : undefined) },
    page: { default: 1, read: (text) => toInt(text) || undefined },
  },
  prompt: {
    t: { default: null, read: toInt },
    tau: { default: null, read: (text) => (text !== '' && TAU.test(text) && Number(text) < 1 ? Number(text) : undefined) },
    mode: { default: 'summed', read: oneOf(MODES) },
    sel: { default: null, read: (text) => (NODE.test(text) || EDGE.test(text) ? text : undefined) },
    tab: { default: null, read: oneOf(TAB_NAMES) },
    head: { default: null, read: (text) => (parseHead(text) ? text : undefined) },
    neuron: { default: null, read: (text) => (parseNeuron(text) ? text : undefined) },
    of: { default: 'answer', read: oneOf(OUTCOMES) },
    raw: { default: false, read: (text) => (text === '1' ? true : undefined), write: () => '1' },
    faint: { default: true, read: (text) => (text === '0' ? false : text === '1' ? true : undefined), write: (on) => (on ? '1' : '0') },
    hide: { default: '', read: (text) => someOf(HIDEABLE, text) },
    open: { default: '', read: readNodes },
    zoom: { default: null, read: (text) => (ZOOM.test(text) ? text : undefined) },
    pair: { default: null, read: toInt },
    order: { default: '', read: readOrders },
  },
};

/** @param {string | null} sel @returns {'node' | 'edge' | null} */
export function selectionKind(sel) {
  if (sel === null) return null;
  return NODE.test(sel) ? 'node' : 'edge';
}

/** @param {'prompts' | 'prompt'} view */
function defaults(view) {
  return Object.fromEntries(Object.entries(PARAMS[view]).map(([name, param]) => [name, param.default]));
}

/** @param {string} run @param {Partial<PromptsState>} [rest] @returns {PromptsState} */
export const promptsState = (run, rest = {}) =>
  /** @type {PromptsState} */ ({ view: 'prompts', run, ...defaults('prompts'), ...rest });

/** @param {string} run @param {number} id @param {Partial<PromptState>} [rest] @returns {PromptState} */
export const promptState = (run, id, rest = {}) =>
  /** @type {PromptState} */ ({ view: 'prompt', run, id, ...defaults('prompt'), ...rest });

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null; // a stray %
  }
}

/**
 * @param {string} query @param {'prompts' | 'prompt'} view
 * @returns {{ values: Record<string, any>, problems: string[] }}
 */
function readParams(query, view) {
  /** @type {Record<string, any>} */
  const values = defaults(view);
  const problems = [];
  for (const piece of query.split('&').filter(Boolean)) {
    const cut = piece.indexOf('=');
    const name = decode(cut < 0 ? piece : piece.slice(0, cut));
    const text = decode(cut < 0 ? '' : piece.slice(cut + 1));
    const param = name !== null && Object.hasOwn(PARAMS[view], name) ? PARAMS[view][name] : null;
    const value = param && text !== null ? param.read(text) : undefined;
    if (name !== null && param && value !== undefined) values[name] = value;
    else problems.push(piece.slice(0, 80));
  }
  return { values, problems };
}

/**
 * @param {string} hash with or without `#`
 * @returns {{ state: State, problems: string[] }} `problems` are the pieces that were not understood and left out
 */
export function parse(hash) {
  const text = hash.replace(/^#/, '');
  const cut = text.indexOf('?');
  const path = cut < 0 ? text : text.slice(0, cut);
  const query = cut < 0 ? '' : text.slice(cut + 1);
  const parts = path.split('/').filter(Boolean).map(decode);
  const [run, view, id, ...rest] = parts;
  const nowhere = { state: /** @type {State} */ ({ view: 'catalogue' }), problems: [text.slice(0, 120)] };
  if (parts.length === 0) return { ...nowhere, problems: query ? [query.slice(0, 80)] : [] };
  if (parts.includes(null) || !run || run.length > 200) return nowhere;
  if (parts.length === 1 || (parts.length === 2 && view === 'prompts')) {
    const { values, problems } = readParams(query, 'prompts');
    return { state: promptsState(run, values), problems };
  }
  const number = toInt(id ?? '');
  if (view === 'p' && number !== undefined) {
    const { values, problems } = readParams(query, 'prompt');
    return { state: promptState(run, number, values), problems: [...rest.map(String), ...problems] };
  }
  // The run is known, so the reader stays in it.
  return { state: promptsState(run), problems: [text.slice(0, 120)] };
}

/** Readable where it may be: spaces as +; half a surrogate pair, which has no UTF-8, as U+FFFD. @param {string} text */
function encode(text) {
  const whole = text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
  return encodeURIComponent(whole).replaceAll('%20', '+').replaceAll('%2C', ',');
}

/**
 * @param {State} state
 * @returns {string} the hash, with `#`
 */
export function format(state) {
  if (state.view === 'catalogue') return '#/';
  const run = encodeURIComponent(state.run);
  const path = state.view === 'prompts' ? `#/${run}/prompts` : `#/${run}/p/${state.id}`;
  const query = Object.entries(PARAMS[state.view])
    .map(([name, param]) => ({ name, param, value: /** @type {any} */ (state)[name] }))
    .filter(({ value, param }) => value !== param.default && value !== undefined)
    .map(({ name, param, value }) => `${name}=${encode(param.write ? param.write(value) : String(value))}`);
  return query.length ? `${path}?${query.join('&')}` : path;
}
