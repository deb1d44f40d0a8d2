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

/**
 * What an intervention may change. `word` is for a choice; `sides`: it has a value before and after, and a change between them.
 * @type {Record<string, { word: string, title: string, unit: string, note: string, sides: boolean }>}
 */
export const CHANGES = {
  answer_logprob: { word: 'log p of the answer', title: 'Change of the answer’s log probability', unit: 'nats', note: 'Log probability of the run’s answer with the edits, less that without.', sides: true },
  accuracy: { word: 'accuracy', title: 'Change of accuracy', unit: 'part of prompts', note: 'Part of the prompts in which the answer is the most probable token, with the edits less without. Prompts whose answer is what the model predicts anyway are left out.', sides: true },
  answer_logit: { word: 'logit of the answer', title: 'Change of the answer’s logit', unit: 'logits', note: 'Logit of the run’s answer with the edits, less that without.', sides: true },
  foil_logprob: { word: 'log p of the foil', title: 'Change of the foil’s log probability', unit: 'nats', note: 'Log probability of the foil with the edits, less that without, over the prompts that have one.', sides: true },
  foil_logit: { word: 'logit of the foil', title: 'Change of the foil’s logit', unit: 'logits', note: 'Logit of the foil with the edits, less that without, over the prompts that have one.', sides: true },
  gap: { word: 'answer less foil', title: 'Change of answer less foil', unit: 'logits', note: 'Logit of the answer less that of the foil (of log probabilities it is the same), over the prompts that have one.', sides: true },
  kl: { word: 'divergence', title: 'Divergence of the predictions', unit: 'nats', note: 'Kullback-Leibler divergence of the whole prediction with the edits from the one without.', sides: false },
  flipped: { word: 'other predictions', title: 'Other predictions', unit: 'part of prompts', note: 'Part of the prompts in which another token is the most probable one.', sides: false },
};
