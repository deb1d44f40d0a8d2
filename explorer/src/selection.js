/** Which part of a run a site holds, in words: `flowatlas site --select` may leave prompts, tables and ranks out. Pure. */

import { SiteError } from './errors.js';
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
  const stats = selection.left_out.includes('stats') ? '' : ' Statistics are over all of it.';
  return `This site holds a part of the run: ${parts.join('; ')}.${stats}`;
}

/** A table that was left out must not pass for an empty one. @param {Pick<import('./data.js').RunIndex, 'selection'>} index @param {string} table */
export function demand(index, table) {
  if (index.selection?.left_out.includes(table)) throw new SiteError('left-out', `this site was made without ${table}`, { table });
}
