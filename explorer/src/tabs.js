/** Which tab answers a selection, and what of the model it is about. Pure. */

import { parseNode } from './routes.js';

export const TAB_NAMES = /** @type {const} */ (['node', 'heads', 'mlp', 'trace', 'effects', 'edits', 'pair']);
export const NEURON_RANKS = /** @type {const} */ (['share', 'strength']);
export const OUTCOMES = /** @type {const} */ (['answer', 'foil', 'difference']);

const HEAD = /^L(\d{1,4})H(\d{1,4})$/;
const NEURON = /^L(\d{1,4})(?:E(\d{1,4}))?N(\d{1,7})$/;

/**
 * @typedef {typeof TAB_NAMES[number]} TabName
 * @typedef {typeof OUTCOMES[number]} Outcome
 * @typedef {typeof NEURON_RANKS[number]} NeuronRank what neurons are ranked by
 * @typedef {import('./routes.js').Kind | 'node' | null} SelectionKind
 * @typedef {{ layer: number, pos: number, point: 'mid' | 'post' }} Focus
 */

/** @param {string} name `L2H3` @returns {{ layer: number, head: number } | undefined} */
export function parseHead(name) {
  const found = HEAD.exec(name);
  return found ? { layer: Number(found[1]), head: Number(found[2]) } : undefined;
}

/** @param {number} layer @param {number} head */
export const headName = (layer, head) => `L${layer}H${head}`;

/** @param {string} name `L2N30`, or `L2E1N30` in a mixture of experts @returns {import('./details.js').Neuron | undefined} */
export function parseNeuron(name) {
  const found = NEURON.exec(name);
  return found ? { layer: Number(found[1]), expert: found[2] === undefined ? -1 : Number(found[2]), neuron: Number(found[3]) } : undefined;
}

/** @param {import('./details.js').Neuron} neuron */
export const neuronName = ({ layer, expert, neuron }) => `L${layer}${expert < 0 ? '' : `E${expert}`}N${neuron}`;

/** @param {string | null} sel @returns {SelectionKind} */
export function kindOf(sel) {
  if (sel === null) return null;
  const what = sel.split('.')[1];
  return what === 'mid' || what === 'post' ? 'node' : /** @type {any} */ (what);
}

/** The tab that a selection opens. @param {string | null} sel @returns {TabName} */
export function naturalTab(sel) {
  const kind = kindOf(sel);
  return kind === 'attn' ? 'heads' : kind === 'mlp' ? 'mlp' : 'node';
}

/**
 * The tab after something else was selected on the graph: walking nodes keeps the view of nodes, heads, neurons or the trace;
 * an edge opens its own; clearing leaves the views of the whole prompt.
 * @param {TabName | null} tab @param {string | null} sel @returns {TabName | null}
 */
export function tabAfter(tab, sel) {
  const kind = kindOf(sel);
  const keep = kind === 'node' ? ['node', 'heads', 'mlp', 'trace'] : kind === null ? TAB_NAMES : [];
  return tab !== null && /** @type {readonly string[]} */ (keep).includes(tab) && tab !== naturalTab(sel) ? tab : null;
}

/**
 * The node that a selection is about: itself, or the one that the edge enters.
 * @param {string | null} sel @param {{ nLayers: number, parallel: boolean, target: number }} shape
 * @returns {Focus} the target's last node when nothing is selected
 */
export function focusOf(sel, { nLayers, parallel, target }) {
  const kind = kindOf(sel);
  if (sel === null || kind === null) return { layer: nLayers - 1, point: 'post', pos: target };
  if (kind === 'node') return parseNode(sel);
  const [layer, , place] = sel.split('.');
  const point = parallel || kind === 'mlp' || kind === 'resid_mlp' ? 'post' : 'mid';
  return { layer: Number(layer), point, pos: Number(place.split('-')[0]) };
}
