/**
 * The only module that maps the address's hash to the page's state and back. Whatever the hash holds is checked here;
 * only what differs from the default is written.
 *
 * @typedef {typeof REMOVALS[number]} Removal
 * @typedef {typeof SHARES[number]} Share
 * @typedef {typeof SIDES[number]} Side
 * @typedef {{ view: 'catalogue' }} CatalogueState
 * @typedef {{ view: 'try', text: string, answer: string, foil: string, edits: string, n: number }} TryState `edits` is a list with semicolons
 * @typedef {{ view: 'prompts', run: string, q: string, group: string | null, sort: string, page: number }} PromptsState
 * @typedef {{ view: 'prompt', run: string, id: number, t: number | null, tau: number | null,
 *   mode: import('./routes.js').Mode, sel: string | null, faint: boolean, tab: import('./tabs.js').TabName | null,
 *   head: string | null, neuron: string | null, by: import('./tabs.js').NeuronRank, of: import('./tabs.js').Outcome, raw: boolean,
 *   hide: string, open: string, zoom: string | null, pair: number | null, removal: Removal, edit: string | null, order: string, embed?: Embed | null }} PromptState `hide`, `open` and `order`
 *   are lists with commas, `zoom` is as in `camera.js`, `order` as in `table.js`
 * @typedef {{ view: 'corpus', run: string, measure: string, group: string | null, tau: number | null,
 *   list: import('./measures.js').Part, find: string, removal: Removal, share: Share, side: Side, order: string }} CorpusState null
 *   `group`: all prompts; `removal`, `share` and `side` are of its figure of effects against shares
 * @typedef {{ view: 'contrast', run: string, by: import('./measures.js').Contrast, a: string | null, b: string | null,
 *   group: string | null, measure: string, list: 'parts' | 'neuron', y: 'q' | 'p', specific: boolean, find: string,
 *   order: string }} ContrastState as the columns of `contrasts`; null `a`: the first that there is
 * @typedef {{ view: 'head' | 'neuron', run: string, name: string, measure: string, tau: number | null,
 *   source: typeof SOURCES[number], pick: typeof PICKS[number], order: string }} ComponentState `source` of roles, `pick` of examples
 * @typedef {{ view: 'search', run: string, q: string, match: 'any' | 'all', exact: boolean, sign: 'either' | 'promoted' | 'suppressed', full: boolean, order: string }} SearchState `full`: every file that holds what was asked is fetched, however many
 * @typedef {{ view: 'clusters', run: string, find: string, order: string }} ClustersState
 * @typedef {{ view: 'cluster', run: string, cluster: number, order: string }} ClusterState
 * @typedef {{ view: 'sql', run: string, q: string, as: 'table' | 'chart', kind: import('./chart-choice.js').Kind | null,
 *   x: string | null, y: string | null, with: string | null }} SqlState null: what suits the result; `with` is the run that `compared` compares it with
 * @typedef {{ view: 'map', run: string, clusters: string, lasso: string, zoom: string | null, template: number | null, least: number,
 *   order: string }} MapState `clusters` and `lasso` (as in `lasso.js`) are lists with commas
 * @typedef {{ view: 'names', run: string, q: string, of: string | null, order: string }} NamesState `of` is the component that is being named
 * @typedef {{ view: 'trust', run: string, group: string | null, measure: typeof AUDITED[number], order: string }} TrustState `group` and `measure` of the audit
 * @typedef {{ view: 'interventions', run: string, name: string | null, measure: string, group: string | null, order: string }} InterventionsState `name` is its folder
 * @typedef {{ view: 'data', run: string, group: string | null, order: string }} DataState
 * @typedef {{ view: 'compare', run: string, other: string, measure: string, group: string | null, list: 'parts' | 'neuron', find: string,
 *   order: string }} CompareState
 * @typedef {CorpusState | ContrastState | ComponentState | SearchState | ClustersState | ClusterState | SqlState | MapState | NamesState | TrustState | InterventionsState | DataState | CompareState} PageState
 * @typedef {(PromptsState | PromptState | PageState) & { embed?: Embed | null }} RunState
 * @typedef {'page' | 'graph' | 'panel'} Embed in a frame of another page: the view alone, or of a prompt only its graph or its panel
 * @typedef {RunState['view']} RunView
 * @typedef {CatalogueState | TryState | RunState} State
 */

import { KINDS } from './chart-choice.js';
import { wellFormed } from './format.js';
import { SIGNS } from './keywords.js';
import { readLasso } from './lasso.js';
import { AUDITED, CHANGES, COMPARED, CONTRASTS, LEAST, MEASURES, PARTS, PICKS, REMOVALS, SHARES, SIDES, SOURCES } from './measures.js';
import { MODES } from './routes.js';
import { NEURON_RANKS, OUTCOMES, parseHead, parseNeuron, TAB_NAMES } from './tabs.js';

