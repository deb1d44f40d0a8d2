/** The shipped engine in Node: the blocking bundle of the same version, on the golden Parquet files. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decode } from '../src/rows.js';
import { bind } from '../src/sql.js';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

export const golden = (path) => join(here, 'golden', 'site', 'data', path);
export const sql = (name) => readFileSync(join(here, '..', 'src', 'sql', `${name}.sql`), 'utf8');
export const json = (path) => JSON.parse(readFileSync(golden(path), 'utf8'));

export async function startEngine() {
  const duckdb = require('@duckdb/duckdb-wasm/dist/duckdb-node-blocking.cjs');
  const dist = dirname(require.resolve('@duckdb/duckdb-wasm/dist/duckdb-node-blocking.cjs'));
  const bundles = { mvp: { mainModule: join(dist, 'duckdb-mvp.wasm') }, eh: { mainModule: join(dist, 'duckdb-eh.wasm') } };
  const db = await duckdb.createDuckDB(bundles, new duckdb.VoidLogger(), duckdb.NODE_RUNTIME);
  await db.instantiate();
  db.open({ query: { castBigIntToDouble: true, castDecimalToDouble: true } });
  const connection = db.connect();
  const registered = new Set();

  let queue = Promise.resolve();

  /** The same signature as `db.js`, and one at a time as there; files are paths in the golden site. */
  function query(...asked) {
    const answer = queue.then(() => ask(...asked));
    queue = answer.catch(() => {});
    return answer;
  }

  async function ask(text, values = {}, parts = {}) {
    for (const file of Object.values(parts).filter(Array.isArray).flat()) {
      if (registered.has(file)) continue;
      db.registerFileBuffer(file, new Uint8Array(readFileSync(golden(file))));
      registered.add(file);
    }
    const batches = [];
    for await (const batch of await connection.send(bind(text, values, parts))) batches.push(batch);
    return decode(batches);
  }
  return { query };
}
