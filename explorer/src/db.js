/**
 * The only module that knows the SQL engine (duckdb-wasm 1.28.0).
 *
 * - Files are fetched whole, checked for Parquet's magic at both ends and registered as buffers; the least recently
 *   used are dropped once they exceed the budget.
 * - Queries run one at a time on one connection with `send()`, drained: in this version `query()` swallows run-time
 *   errors and returns fewer rows.
 */

import { AsyncDuckDB, VoidLogger } from '@duckdb/duckdb-wasm';
import wasmAddress from '@duckdb/duckdb-wasm/dist/duckdb-eh.wasm?url';
import workerAddress from '@duckdb/duckdb-wasm/dist/duckdb-browser-eh.worker.js?url';
import { startWorker } from './engine-worker.js';
import { SiteError } from './errors.js';
import { fetchParquet } from './files.js';
import { isTrap, surviving } from './restart.js';
import { decode, tabulate } from './rows.js';
import { bind } from './sql.js';

const BUDGET_BYTES = 96e6;

/** @typedef {import('@duckdb/duckdb-wasm').AsyncDuckDBConnection} Connection */

/** No query changes what the engine may do, nor makes it look for extensions. */
const SETTINGS = ['SET autoinstall_known_extensions = false', 'SET autoload_known_extensions = false', 'SET lock_configuration = true'];
const PATIENCE_MS = [3000, 7000, 10000, 20000, 20000, 30000];

/**
 * Rejects when the engine's file cannot be had: a worker whose WebAssembly fails to load never answers at all.
 * @param {string} address @param {AbortSignal} signal ends the watch
 * @returns {Promise<never>}
 */
async function watch(address, signal) {
  for (const wait of PATIENCE_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal.aborted) return new Promise(() => {});
    const response = await fetch(address, { method: 'HEAD' });
    if (!response.ok) throw new Error(`${address}: the server answered ${response.status}`);
  }
  throw new Error(`${address} did not start in 90 seconds`);
}

async function startEngine() {
  const { worker, begun } = startWorker(new URL(workerAddress, document.baseURI).href);
  const wasm = new URL(wasmAddress, document.baseURI).href;
  const db = new AsyncDuckDB(new VoidLogger(), worker);
  const over = new AbortController();
  // A worker that fails to load reports nothing but an event.
  const failed = new Promise((_, reject) => {
    worker.addEventListener('error', (event) => reject(new Error(event.message || 'the worker did not load')));
  });
  const started = (async () => {
    await db.instantiate(wasm);
    await db.open({ query: { castBigIntToDouble: true, castDecimalToDouble: true } });
    const connection = await db.connect();
    for (const setting of SETTINGS) await connection.query(setting);
    return { db, worker, connection };
  })();
  try {
    const ready = await Promise.race([started, failed, watch(wasm, over.signal)]);
    return /** @type {{ db: AsyncDuckDB, worker: Worker, connection: Connection }} */ (ready);
  } catch (error) {
    worker.terminate();
    throw error;
  } finally {
    over.abort();
    begun();
  }
}

/** @typedef {ReturnType<typeof createDb>} Db */