const MAX_INT = 2 ** 31 - 1;
const MAX_WORDS = 500;
const MAX_SQL = 8000;
const MAX_NAME = 200; // of a run
const SORT = /^-?(id|text|group|tokens|predicted|prob|rank)$/;
const NODE = /^(-1|\d{1,4})\.(mid|post)\.\d{1,6}$/;
const EDGE = /^\d{1,4}\.(?:attn\.\d{1,6}-\d{1,6}|(?:resid_attn|mlp|resid_mlp)\.\d{1,6})$/;
const TAU = /^\d?(\.\d{1,12})?(e-\d{1,2})?$/;
const ZOOM = /^-?\d(\.\d{1,3})?,-?\d(\.\d{1,3})?,\d{1,3}(\.\d{1,3})?$/;
const ORDER = /^[a-z-]{1,24}\.\d{1,2}[ad]$/;
const INTEGER = /^\d{1,10}$/;
const WHOLE = /^(L\d{1,4} (MLP|attention)|cluster \d{1,6})$/; // what has a name beside heads and neurons

/** @param {string} text @returns {number | undefined} */
const toInt = (text) => (INTEGER.test(text) && Number(text) <= MAX_INT ? Number(text) : undefined);

/** @param {readonly string[]} values */
const oneOf = (values) => (/** @type {string} */ text) => (values.includes(text) ? text : undefined);

/** Kinds of edges that a reader may hide: residual, MLP, attention of a token to itself. */
export const HIDEABLE = ['resid', 'mlp', 'self'];
export const MOST_OPEN = 24;
export const MOST_NEW = 64; // tokens that a prompt of one's own may be continued by

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

/** The first characters, none cut in two. @param {number} most @returns {(text: string) => string} */
const upTo = (most) => (text) => text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
/** @param {readonly string[]} values the first is the default @returns {Param} */
const choice = (values) => ({ default: values[0], read: oneOf(values) });

/** Parameters that several views have. @type {Record<'words' | 'group' | 'tau' | 'flag' | 'order', Param>} */
const COMMON = {
  words: { default: '', read: upTo(MAX_WORDS) },
  group: { default: null, read: upTo(MAX_WORDS) },
  tau: { default: null, read: (text) => (text !== '' && TAU.test(text) && Number(text) < 1 ? Number(text) : undefined) },
  flag: { default: false, read: (text) => (text === '1' ? true : undefined), write: () => '1' },
  order: { default: '', read: readOrders },
};

/** @type {Record<string, Param>} of the page of a head or neuron */
const COMPONENT = { measure: choice(Object.keys(MEASURES)), tau: COMMON.tau, source: choice(SOURCES), pick: choice(PICKS), order: COMMON.order };

/** @type {Record<RunView, Record<string, Param>>} */
const OWN = {
  prompts: {
    q: COMMON.words,
    group: COMMON.group,
    sort: { default: 'id', read: (text) => (SORT.test(text) ? text : undefined) },
    page: { default: 1, read: (text) => toInt(text) || undefined },
  },
  prompt: {
    t: { default: null, read: toInt },
    tau: COMMON.tau,
    mode: choice(MODES),
    sel: { default: null, read: (text) => (NODE.test(text) || EDGE.test(text) ? text : undefined) },
    tab: { default: null, read: oneOf(TAB_NAMES) },
    head: { default: null, read: (text) => (parseHead(text) ? text : undefined) },
    neuron: { default: null, read: (text) => (parseNeuron(text) ? text : undefined) },
    by: choice(NEURON_RANKS),
    of: choice(OUTCOMES),
    raw: COMMON.flag,
    faint: { default: true, read: (text) => (text === '0' ? false : text === '1' ? true : undefined), write: (on) => (on ? '1' : '0') },
    hide: { default: '', read: (text) => someOf(HIDEABLE, text) },
    open: { default: '', read: readNodes },
    zoom: { default: null, read: (text) => (ZOOM.test(text) ? text : undefined) },
    pair: { default: null, read: toInt },
    edit: COMMON.group,
    removal: choice(REMOVALS),
    order: COMMON.order,
  },
  corpus: { measure: choice(Object.keys(MEASURES)), group: COMMON.group, tau: COMMON.tau, list: choice(PARTS), find: COMMON.words, removal: choice(REMOVALS), share: choice(SHARES), side: choice(SIDES), order: COMMON.order },
  contrast: {
    by: choice(CONTRASTS),
    a: COMMON.group,
    b: COMMON.group,
    group: COMMON.group,
    measure: choice(COMPARED),
    list: choice(['parts', 'neuron']),
    y: choice(['q', 'p']),
    specific: COMMON.flag,
    find: COMMON.words,
    order: COMMON.order,
  },
  head: COMPONENT,
  neuron: COMPONENT,
  search: { q: COMMON.words, match: choice(['any', 'all']), exact: COMMON.flag, sign: choice(Object.keys(SIGNS)), full: COMMON.flag, order: COMMON.order },
  clusters: { find: COMMON.words, order: COMMON.order },
  cluster: { order: COMMON.order },
  map: {
    clusters: { default: '', read: (text) => (/^\d{1,3}(,\d{1,3}){0,40}$/.test(text) ? text : undefined) },
    lasso: { default: '', read: (text) => (readLasso(text) ? text : undefined) },
    zoom: { default: null, read: (text) => (ZOOM.test(text) ? text : undefined) },
    template: { default: null, read: toInt },
    least: { default: 0.5, read: (text) => LEAST.find((least) => String(least) === text) },
    order: COMMON.order,
  },
  data: { group: COMMON.group, order: COMMON.order },
  names: { q: COMMON.words, of: { default: null, read: (text) => (parseHead(text) || parseNeuron(text) || WHOLE.test(text) ? text : undefined) }, order: COMMON.order },
  trust: { group: COMMON.group, measure: choice(AUDITED), order: COMMON.order },
  interventions: { name: COMMON.group, measure: choice(Object.keys(CHANGES)), group: COMMON.group, order: COMMON.order },
  sql: { q: { default: '', read: upTo(MAX_SQL) }, as: choice(['table', 'chart']), kind: { default: null, read: oneOf(KINDS) }, x: COMMON.group, y: COMMON.group, with: COMMON.group },
  compare: { measure: choice(COMPARED), group: COMMON.group, list: choice(['parts', 'neuron']), find: COMMON.words, order: COMMON.order },
};

