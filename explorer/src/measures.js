/** What the statistics measure, in words: one table for the controls, axes, tables and addresses of all pages. Pure. */

/**
 * @typedef {{ name: string, short: string, unit: string, signed: boolean, of: string }} Measure
 *   `of` names the denominator: the column that counts the prompts behind the mean
 */

/** Columns of `importance`, then of `activity`. @type {Record<string, Measure>} */
export const MEASURES = {
  mean_share: { name: 'mean share over positions', short: 'mean share', unit: 'share', signed: false, of: 'n' },
  target_share: { name: 'share at the last target', short: 'share at target', unit: 'share', signed: false, of: 'n' },
  effect: { name: 'direct effect on the answer', short: 'effect', unit: 'logits', signed: true, of: 'n_effect' },
  effect_gap: { name: 'direct effect on answer less foil', short: 'effect, less foil', unit: 'logits', signed: true, of: 'n_gap' },
  frequency: { name: 'activation frequency above the threshold', short: 'frequency', unit: 'share of prompts', signed: false, of: 'n' },
  share_when_active: { name: 'mean share when active', short: 'share when active', unit: 'share', signed: false, of: 'n_active' },
};

/** Parts of the prompts of a template that hold an edge, from which a reader chooses. */
export const LEAST = [0.25, 0.5, 0.75, 1];

/** Measures that contrasts are made of. */
export const COMPARED = ['mean_share', 'target_share', 'effect'];

/** Measures that hang on a threshold: they lie in `activity`. @param {string} measure */
export const byThreshold = (measure) => measure === 'frequency' || measure === 'share_when_active';

export const PARTS = /** @type {const} */ (['head', 'mlp', 'attn', 'neuron']);
/** @typedef {typeof PARTS[number]} Part */

/** @type {Record<Part, string>} one and many of each */
export const PART_WORDS = { head: 'heads', mlp: 'MLPs', attn: 'attention blocks', neuron: 'neurons' };

export const CONTRASTS = /** @type {const} */ (['rest', 'groups', 'roles']);
/** @typedef {typeof CONTRASTS[number]} Contrast */

/** What roles are counted over: edges on stored routes, or whole maps. */
export const SOURCES = /** @type {const} */ (['edges', 'maps']);

/** How a component is taken out, and what its effect is held against. */
export const REMOVALS = /** @type {const} */ (['mean', 'zero']);
export const SHARES = /** @type {const} */ (['mean_share', 'target_share', 'route_tau', 'direct']);
export const SIDES = /** @type {const} */ (['size', 'signed']);

/** What an audit measures of the answer. */
export const AUDITED = /** @type {const} */ (['logprob', 'logit', 'gap']);

/** How examples are chosen. */
export const PICKS = /** @type {const} */ (['top', 'decile', 'random']);
