/** Whether the tables of a prompt tell the same story: a lost or exchanged file must not pass for an empty graph. */

import { SiteError } from './errors.js';

/**
 * A file may be whole and yet another one's: what one table says must be in the others.
 * @param {Pick<import('./data.js').RunIndex, 'id' | 'n_layers'>} index @param {any} prompt @param {{ targets: any[], nodes: any[], edges: any[] }} found
 */
export function checkWhole(index, prompt, { targets, nodes, edges }) {
  const explained = new Set(targets.map((row) => row.target));
  const ends = new Set(nodes.filter((node) => node.layer === index.n_layers - 1 && node.point === 'post').map((node) => node.pos));
  const parts = nodes.some((node) => node.layer >= 0 && node.stored_share > 0);
  const lacks = [
    prompt.targets.every((/** @type {number} */ pos) => explained.has(pos)) ? null : 'targets',
    prompt.targets.every((/** @type {number} */ pos) => ends.has(pos)) ? null : 'nodes',
    parts && !edges.length ? 'edges' : null,
  ].filter((table) => table !== null);
  if (lacks.length) throw new SiteError('incomplete', `prompt ${prompt.prompt_id} of ${index.id}: its rows are missing from ${lacks.join(', ')}`, { tables: lacks });
}