/** A prompt of one's own, which belongs to no run yet. @type {Record<string, Param>} */
const TRY = {
  text: { default: '', read: upTo(MAX_SQL) },
  answer: COMMON.words,
  foil: COMMON.words,
  edits: { default: '', read: (text) => (text.length <= MAX_WORDS ? text.split(';').filter(Boolean).join(';') : undefined) },
  n: { default: 0, read: (text) => { const n = toInt(text); return n !== undefined && n <= MOST_NEW ? n : undefined; } },
};
/** @type {Record<RunView, Record<string, Param>>} */
const PARAMS = /** @type {any} */ (Object.fromEntries(Object.entries(OWN).map(([view, own]) => [view, { ...own, embed: { default: null, read: oneOf(view === 'prompt' ? ['page', 'graph', 'panel'] : ['page']) } }])));

/** The views of one thing: what follows the view's name in the address, and its key in the state. @type {Partial<Record<RunView, { key: string, read: (text: string) => any }>>} */
const THINGS = {
  prompt: { key: 'id', read: toInt },
  head: { key: 'name', read: (text) => (parseHead(text) ? text : undefined) },
  neuron: { key: 'name', read: (text) => (parseNeuron(text) ? text : undefined) },
  cluster: { key: 'cluster', read: toInt },
};

/** A view's name in the address. @param {RunView} view */
const wordOf = (view) => (view === 'prompt' ? 'p' : view);
/** Two runs stand behind `compare`; every other view's name stands behind its run. @type {Map<string, RunView>} */
const VIEWS = new Map(/** @type {RunView[]} */ (Object.keys(PARAMS)).filter((view) => view !== 'compare').map((view) => [wordOf(view), view]));

/** @param {string | null} sel @returns {'node' | 'edge' | null} */
export function selectionKind(sel) {
  if (sel === null) return null;
  return NODE.test(sel) ? 'node' : 'edge';
}

/** @param {Record<string, Param>} params */
const defaultsOf = (params) => Object.fromEntries(Object.entries(params).map(([name, param]) => [name, param.default]));
/** @param {RunView} view */
const defaults = (view) => defaultsOf(PARAMS[view]);

/** @param {State} state @returns {state is RunState} whether it is of a run */
export const isOfRun = (state) => state.view !== 'catalogue' && state.view !== 'try';

/** @param {Partial<TryState>} [rest] @returns {TryState} */
export const tryState = (rest = {}) => /** @type {TryState} */ ({ view: 'try', ...defaultsOf(TRY), ...rest });

/** @param {string} run @param {Partial<PromptsState>} [rest] @returns {PromptsState} */
export const promptsState = (run, rest = {}) =>
  /** @type {PromptsState} */ ({ view: 'prompts', run, ...defaults('prompts'), ...rest });

/** @param {string} run @param {number} id @param {Partial<PromptState>} [rest] @returns {PromptState} */
export const promptState = (run, id, rest = {}) =>
  /** @type {PromptState} */ ({ view: 'prompt', run, id, ...defaults('prompt'), ...rest });

