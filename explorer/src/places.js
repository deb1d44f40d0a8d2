/** What an address may name and this prompt or model has not: said rather than replaced in silence. Pure. */

/** @typedef {import('./data.js').RunIndex} RunIndex */

/**
 * Whether there is such a node or edge.
 * @param {string} key @param {{ index: Pick<RunIndex, 'n_layers' | 'parallel'>, nTokens: number }} of
 */
export function hasPlace(key, { index, nTokens }) {
  const [layer, what, place] = key.split('.');
  const inside = Number(layer) < index.n_layers && place.split('-').every((pos) => Number(pos) < nTokens);
  return inside && !(what === 'mid' && (index.parallel || Number(layer) < 0));
}

/** Said where neurons are missing because their family's mixture mixes them. */
export const BLOCK_LEVEL = 'The neurons of this family’s mixture cannot be told apart: block level.';

/** Whether a layer's MLP is stored as a whole only. @param {RunIndex} index @param {number} layer */
export function isBlockLevel(index, layer) {
  return (index.manifest?.model?.without_neurons ?? []).includes(layer);
}

/**
 * What to say about nodes that an address opens and that do not exist.
 * @param {string[]} open @param {{ index: RunIndex, nTokens: number }} of @returns {string[]}
 */
export function openNotes(open, of) {
  const gone = open.filter((key) => !hasPlace(key, of));
  return gone.length ? [`There is no ${gone.join(' or ')} in this prompt, so it is not opened.`] : [];
}
