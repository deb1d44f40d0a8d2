/**
 * What people call the parts of a model: labels and notes that were published with a run, and over them what a reader changed
 * in this browser. Pure: where the changes are kept is the caller's.
 *
 * @typedef {{ label: string, note: string }} Named at least one of the two is not empty
 * @typedef {{ name: string, label: string, note: string, changed: boolean }} Entry `changed`: in this browser, not in the published file
 * @typedef {Record<string, Named | null>} Changes by name; null where a reader took the published one away
 * @typedef {{ read: () => unknown, write: (changes: Record<string, unknown>) => boolean }} Drafts `write` says whether they will still be there tomorrow
 * @typedef {ReturnType<typeof createNames>} Names
 */

import { componentName, typedComponent } from './component-names.js';
import { wellFormed } from './format.js';

/** Characters of a label and of a note (`names_file.py`, LONGEST). */
export const LONGEST = { label: 80, note: 2000 };
const CLUSTER = /^cluster ?(\d{1,6})$/i;
const CLUSTERING = 'clustering'; // in a file and in what a browser keeps: which clusters the numbers are of
const KINDS = ['head', 'neuron', 'mlp', 'attn'];

/** How a file writes the name of what was typed; null for what is no head, neuron, MLP, attention block or cluster. @param {string} text */
export function canonical(text) {
  const cluster = CLUSTER.exec(text.trim());
  if (cluster) return `cluster ${Number(cluster[1])}`;
  const of = typedComponent(text);
  return of && componentName(of);
}

/** By layer, then heads, neurons and blocks, each in its order; clusters last. @param {string} a @param {string} b */
export function byPlace(a, b) {
  const [one, other] = [a, b].map((name) => {
    const of = typedComponent(name);
    return of ? [of.layer, KINDS.indexOf(of.component), of.expert, of.index] : [Infinity, 0, 0, Number(CLUSTER.exec(name)?.[1] ?? 0)];
  });
  const at = one.findIndex((value, i) => value !== other[i]);
  return at < 0 ? 0 : one[at] - other[at];
}

/** The first characters, none cut in two. @param {string} text @param {number} most */
const upTo = (text, most) => (text.length > most ? [...text].slice(0, most).join('') : text);

/** @param {unknown} value @returns {Named | null} null where nothing is said */
function namedOf(value) {
  const { label, note } = /** @type {Record<string, unknown>} */ (value ?? {});
  const text = (/** @type {unknown} */ of) => (typeof of === 'string' ? wellFormed(of) : '');
  // A label stands in tables and figures, so it is one line.
  const named = { label: upTo(text(label).replace(/\s+/g, ' ').trim(), LONGEST.label), note: upTo(text(note).trim(), LONGEST.note) };
  return named.label || named.note ? named : null;
}

/** What a file or a browser kept, as far as it holds names. @param {unknown} given @returns {Map<string, Named | null>} */
function readNames(given) {
  const entries = given && typeof given === 'object' ? Object.entries(given) : [];
  return new Map(entries.filter(([name]) => canonical(name) === name).map(([name, value]) => [name, namedOf(value)]));
}

/** @param {Named | null | undefined} a @param {Named | null | undefined} b */
const alike = (a, b) => (a?.label ?? '') === (b?.label ?? '') && (a?.note ?? '') === (b?.note ?? '');

const isCluster = (/** @type {string} */ name) => CLUSTER.test(name);

/**
 * What a browser kept, without names of clusters that are of another clustering: a number says nothing there.
 * @param {unknown} kept @param {string | undefined} clustering that of the run's atlas, where it has one
 */
function readDrafts(kept, clustering) {
  const of = kept && typeof kept === 'object' ? /** @type {Record<string, unknown>} */ (kept)[CLUSTERING] : undefined;
  const all = [...readNames(kept)];
  const usable = all.filter(([name]) => !isCluster(name) || clustering === undefined || of === clustering);
  return { usable, dropped: all.length - usable.length };
}

/** @param {{ published: unknown, drafts: Drafts, problem?: string, clustering?: string }} options `problem`: why the published file could not be read */
export function createNames({ published, drafts, problem = '', clustering }) {
  const given = readNames(published);
  const { usable, dropped } = readDrafts(drafts.read(), clustering);
  const changes = new Map(usable.filter(([name, named]) => !alike(named, given.get(name))));
  let kept = true;

  /** @param {string} name @returns {Named | null} */
  const get = (name) => (changes.has(name) ? changes.get(name) : given.get(name)) ?? null;
  const tied = () => clustering !== undefined && [...changes.keys()].some(isCluster);
  const keep = () => void (kept = drafts.write({ ...Object.fromEntries(changes), ...(tied() ? { [CLUSTERING]: clustering } : {}) }));

  /** @returns {Entry[]} */
  const all = () =>
    [...new Set([...given.keys(), ...changes.keys()])].sort(byPlace).flatMap((name) => {
      const named = get(name);
      return named ? [{ name, ...named, changed: changes.has(name) }] : [];
    });

  return {
    problem,
    /** Which clusters the numbers of clusters are of; undefined where nobody knows. */
    clustering,
    /** How many changes of this browser were of clusters of another clustering, and are left out. */
    dropped,
    get,
    all,
    /** @param {string} name */
    label: (name) => get(name)?.label ?? '',
    /** Those that hold every word in name, label or note. @param {string} text */
    find(text) {
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      return all().filter((one) => words.every((word) => `${one.name} ${one.label} ${one.note}`.toLowerCase().includes(word)));
    },
    /** @param {string} name as `canonical` writes it @param {Named | null} value null takes it away */
    set(name, value) {
      const named = namedOf(value);
      if (alike(named, given.get(name))) changes.delete(name);
      else changes.set(name, named);
      keep();
    },
    /** Back to what was published. */
    discard() {
      changes.clear();
      keep();
    },
    /** How many are not as they were published, and whether this browser keeps them when the page is left. */
    changes: () => ({ n: changes.size, kept }),
  };
}

/** In quotes as JSON has them, which YAML reads; what YAML takes for a line's end or for no text is escaped. @param {string} text */
const quoted = (text) => JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** All names as the file that `flowatlas site` takes in. @param {Names} names */
export function yamlOf(names) {
  const all = names.all();
  const tie = names.clustering !== undefined && all.some(({ name }) => isCluster(name)) ? [`${CLUSTERING}: ${quoted(names.clustering)}`] : [];
  const entries = all.map(({ name, label, note }) => [`${name}:`, ...(label ? [`  label: ${quoted(label)}`] : []), ...(note ? [`  note: ${quoted(note)}`] : [])].join('\n'));
  return `${['# Labels and notes. Keep this file as names.yaml in the folder of the run, and build the site again.', ...tie, ...entries].join('\n')}\n`;
}