export function createDb() {
  /** @type {ReturnType<typeof startEngine> | null} */
  let engine = null;
  /** @type {Map<string, Promise<Uint8Array | null>>} */
  const fetching = new Map();
  /** @type {Set<string>} */
  const failed = new Set();
  /** @type {Map<string, { name: string, bytes: number }>} by address, least recently used first; `name` is the engine's */
  const registered = new Map();
  let serial = 0;
  /** @type {Promise<void>} */
  let queue = Promise.resolve();

  function start() {
    engine ??= startEngine().catch((error) => {
      engine = null;
      throw new SiteError('engine', `The SQL engine did not start: ${error?.message ?? error}`);
    });
    return engine;
  }

  /**
   * Fetches a file if it is not there yet. Safe to call early and often.
   * @param {string} address
   * @returns {Promise<Uint8Array | null>} null when it is registered already
   */
  function prefetch(address) {
    if (registered.has(address)) return Promise.resolve(null);
    let pending = fetching.get(address);
    if (!pending) {
      pending = fetchParquet(address, failed.delete(address));
      fetching.set(address, pending);
      pending.catch(() => {
        fetching.delete(address);
        failed.add(address);
      });
    }
    return pending;
  }

  /**
   * The engine knows a file by a name of our own: one that begins with `http` it asks the server for before every query.
   * @param {AsyncDuckDB} db @param {string} address @returns {Promise<string>}
   */
  async function register(db, address) {
    const bytes = await prefetch(address);
    let file = registered.get(address);
    if (!file) {
      serial += 1;
      const { length } = /** @type {Uint8Array} */ (bytes); // the buffer is detached by the call below
      file = { name: `file-${serial}.parquet`, bytes: length };
      await db.registerFileBuffer(file.name, /** @type {Uint8Array} */ (bytes));
      fetching.delete(address);
    }
    registered.delete(address); // and put at the end: it is the last one used
    registered.set(address, file);
    return file.name;
  }

  /** @param {AsyncDuckDB} db @param {Map<string, string>} inUse */
  async function evict(db, inUse) {
    let total = [...registered.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [address, { name, bytes }] of [...registered]) {
      if (total <= BUDGET_BYTES) return;
      if (inUse.has(address)) continue;
      await db.dropFile(name);
      registered.delete(address);
      total -= bytes;
    }
  }

  /** @param {AsyncDuckDB} db @param {string[]} addresses @returns {Promise<Map<string, string>>} the engine's names of the files */
  async function registerAll(db, addresses) {
    const names = new Map();
    for (const address of addresses) names.set(address, await register(db, address));
    await evict(db, names);
    return names;
  }

  /** @param {unknown} error of the engine @param {Map<string, string>} names */
  function queryError(error, names) {
    const message = String(/** @type {Error} */ (error)?.message ?? error);
    return new SiteError('query', [...names].reduce((text, [address, name]) => text.replaceAll(name, address), message));
  }

  /** Ends whatever runs. The next query starts another engine, which fetches its files from the browser's cache. */
  async function stop() {
    const running = engine;
    engine = null;
    registered.clear();
    fetching.clear();
    (await running?.catch(() => null))?.worker.terminate();
  }

  /**
   * A reader's own query.
   * @param {string} sql
   * @param {{ files: string[], views: (names: Map<string, string>) => string[], most: number, signal: AbortSignal }} options
   *   addresses of the files, the statements that make views of them, after how many rows to leave off, and what stops it
   * @returns {Promise<import('./figure.js').Numbers & { more: boolean }>} rejects with the signal's reason when stopped
   */
  async function ask(sql, { files, views, most, signal }) {
    const stopped = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    stopped.catch(() => {});
    start().catch(() => {}); // awaited below
    await Promise.race([Promise.all(files.map(prefetch)), stopped]);
    return exclusively(async () => {
      signal.throwIfAborted();
      const { db, connection } = await start();
      const names = await registerAll(db, files);
      const work = async () => {
        for (const view of views(names)) for await (const _ of await connection.send(view));
        const batches = [];
        let rows = 0;
        for await (const batch of await connection.send(sql)) {
          batches.push(batch);
          rows += batch.numRows;
          if (rows > most) break;
        }
        const table = tabulate(/** @type {any} */ (batches));
        return { columns: table.columns, rows: table.rows.slice(0, most), more: rows > most };
      };
      try {
        return await Promise.race([work(), stopped]);
      } catch (error) {
        if (signal.aborted || isTrap(error)) await stop();
        throw signal.aborted ? error : queryError(error, names);
      }
    });
  }

  /**
   * @param {string} sql text of a `.sql` file
   * @param {Record<string, import('./sql.js').Value>} values
   * @param {Record<string, string[] | string>} parts arrays are addresses of Parquet files
   * @returns {Promise<import('./rows.js').Row[]>}
   */
  async function query(sql, values = {}, parts = {}) {
    const addresses = Object.values(parts).filter(Array.isArray).flat();
    start().catch(() => {}); // awaited below; a failing fetch must not leave it unhandled
    await Promise.all(addresses.map(prefetch));
    const attempt = async () => {
      const { db, connection } = await start();
      const names = await registerAll(db, addresses);
      const named = Object.entries(parts).map(([part, given]) => [part, Array.isArray(given) ? given.map((one) => names.get(one)) : given]);
      const batches = [];
      try {
        for await (const batch of await connection.send(bind(sql, values, Object.fromEntries(named)))) batches.push(batch);
      } catch (error) {
        throw queryError(error, names);
      }
      return decode(/** @type {any} */ (batches));
    };
    return exclusively(() => surviving(attempt, stop));
  }

  /**
   * @template T
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  function exclusively(task) {
    const result = queue.then(task);
    queue = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  return { start, prefetch, query, ask };
}
