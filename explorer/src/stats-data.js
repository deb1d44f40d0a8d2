/**
 * The statistics of a run as rows: which files of `stats/` hold what a question is about, and the question itself.
 * Tables of some size are cut at changes of a few columns; only the pieces that hold what is wanted are fetched.
 *
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {string | number | boolean | null} Key a value of a column at which a table is cut
 * @typedef {{ file: string, rows: number, bytes: number, keys?: Key[][] }} StatsFile
 * @typedef {{ rows: number, bytes: number, cut: string[], files: StatsFile[] }} StatsTable `cut`: at changes of these columns
 * @typedef {{ taus: number[], groups: string[], complete: boolean, n_prompts: number, tables: Record<string, StatsTable> }} StatsMarker
 * @typedef {{ n_prompts: number, taus: number[], tables: Record<string, StatsTable> }} AuditMarker
 * @typedef {Record<string, Key | Key[]>} Wanted by column; one of several values where a list is given
 */

/** What the statistics were made of; null where this site has none. @param {RunIndex} index @returns {StatsMarker | null} */
export const statsOf = (index) => index.stats ?? null;

/** @param {Key[]} key @param {string[]} cut @param {Wanted} wanted */
const holds = (key, cut, wanted) =>
  cut.every((column, i) => {
    const want = wanted[column];
    return want === undefined || (Array.isArray(want) ? want.includes(key[i]) : want === key[i]);
  });

/**
 * The files of a cut table that can hold what is wanted. Pure.
 * @param {StatsTable | undefined} entry @param {Wanted} [wanted] @returns {StatsFile[]} none: the site has no such table
 */
export function filesIn(entry, wanted = {}) {
  return entry ? entry.files.filter(({ keys }) => !keys || keys.some((key) => holds(key, entry.cut, wanted))) : [];
}

/** The same of a table of the statistics or the audit. @param {Pick<StatsMarker, 'tables'> | null | undefined} stats @param {string} table @param {Wanted} [wanted] */
export const filesOf = (stats, table, wanted = {}) => filesIn(stats?.tables[table], wanted);

/** @param {{ query: import('./db.js').Db['query'], address: (index: RunIndex, path: string) => string }} options */
export function createStats({ query, address }) {
  /** Addresses of the files of a table that can hold what is wanted. @param {RunIndex} index @param {string} table @param {Wanted} [wanted] */
  const files = (index, table, wanted) => filesOf(statsOf(index), table, wanted).map(({ file }) => address(index, file));

  /**
   * The answer of a `.sql` file on tables of statistics; no rows where one of them is not there.
   * @param {RunIndex} index @param {string} sql
   * @param {Record<string, Wanted>} tables `{importance}` in the SQL is that table; `wanted` only spares files, so the SQL says it again
   * @param {Record<string, import('./sql.js').Value>} [values] @param {Record<string, string[] | string>} [others] further parts of the SQL
   * @returns {Promise<import('./rows.js').Row[]>}
   */
  async function rows(index, sql, tables, values = {}, others = {}) {
    /** @type {Record<string, string[] | string>} */
    const parts = { ...others };
    for (const [table, wanted] of Object.entries(tables)) {
      const found = files(index, table, wanted);
      if (!found.length) return [];
      parts[table] = found;
    }
    return query(sql, values, parts);
  }

  return { files, rows };
}