/**
 * A page of a run as it is at first, or with some of it set; `name` of a head or neuron and `other` of a comparison must be.
 * @template {PageState['view']} V @param {V} view @param {string} run
 * @param {Partial<Extract<PageState, { view: V }>>} [rest] @returns {Extract<PageState, { view: V }>}
 */
export const pageState = (view, run, rest = {}) => /** @type {any} */ ({ view, run, ...defaults(view), ...rest });

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(wellFormed(text).replaceAll('+', ' '));
  } catch {
    return null; // a stray %
  }
}

/**
 * @param {string} query @param {Record<string, Param>} params
 * @returns {{ values: Record<string, any>, problems: string[] }}
 */
function readParams(query, params) {
  /** @type {Record<string, any>} */
  const values = defaultsOf(params);
  const problems = [];
  for (const piece of query.split('&').filter(Boolean)) {
    const cut = piece.indexOf('=');
    const name = decode(cut < 0 ? piece : piece.slice(0, cut));
    const text = decode(cut < 0 ? '' : piece.slice(cut + 1));
    const param = name !== null && Object.hasOwn(params, name) ? params[name] : null;
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
  const nowhere = { state: /** @type {State} */ ({ view: 'catalogue' }), problems: [text.slice(0, 120)] };
  if (parts.length === 0) return { ...nowhere, problems: query ? [query.slice(0, 80)] : [] };
  if (!parts.every((part) => part !== null && part.length <= MAX_NAME)) return nowhere;
  if (parts.length === 1 && parts[0] === 'try') {
    const { values, problems } = readParams(query, TRY);
    return { state: tryState(values), problems };
  }
  const [run, word = 'prompts', ...rest] = /** @type {string[]} */ (parts);
  const found = findView(run, word, rest);
  // The run is known, so the reader stays in it; what is no head or neuron is looked for.
  if (!found && (word === 'head' || word === 'neuron') && rest.length) return { state: pageState('search', run, { q: rest[0] }), problems: [text.slice(0, 120)] };
  if (!found) return { state: promptsState(run), problems: [text.slice(0, 120)] };
  const { values, problems } = readParams(query, PARAMS[found.view]);
  return { state: /** @type {State} */ ({ view: found.view, run: found.run, ...values, ...found.thing }), problems: [...found.beyond, ...problems] };
}

/**
 * The hash of an address in which `embed` may stand before it, where readers of other pages' documents put it:
 * `index.html?embed=graph#/run/p/3` is `#/run/p/3?embed=graph`.
 * @param {string} search @param {string} hash
 */
export function withEmbed(search, hash) {
  const embed = new URLSearchParams(search).get('embed');
  if (embed === null || new URLSearchParams(hash.split('?')[1]).has('embed')) return hash;
  return `${hash || '#/'}${hash.includes('?') ? '&' : '?'}embed=${encode(embed)}`;
}

/**
 * The view that an address names, and what it is of.
 * @param {string} run @param {string} word @param {string[]} rest
 * @returns {{ view: RunView, run: string, thing: Record<string, any>, beyond: string[] } | null} `beyond` is not understood
 */
function findView(run, word, rest) {
  const view = VIEWS.get(word);
  const thing = view && THINGS[view];
  const value = thing && rest.length ? thing.read(rest[0]) : undefined;
  if (view && thing && value !== undefined) return { view, run, thing: { [thing.key]: value }, beyond: rest.slice(1) };
  if (view && !thing && !rest.length) return { view, run, thing: {}, beyond: [] };
  if (run === 'compare' && rest.length === 1) return { view: 'compare', run: word, thing: { other: rest[0] }, beyond: [] };
  return null;
}

/** Readable where it may be: spaces as +. @param {string} text */
const encode = (text) => encodeURIComponent(wellFormed(text)).replaceAll('%20', '+').replaceAll('%2C', ',');

/**
 * @param {State} state
 * @returns {string} the hash, with `#`
 */
export function format(state) {
  if (state.view === 'catalogue') return '#/';
  if (state.view === 'try') return `#/try${written(state, TRY)}`;
  const path = state.view === 'compare' ? ['compare', state.run, state.other] : [state.run, wordOf(state.view), ...thingOf(state)];
  return `#/${path.map(encodeURIComponent).join('/')}${written(state, PARAMS[state.view])}`;
}

/** What differs from the default, with its question mark. @param {State} state @param {Record<string, Param>} params */
function written(state, params) {
  const query = Object.entries(params)
    .map(([name, param]) => ({ name, param, value: /** @type {any} */ (state)[name] }))
    .filter(({ value, param }) => value !== param.default && value !== undefined)
    .map(({ name, param, value }) => `${name}=${encode(param.write ? param.write(value) : String(value))}`);
  return query.length ? `?${query.join('&')}` : '';
}

/** @param {RunState} state @returns {string[]} */
function thingOf(state) {
  const thing = THINGS[state.view];
  return thing ? [String(/** @type {any} */ (state)[thing.key])] : [];
}
