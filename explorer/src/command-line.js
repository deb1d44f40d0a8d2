/** The same query outside of the page, where a run of any size can be asked: DuckDB's command line, and Python. */

import { planOf } from './sql-plan.js';

/** @param {string} sql without the last semicolon and the white space at both ends */
const bare = (sql) => sql.trim().replace(/[\s;]+$/, '');

/** Where a table lies: RUN is the run's folder, COMPARED what `flowatlas compare A B --out COMPARED` wrote. @param {string} name */
function placeOf(name) {
  const [schema, short] = name.includes('.') ? name.split('.') : ['', name];
  if (schema === 'compared') return `COMPARED/${short}.parquet`;
  return schema ? `RUN/${schema}/${short}.parquet` : `RUN/${name}/*.parquet`;
}

/** Whether a query is about two runs, which Python opens one at a time. @param {import('./data.js').RunIndex} index @param {string} sql */
export const asksTwo = (index, sql) => planOf(index, sql).sources.some(({ table }) => table.name.startsWith('compared.'));

/**
 * Statements for `duckdb`: views on the run's files, then the query. `RUN` stands for the run's folder.
 * @param {import('./data.js').RunIndex} index @param {string} sql
 */
export function statements(index, sql) {
  const named = planOf(index, sql).sources.map(({ table }) => table.name);
  const schemas = [...new Set(named.filter((name) => name.includes('.')).map((name) => name.split('.')[0]))];
  return [
    ...schemas.map((schema) => `CREATE SCHEMA ${schema};`),
    ...named.map((name) => `CREATE VIEW ${name} AS FROM '${placeOf(name)}';`),
    `${bare(sql)};`,
  ].join('\n');
}

/** @param {import('./data.js').RunIndex} index @param {string} sql */
export const forShell = (index, sql) => `duckdb <<'SQL'\n${statements(index, sql)}\nSQL`;

/** @param {string} sql */
export function forPython(sql) {
  const text = sql.includes('"""') || sql.includes('\\') ? JSON.stringify(bare(sql)) : `"""\n${bare(sql)}\n"""`;
  return `import flowatlas\n\nrun = flowatlas.open("RUN")\nrun.sql(${text}).df()`;
}
