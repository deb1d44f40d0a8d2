/** Which part of a run a site holds, in words: `flowatlas site --select` may leave prompts, tables and ranks out. Pure. */

import { clip, integer, showText } from './format.js';

/** @typedef {{ prompts: string | null, n_prompts: number, left_out: string[], top_k: Record<string, number> }} Selection `n_prompts`: of the whole run */

/** @param {Pick<import('./data.js').RunIndex, 'selection' | 'counts'>} index @returns {string} empty where the site holds the whole run */
export function selectionWords({ selection, counts }) {
  if (!selection) return '';
  const ranks = Object.entries(selection.top_k).map(([table, k]) => `${table} to rank ${k}`);
  const parts = [
    selection.prompts === null ? '' : `${integer(counts.prompts)} of its ${integer(selection.n_prompts)} prompts (${clip(showText(selection.prompts), 200)})`,
    selection.left_out.length ? `without ${selection.left_out.join(', ')}` : '',
    ranks.length ? `with ${ranks.join(', ')}` : '',
  ].filter(Boolean);
  return `This site holds a part of the run: ${parts.join('; ')}. Statistics are over all of it.`;
}
