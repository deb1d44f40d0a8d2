/**
 * Names of nodes and edges in words, the same in tooltips, panel and labels for screen readers.
 */

import { fraction, showToken } from './format.js';

/** @typedef {import('./routes.js').RouteEdge} RouteEdge */

/** Kinds of edges that a reader may hide, as `HIDEABLE` lists them. @type {Record<string, string>} */
export const KIND_WORDS = { resid: 'residual', mlp: 'MLP', self: 'self' };

/** @param {{ layer: number, point: string }} node @returns {string} short name, as the axes use it */
export function nodeName({ layer, point }) {
  if (layer < 0) return 'embedding';
  return `L${layer} ${point}`;
}

/** @param {{ layer: number, point: string }} node @param {boolean} parallel */
export function nodeMeaning({ layer, point }, parallel) {
  if (layer < 0) return 'residual stream entering block 0';
  if (parallel) return `residual stream after block ${layer}`;
  return point === 'mid' ? `residual stream after attention of layer ${layer}` : `residual stream after the MLP of layer ${layer}`;
}

/** @param {string[]} tokens @param {number} pos */
export function tokenAt(tokens, pos) {
  return `${showToken(tokens[pos] ?? '?')} (${pos})`;
}

/** @param {{ kind: string, layer: number }} edge */
export function edgeName({ kind, layer }) {
  if (kind === 'attn') return `L${layer} attention`;
  if (kind === 'mlp') return `L${layer} MLP`;
  return kind === 'resid_attn' ? `residual past L${layer} attention` : `residual past L${layer} MLP`;
}

/** @param {{ kind: string, src: number, dst: number }} edge @param {string[]} tokens */
export function edgeEnds({ kind, src, dst }, tokens) {
  if (kind !== 'attn') return `at ${tokenAt(tokens, dst)}`;
  return src === dst ? `${tokenAt(tokens, src)} to itself` : `${tokenAt(tokens, src)} → ${tokenAt(tokens, dst)}`;
}

/** @param {RouteEdge} edge @param {string[]} tokens */
export function edgeLabel(edge, tokens) {
  return `${edgeName(edge)}, ${edgeEnds(edge, tokens)}, share ${fraction(edge.shown)}`;
}

/** What this token explains. @param {string} from */
export function answerFrom(from) {
  if (from === 'dataset') return 'answer, from the dataset';
  return from === 'next_token' ? 'answer: the token that follows' : 'answer: the prediction itself';
}

/** What a share is a share of, in this mode: only attention is summed over heads. @param {string} kind @param {import('./routes.js').Mode} mode */
export function shareName(kind, mode) {
  return kind === 'attn' || mode === 'renormalised' ? `share, ${modeName(mode)}` : 'share';
}

/** @param {import('./routes.js').Mode} mode */
export function modeName(mode) {
  return { summed: 'summed over heads', per_head: 'per head', renormalised: 'renormalised' }[mode];
}
