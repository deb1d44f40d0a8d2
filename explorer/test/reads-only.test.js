import { describe, expect, it } from 'vitest';
import { changing } from '../src/reads-only.js';

describe('a query of the console', () => {
  it.each([
    'SELECT 1',
    '  \n select 1;',
    '(SELECT 1) UNION (SELECT 2)',
    'FROM edges',
    'WITH a AS (SELECT 1) FROM a',
    '-- COPY\nSELECT 1',
    '/* COPY */ /**/ SELECT 1',
    'EXPLAIN SELECT 1',
    'explain analyze -- it\n FROM edges',
    'DESCRIBE edges',
    'SUMMARIZE edges',
    'SHOW TABLES',
  ])('%j reads', (sql) => expect(changing(sql)).toBe(null));

  it.each([
    ["COPY (SELECT 1) TO 'file-1.parquet'", 'COPY'],
    ["/* SELECT */ copy edges FROM 'x'", 'COPY'],
    ["-- SELECT\rATTACH 'x.db'", 'ATTACH'],
    ["/* /* */ ATTACH 'x' -- */ SELECT 1", "/* /* */ ATTACH 'x' "],
    ["/* /* */ */ SELECT 1", '/* /* */ */ SELECT 1'],
    ['INSTALL httpfs', 'INSTALL'],
    ["LOAD 'x.wasm'", 'LOAD'],
    ['SET threads = 1', 'SET'],
    ['PRAGMA version', 'PRAGMA'],
    ['CREATE TABLE selected (a INT)', 'CREATE'],
    ['DROP VIEW edges', 'DROP'],
    ["EXPLAIN ANALYZE COPY (SELECT 1) TO 'x'", 'EXPLAIN COPY'],
    ["EXPLAIN /* */ ANALYZE/**/COPY (SELECT 1) TO 'x'", 'EXPLAIN COPY'],
    ["EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'x'", "EXPLAIN (ANALYZE) COPY (SELE"],
    ['SELECTED', 'SELECTED'],
    ['\u00a0\u200bSELECT 1', '\u200bSELECT 1'],
    ["'SELECT'", "'SELECT'"],
  ])('%j does more, or may', (sql, word) => expect(changing(sql)).toBe(word));
});
