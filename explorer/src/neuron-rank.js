/** What the panel ranks neurons by: their share of the node, or how much they write (the dominant neurons of LM-Debugger). */

import { h } from './dom.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */

const WORDS = /** @type {const} */ ({ share: 'share', strength: '|activation| × norm' });

/** Said under a list by strength. */
export const STRENGTH = 'By how much each writes, |activation| times the norm of its value vector: the dominant neurons of LM-Debugger. Its direction counts for nothing here, so one that writes against the node, with a share of 0, may come first; and the MLP need not be on a route.';

/** Whether the run has both rankings: those made by older versions have shares only. @param {import('./data.js').RunIndex} index */
const both = (index) => Boolean(index.tables.dominant_neurons?.rows) || Boolean(index.selection?.left_out.includes('dominant_neurons'));

/** @param {Pick<PanelProps, 'index' | 'state'>} props @returns {import('./tabs.js').NeuronRank} */
export const neuronRank = ({ index, state }) => (both(index) ? state.by : 'share');

/** @param {PanelProps} props @returns {Node[]} */
export function rankChooser({ index, state, onGo }) {
  if (!both(index)) return [];
  const buttons = Object.entries(WORDS).map(([by, words]) =>
    h('button', { type: 'button', class: 'choice', 'aria-pressed': by === state.by ? 'true' : 'false', 'data-go': `by ${by}`, 'data-testid': `by-${by}`, onclick: () => onGo({ by: /** @type {any} */ (by), neuron: null }) }, words));
  return [h('div', { class: 'choices', role: 'group', 'aria-label': 'Neurons by' }, ...buttons)];
}

/** Why a position has no neurons by strength; null where it may have. @param {PanelProps} props @param {number} pos */
export const noStrength = ({ data }, pos) => (data.targets.some(({ target }) => target === pos) ? null : 'They are stored at explained tokens only, and this is none.');
