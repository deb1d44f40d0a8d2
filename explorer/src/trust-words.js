/** What is measured about the measurement: each check, what it means, and when to distrust the numbers. Pure. */

import { size } from './format.js';

/** `guard.py`, TOLERANCE: what the largest error may be, by the weights' type. @type {Record<string, number>} */
export const TOLERANCE = { float64: 1e-6, float32: 1e-4, float16: 5e-3, bfloat16: 3e-2 };

/** Checks of the guard: what is compared, and what a large error would mean. @type {Record<string, [string, string]>} */
export const CHECKS = {
  logits: ['our logits of the last node against Hugging Face’s own', 'The route explains another model than the one that predicts: nothing here holds.'],
  pattern: ['attention times values against what the heads pass on', 'Attention weights or head contributions are not those that the model uses.'],
  attention_sum: ['residual, all heads and bias against the residual after attention', 'Shares of heads do not add up to the whole, so none of them is right.'],
  mlp_sum: ['residual and MLP output against the residual after the MLP', 'Shares of MLPs are not of what the model adds.'],
  neuron_sum: ['all neurons and bias against the MLP’s output', 'Neurons are not what the MLP is made of; shares of MLPs may still hold.'],
};

/** @type {Record<string, { title: string, means: string, distrust: string }>} */
export const FIDELITY = {
  dropped_share: {
    title: 'Share dropped below the floor',
    means: 'How much of a node’s whole is in edges too small to be stored (1 less the stored share).',
    distrust: 'Where it is large, many small sources together matter: lower routes.floor, or read that layer’s routes as the strongest part only.',
  },
  bias_share: {
    title: 'Share that the bias would take',
    means: 'Biases are no source in a route. This is the share that they would have if they were.',
    distrust: 'Where it is large, a good part of the node comes from no token and no component: heads and neurons there look larger than they are.',
  },
};

/**
 * Config as lines of `key = value`.
 * @param {any} value @param {string} [prefix] @returns {[string, string][]}
 */
export function flattened(value, prefix = '') {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [[prefix, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flattened(inner, prefix ? `${prefix}.${key}` : key));
}

/**
 * What the run is: name, value, and what it says about trust.
 * @param {import('./data.js').RunIndex} index @returns {[string, string, string][]}
 */
export function runFacts(index) {
  const { manifest } = index;
  const dtype = String(manifest.model?.dtype ?? manifest.config?.model?.dtype ?? '–');
  const stored = Object.values(manifest.tables ?? {}).reduce((sum, /** @type {any} */ table) => sum + (table.bytes ?? 0), 0);
  return [
    ['weights', dtype, dtype.includes('16') ? 'Half precision: activations are rounded, so differences under about a hundredth mean nothing. Compare with a float32 run of some prompts.' : 'Full precision: rounding is far below anything shown here.'],
    ['floor', String(index.floor), 'Edges below it are not stored. Every threshold at or above it is exact.'],
    ['targets', String(index.targets), index.targets === 'last' ? 'Routes explain the last token only; statistics over positions are over what leads to it.' : 'Every position is explained; a prompt’s mean is over all of them.'],
    ['prompts', String(index.counts?.prompts ?? '–'), 'Intervals are over prompts: few prompts, wide intervals. Prompts that resemble each other count as if they did not.'],
    ['finished', manifest.finished ? String(manifest.finished) : 'not yet', manifest.finished ? 'All shards are in, and the content of each has its hash.' : 'This run is not finished: statistics are of the shards that are.'],
    ['stored', size(stored), 'In the run’s own folder; a page of this site fetches a small part of it.'],
  ];
}

/** What identifies the run. @param {any} manifest @returns {[string, string, string][]} */
export function hashes(manifest) {
  /** @type {[string, unknown, string][]} */
  const found = [
    ['weights', manifest.weights_hash, 'Another hash is another model, whatever its name says.'],
    ['config', manifest.config_hash, 'Two runs with the same config, weights and dataset hold the same numbers.'],
    ['tokenizer', manifest.identity?.tokenizer, 'Another tokenizer cuts other tokens from the same text.'],
    ['dataset', manifest.dataset?.shard_hashes?.[0] && `${manifest.dataset.shard_hashes[0]} (first shard)`, 'A changed row changes its shard’s hash.'],
    ['revision', manifest.config?.model?.revision, 'The version of the model on the hub, where one was asked for.'],
  ];
  return found.filter(([, value]) => value).map(([name, value, words]) => [name, String(value), words]);
}
