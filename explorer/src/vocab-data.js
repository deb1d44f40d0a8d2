/**
 * The vocabulary atlas of a run's model as rows: keyword search, tokens of a neuron, circuits of a head, clusters. Every
 * question fetches the few small files that hold its answer.
 *
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {import('./stats-data.js').StatsTable} Cut
 * @typedef {{ atlas: boolean, n_neurons: number, words: { rows: number, bytes: number }, postings: { files: number, bytes: number, rows: number },
 *   neurons?: [number, number, number, number][], without_heads?: number[], settings?: { top_k: number, directions: number, pairs: number },
 *   clustering?: string, n_clusters?: number, special?: number[],
 *   tables?: Record<string, Cut> & { neuron_tokens: { rows: number, bytes: number, block: number } }, members?: Cut }} VocabIndex
 *   `clustering` tells its clusters from others; `special`: ids of control tokens;
 *   `neurons`: layer, first and last expert, and how many neurons each of these has
 */

import { filesFor } from './keywords.js';
import { filesIn } from './stats-data.js';
import postingsSql from './sql/vocab_postings.sql?raw';
import wordsSql from './sql/vocab_words.sql?raw';

/** @param {RunIndex} index @returns {VocabIndex | null} null: the site's run has no tokens of neurons at all */
export const vocabOf = (index) => index.vocab ?? null;

/** Whether the tokens of every neuron are here, and not of stored ones only. @param {RunIndex} index */
export const hasAtlas = (index) => Boolean(index.vocab?.atlas);

/** The layer's MLP or expert in the names of files. @param {number} layer @param {number} expert */
const ownerName = (layer, expert) => (expert < 0 ? `L${layer}` : `L${layer}E${expert}`);

/** How many neurons the MLP or expert has; 0 where there is none. @param {RunIndex} index @param {number} layer @param {number} expert */
export function neuronsIn(index, layer, expert) {
  const found = index.vocab?.neurons?.find(([l, first, last]) => l === layer && first <= expert && expert <= last);
  return found ? found[3] : 0;
}

/** Paths of the files of a table of the atlas. @param {RunIndex} index @param {string} table @param {import('./stats-data.js').Wanted} [wanted] @returns {{ file: string, bytes: number }[]} */
export function vocabFiles(index, table, wanted = {}) {
  const tables = index.vocab?.tables;
  if (!tables) return [];
  if (table !== 'neuron_tokens') return filesIn(table === 'members' ? index.vocab?.members : tables[table], wanted);
  const { block, bytes } = tables.neuron_tokens;
  const names = (index.vocab?.neurons ?? []).flatMap(([layer, first, last, n]) =>
    Array.from({ length: last - first + 1 }, (_, e) => Array.from({ length: Math.ceil(n / block) }, (_, k) => `vocab/neuron_tokens/${ownerName(layer, first + e)}-${k}.parquet`)).flat());
  return names.map((file) => ({ file, bytes: bytes / names.length }));
}

/** The path of the one file with the tokens of a neuron. @param {RunIndex} index @param {import('./details.js').Neuron} of */
export function tokenFile(index, { layer, expert, neuron }) {
  const { block } = /** @type {{ block: number }} */ (index.vocab?.tables?.neuron_tokens);
  return `vocab/neuron_tokens/${ownerName(layer, expert)}-${Math.floor(neuron / block)}.parquet`;
}

/** @param {{ query: import('./db.js').Db['query'], address: (index: RunIndex, path: string) => string }} options */
export function createVocab({ query, address }) {
  /**
   * @param {RunIndex} index @param {string} sql @param {Record<string, import('./stats-data.js').Wanted>} tables `{table}` in the SQL, with what is wanted of it
   * @param {Record<string, any>} values @param {Record<string, string>} [others] where the rows of a table lie in another order: `members` has those of `neurons` by cluster
   */
  async function answer(index, sql, tables, values, others = {}) {
    const parts = Object.entries(tables).map(([name, wanted]) => [name, vocabFiles(index, others[name] ?? name, wanted).map(({ file }) => address(index, file))]);
    return parts.every(([, files]) => files.length) ? query(sql, values, Object.fromEntries(parts)) : [];
  }

  /** The words of the vocabulary that match, the nearest first. @param {RunIndex} index @param {import('./keywords.js').Asked} asked @returns {Promise<import('./keywords.js').Match[]>} */
  const matches = (index, { typed, exact }) => /** @type {any} */ (query(wordsSql, { typed, exact }, { words: [address(index, 'vocab/words.parquet')] }));

  /**
   * What has tokens that match.
   * @param {RunIndex} index @param {import('./keywords.js').Asked} asked @param {'neuron' | 'head'} component
   * @param {number} [most] files to fetch
   * @returns {Promise<{ rows: import('./rows.js').Row[], matches: import('./keywords.js').Match[], looked: import('./keywords.js').Match[], files: number }>}
   */
  async function search(index, asked, component, most) {
    const found = await matches(index, asked);
    const { files, looked } = filesFor(found, most);
    const all = filesFor(found, Infinity).files.length;
    if (!files.length) return { rows: [], matches: found, looked, files: all };
    const { typed, exact, every, sign } = asked;
    const postings = files.map((k) => address(index, `vocab/postings-${k}.parquet`));
    const values = { typed, exact, every, sign, component, n: typed.length };
    const rows = await query(postingsSql, values, { postings });
    return { rows: rows.map((row) => ({ ...row, tokens: row.tokens.split('\x1f') })), matches: found, looked, files: all };
  }

  return { rows: answer, search };
}
