/** Which files of the site a query needs, and how much that is, before any of them is fetched. */

import { bucketNumbers, countBuckets } from './buckets.js';
import { comparedFiles, comparisonOf } from './compared.js';
import { interventionsOf } from './interventions-data.js';
import { filesOf, statsOf } from './stats-data.js';
import { promptsIn, tablesIn, wordsOf } from './sql-words.js';
import tables from './tables.json';
import { vocabFiles } from './vocab-data.js';

/** A page fetches at most this much for one query. */
export const MOST_BYTES = 64e6;

/**
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {{ name: string, type: string, meaning: string, unit?: string, range?: string, null?: string }} ColumnNote
 * @typedef {{ name: string, row: string, columns: ColumnNote[] }} TableNote
 * @typedef {{ table: TableNote, files: string[], bytes: number }} Source `files` are paths in the run's folder; none: the table is empty
 * @typedef {{ sources: Source[], bytes: number, prompts: import('./sql-words.js').Range[] | null, partly: boolean, tooLarge: boolean }} Plan
 *   `prompts`: to which ones the query itself keeps; `partly`: that left files out
 */

/** @type {TableNote[]} */
export const TABLES = tables;
/** Those of the tables that have one in their names. */
export const SCHEMAS = ['model', 'stats', 'vocab', 'compared', 'audit', 'interventions'];
const NAMES = TABLES.map(({ name }) => name);

/** @param {RunIndex} index @param {string} name */
const bucketSize = (index, name) => (name === 'maps' ? (index.maps?.bucket_size ?? 1) : index.bucket_size);

/**
 * The places where a table lies in buckets of prompts: one, or a folder of each intervention; none of another table.
 * @param {RunIndex} index @param {string} name @returns {{ folder: string, buckets: import('./buckets.js').Ranges, bytes: number }[]}
 */
function cutInto(index, name) {
  if (index.tables?.[name]) return [{ folder: name, ...index.tables[name] }];
  const short = /** @type {'predictions'} */ (name.replace('interventions.', ''));
  if (short === name) return [];
  return interventionsOf(index).flatMap(({ folder, tables: of }) => (of[short].buckets ? [{ folder: `interventions/${folder}/${short}`, ...of[short] }] : []));
}

/** Tables cut into buckets of prompts. @param {RunIndex} index */
const byPrompt = (index) => NAMES.filter((name) => cutInto(index, name).length);

/** @param {RunIndex} index @param {string} name @param {import('./sql-words.js').Range[] | null} prompts */
function bucketsOf(index, name, prompts) {
  const n = bucketSize(index, name);
  const parts = cutInto(index, name).map(({ folder, buckets: listed, bytes }) => {
    const buckets = bucketNumbers(listed);
    const needed = prompts === null ? buckets : buckets.filter((k) => prompts.some(([low, high]) => low < (k + 1) * n && high >= k * n));
    // Of a table of which nothing is needed one file is taken all the same: it knows the columns' types.
    const taken = needed.length ? needed : buckets.slice(0, 1);
    return { files: taken.map((k) => `${folder}/bucket-${k}.parquet`), bytes: buckets.length ? (bytes * taken.length) / buckets.length : 0 };
  });
  return { files: parts.flatMap(({ files }) => files), bytes: parts.reduce((sum, part) => sum + part.bytes, 0) };
}

/** The comparison that `compared` stands for: with a run that is named, else the first. @param {RunIndex} index @param {string | null} [other] */
export const comparedWith = (index, other = null) => (other === null ? null : comparisonOf(index.compared, index.id, other)) ?? index.compared?.[0] ?? null;

/** @param {RunIndex} index @param {string} short @param {string | null} other @returns {Omit<Source, 'table'>} */
function comparedSource(index, short, other) {
  const pair = comparedWith(index, other);
  return { files: pair ? comparedFiles(pair, short) : [], bytes: pair?.tables[short]?.bytes ?? 0 };
}

/**
 * @param {RunIndex} index @param {string} name as in SQL
 * @param {{ prompts?: import('./sql-words.js').Range[] | null, other?: string | null }} [options] `other`: the run that `compared` compares with
 * @returns {Source}
 */
export function sourceOf(index, name, { prompts = null, other = null } = {}) {
  const table = /** @type {TableNote} */ (TABLES.find((one) => one.name === name));
  const [schema, short] = name.includes('.') ? name.split('.') : ['', name];
  if (schema === 'stats' || schema === 'audit') {
    const files = filesOf(schema === 'stats' ? statsOf(index) : index.audit, short);
    return { table, files: files.map(({ file }) => file), bytes: files.reduce((sum, one) => sum + one.bytes, 0) };
  }
  if (schema === 'vocab') {
    const files = vocabFiles(index, short);
    return { table, files: files.map(({ file }) => file), bytes: files.reduce((sum, one) => sum + one.bytes, 0) };
  }
  if (schema === 'interventions' && !cutInto(index, name).length) {
    const whole = interventionsOf(index).map(({ tables: of }) => of[/** @type {'summary'} */ (short)]);
    return { table, files: whole.flatMap(({ files = [] }) => files.map(({ file }) => file)), bytes: whole.reduce((sum, { bytes }) => sum + bytes, 0) };
  }
  if (schema === 'compared') return { table, ...comparedSource(index, short, other) };
  if (schema === 'model') {
    const there = index.model_tables?.includes(short);
    return { table, files: there ? [`model/${short}.parquet`] : [], bytes: there ? (index.manifest?.model_tables?.[short]?.bytes ?? 0) : 0 };
  }
  if (name === 'rejects') return { table, files: ['rejects.parquet'], bytes: index.manifest?.tables?.rejects?.bytes ?? 0 };
  return { table, ...bucketsOf(index, name, prompts) };
}

/** @param {RunIndex} index @param {string} sql @param {string | null} [other] the run that `compared` compares with @returns {Plan} */
export function planOf(index, sql, other = null) {
  const words = wordsOf(sql);
  const cut = byPrompt(index);
  const prompts = promptsIn(words, cut);
  const sources = tablesIn(words, NAMES).map((name) => sourceOf(index, name, { prompts, other }));
  const bytes = sources.reduce((sum, one) => sum + one.bytes, 0);
  const partly = prompts !== null && sources.some(({ table, files }) => cut.includes(table.name) && files.length < cutInto(index, table.name).reduce((sum, { buckets }) => sum + countBuckets(buckets), 0));
  return { sources, bytes, prompts, partly, tooLarge: bytes > MOST_BYTES };
}

/** A view of a source; one without files has the right columns and no row. @param {Source} source @param {string[]} names of its files as the engine knows them */
export function viewOf({ table }, names) {
  const empty = table.columns.map(({ name, type }) => `NULL::${type} AS "${name}"`).join(', ');
  const list = names.map((name) => `'${name}'`).join(', ');
  return `CREATE OR REPLACE VIEW ${table.name} AS ${names.length ? `SELECT * FROM read_parquet([${list}])` : `SELECT ${empty} WHERE false`}`;
}
