/** A reader's own SQL on a run: which files it needs, and its answer. */

import { SiteError } from './errors.js';
import { changing, READING } from './reads-only.js';
import { SCHEMAS, sourceOf, TABLES, viewOf } from './sql-plan.js';

/** A result is cut off after as many rows; the query itself may say how to go on. */
const MOST_ROWS = 10_000;

/**
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {import('./figure.js').Numbers & { more: boolean }} Result `more`: there are more rows than these
 * @param {{ ask: import('./db.js').Db['ask'], address: (index: RunIndex, path: string) => string }} options
 */
export function createConsoleData({ ask, address }) {
  /**
   * @param {RunIndex} index @param {string} sql @param {import('./sql-plan.js').Plan} plan @param {AbortSignal} signal
   * @returns {Promise<Result>} rejects with a SiteError of kind `query` that has the engine's own words
   */
  async function run(index, sql, plan, signal) {
    const word = changing(sql);
    if (word) throw new SiteError('query', `The console only reads: a query begins with ${READING.join(', ')}, and not with ${word}.`);
    const sources = plan.sources.map((source) => ({ source, addresses: source.files.map((file) => address(index, file)) }));
    const schemas = SCHEMAS.map((schema) => `CREATE SCHEMA IF NOT EXISTS ${schema}`);
    const views = (/** @type {Map<string, string>} */ names) => [
      ...schemas,
      ...sources.map(({ source, addresses }) => viewOf(source, addresses.map((one) => /** @type {string} */ (names.get(one))))),
    ];
    return ask(sql, { files: sources.flatMap(({ addresses }) => addresses), views, most: MOST_ROWS, signal });
  }

  /** Every table with the size of all of it; comparisons where the site has one. @param {RunIndex} index @param {string | null} other */
  const sources = (index, other) => TABLES.filter(({ name }) => !name.startsWith('compared.') || index.compared?.length).map(({ name }) => sourceOf(index, name, { other }));

  return { run, sources };
}
