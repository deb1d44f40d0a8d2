/** What an opened node shows, fetched when it is opened: the top token of its heads and neurons. */

import headsSql from './sql/expand_heads.sql?raw';
import neuronsSql from './sql/expand_neurons.sql?raw';
import { parseNode } from './routes.js';

/** @typedef {import('./data.js').RunIndex} RunIndex */

/**
 * @param {{ rows: (index: RunIndex, sql: string, tables: string[], values: Record<string, any>, others?: Record<string, string[]>) => Promise<any[]>,
 *   address: (index: RunIndex, path: string) => string }} options
 */
export function createExpansions({ rows, address }) {
  /**
   * @param {RunIndex} index @param {number} id @param {string} key of a node
   * @returns {Promise<{ heads: import('./expand.js').HeadToken[], neurons: import('./expand.js').NeuronRow[] }>}
   */
  return async (index, id, key) => {
    const { layer, point, pos } = parseNode(key);
    const values = { id, layer, pos };
    const model = { neuron_tokens: [address(index, 'model/neuron_tokens.parquet')], vocab: [address(index, 'model/vocab.parquet')] };
    const [heads, neurons] = await Promise.all([
      point === 'mid' || index.parallel ? rows(index, headsSql, ['writes', 'tokens'], values) : [],
      point === 'post' ? rows(index, neuronsSql, ['neurons'], values, model) : [],
    ]);
    return { heads, neurons };
  };
}
