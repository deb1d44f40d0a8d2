/**
 * Interventions of a run as rows: over its prompts, and for one of them.
 *
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {import('./rows.js').Row} Row
 * @typedef {{ bytes: number, files: { file: string }[] }} Whole
 * @typedef {{ bytes: number, buckets: import('./buckets.js').Ranges }} Cut
 * @typedef {{ name: string, folder: string, note: string, edits: string[], components: string[], generate: number, n_prompts: number,
 *   tables: { summary: Whole, largest: Whole, predictions: Cut, course: Cut, lens: Cut, continuations: Cut } }} Intervention as `flowatlas site` lists them
 * @typedef {{ prediction: Row, nodes: Row[], text: Row | undefined }} BeforeAfter of a prompt; `nodes` from the top down
 */

import { hasBucket } from './buckets.js';
import continuationSql from './sql/intervention_continuation.sql?raw';
import largestSql from './sql/intervention_largest.sql?raw';
import nodesSql from './sql/intervention_nodes.sql?raw';
import predictionSql from './sql/intervention_prediction.sql?raw';
import summarySql from './sql/intervention_summary.sql?raw';

/** Those of a run; none of a site that was made before there were any. @param {RunIndex} index @returns {Intervention[]} */
export const interventionsOf = (index) => index.interventions ?? [];

/** What its tables are called in SQL. */
export const NAMES = Object.fromEntries(['summary', 'largest', 'predictions', 'course', 'lens', 'continuations'].map((table) => [table, `interventions.${table}`]));

/** The one of an address, else the first. @param {RunIndex} index @param {string | null} folder */
export const chosen = (index, folder) => interventionsOf(index).find((one) => one.folder === folder) ?? interventionsOf(index)[0];

/** @param {{ query: import('./db.js').Db['query'], address: (index: RunIndex, path: string) => string }} options */
export function createInterventions({ query, address }) {
  /** @param {RunIndex} index @param {Whole} table */
  const whole = (index, { files }) => files.map(({ file }) => address(index, file));

  /** @param {RunIndex} index @param {Intervention} one @param {'predictions' | 'course' | 'lens' | 'continuations'} table @param {number} id */
  function bucket(index, one, table, id) {
    const number = Math.floor(id / index.bucket_size);
    return hasBucket(one.tables[table].buckets, number) ? [address(index, `interventions/${one.folder}/${table}/bucket-${number}.parquet`)] : null;
  }

  /** @param {RunIndex} index @param {Intervention} one @returns {Promise<Row[]>} a row for each group and measure */
  const summary = (index, one) => query(summarySql, { intervention: one.folder }, { summary: whole(index, one.tables.summary) });

  /** @param {RunIndex} index @param {Intervention} one @param {string} measure @param {string | null} group @returns {Promise<Row[]>} */
  const largest = (index, one, measure, group) => query(largestSql, { intervention: one.folder, measure, group }, { largest: whole(index, one.tables.largest) });

  /** @param {RunIndex} index @param {Intervention} one @param {number} id @returns {Promise<BeforeAfter | null>} null: it was not asked again */
  async function prompt(index, one, id) {
    const [predictions, course, lens, texts] = /** @type {const} */ (['predictions', 'course', 'lens', 'continuations']).map((table) => bucket(index, one, table, id));
    if (!predictions || !course || !lens) return null;
    const values = { id, intervention: one.folder };
    const [found, nodes, text] = await Promise.all([
      query(predictionSql, values, { predictions }),
      query(nodesSql, values, { course, lens }),
      texts ? query(continuationSql, values, { continuations: texts }) : [],
    ]);
    return found.length ? { prediction: found[0], nodes, text: text[0] } : null;
  }

  return { summary, largest, prompt };
}
