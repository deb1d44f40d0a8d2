import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { asksTwo, forPython, forShell, statements } from '../src/command-line.js';
import { MOST_BYTES, planOf, SCHEMAS, sourceOf, TABLES, viewOf } from '../src/sql-plan.js';
import { promptsIn, tablesIn, wordsOf } from '../src/sql-words.js';
import { startEngine } from './engine.js';

const NAMES = TABLES.map(({ name }) => name);
const named = (sql) => tablesIn(wordsOf(sql), NAMES);
const BY_PROMPT = ['prompts', 'targets', 'nodes', 'edges', 'components', 'maps'];
const prompts = (sql) => promptsIn(wordsOf(sql), BY_PROMPT);

const index = {
  bucket_size: 10,
  tables: { edges: { rows: 400, bytes: 4000, buckets: [[0, 1], [3, 3]] }, prompts: { rows: 40, bytes: 300, buckets: [[0, 1], [3, 3]] }, maps: { rows: 0, bytes: 0, buckets: [] } },
  maps: { stored: false, floor: 0.01, bucket_size: 2 },
  model_tables: ['vocab'],
  manifest: { model_tables: { vocab: { bytes: 77 } } },
  stats: { tables: { importance: { rows: 9, bytes: 50, files: [{ file: 'stats/importance-0.parquet', rows: 5, bytes: 30 }, { file: 'stats/importance-1.parquet', rows: 4, bytes: 20 }] } } },
};

describe('tables of a query', () => {
  it('stand after FROM and JOIN, with their schema', () => {
    expect(named('SELECT * FROM edges JOIN model.vocab USING (token_id), "nodes"')).toEqual(['nodes', 'edges', 'model.vocab']);
    expect(named('from stats.importance select layer')).toEqual(['stats.importance']);
    expect(named('SELECT (SELECT count(*) FROM nodes) FROM (SELECT * FROM main.edges)')).toEqual(['nodes', 'edges']);
    expect(named('SUMMARIZE edges')).toEqual(['edges']);
  });

  it('are not columns, strings or comments of the same name', () => {
    expect(named("SELECT targets, prompts.targets[-1] FROM prompts WHERE text = 'from edges' -- from nodes")).toEqual(['prompts']);
    expect(named('SELECT 1 /* FROM edges */ AS nodes')).toEqual([]);
    expect(named('SELECT * FROM importance')).toEqual([]);
  });
});

describe('prompts of a query', () => {
  it('are known where the query demands them', () => {
    expect(prompts('SELECT * FROM edges WHERE prompt_id = 7')).toEqual([[7, 7]]);
    expect(prompts('SELECT * FROM edges e WHERE share > 0.1 AND e.prompt_id IN (3, 12) ORDER BY share')).toEqual([[3, 3], [12, 12]]);
    expect(prompts('FROM edges JOIN prompts USING (prompt_id) WHERE prompt_id BETWEEN 0 AND 99 AND head = -1;')).toEqual([[0, 99]]);
  });

  it.each([
    'SELECT * FROM edges',
    'SELECT * FROM edges WHERE prompt_id = 7 OR share > 0.5',
    'SELECT * FROM edges WHERE prompt_id = 7 + 1',
    'SELECT * FROM edges WHERE NOT prompt_id = 7',
    'SELECT * FROM edges WHERE prompt_id > 7',
    'SELECT * FROM edges WHERE prompt_id IN (SELECT prompt_id FROM prompts)',
    'SELECT * FROM edges WHERE prompt_id = 7 UNION ALL SELECT * FROM nodes',
    'SELECT * FROM edges, prompts WHERE edges.prompt_id = 7',
    'SELECT * FROM edges JOIN prompts ON edges.src = prompts.prompt_id WHERE edges.prompt_id = 7',
    'SELECT * FROM (edges CROSS JOIN nodes) WHERE edges.prompt_id = 7',
    'SELECT * FROM edges RIGHT JOIN prompts USING (prompt_id) WHERE edges.prompt_id = 7',
    'SELECT count(*) FILTER (WHERE prompt_id = 7) FROM edges',
    'SELECT CASE WHEN true AND prompt_id = 7 THEN 1 END FROM edges',
    "SELECT * FROM edges WHERE kind = 'x AND prompt_id = 7'",
    'FROM edges WHERE prompt_id = 7 AND share > (FROM edges SELECT avg(share))',
  ])('may be all of them: %s', (sql) => expect(prompts(sql)).toBeNull());
});

describe('plan', () => {
  it('takes the buckets of the prompts, whole tables elsewhere', () => {
    const one = planOf(index, 'SELECT * FROM edges JOIN prompts USING (prompt_id) WHERE prompt_id = 31');
    expect(one.sources.map(({ files }) => files)).toEqual([['prompts/bucket-3.parquet'], ['edges/bucket-3.parquet']]);
    expect(one).toMatchObject({ partly: true, tooLarge: false, bytes: 4000 / 3 + 100 });
    const all = planOf(index, 'SELECT * FROM edges, stats.importance, model.vocab');
    expect(all.sources.flatMap(({ files }) => files)).toEqual(['edges/bucket-0.parquet', 'edges/bucket-1.parquet', 'edges/bucket-3.parquet', 'model/vocab.parquet', 'stats/importance-0.parquet', 'stats/importance-1.parquet']);
    expect(all).toMatchObject({ partly: false, bytes: 4127 });
  });

  it('refuses what is too much, by its size', () => {
    const large = { ...index, tables: { edges: { rows: 1, bytes: MOST_BYTES + 1, buckets: [[0, 1]] } } };
    expect(planOf(large, 'SELECT * FROM edges').tooLarge).toBe(true);
    expect(planOf(large, 'SELECT * FROM edges WHERE prompt_id = 3').tooLarge).toBe(false);
  });

  it('takes one file for the types where a prompt has none', () => {
    expect(planOf(index, 'SELECT * FROM edges WHERE prompt_id = 25').sources[0].files).toEqual(['edges/bucket-0.parquet']);
  });
});

describe('comparisons', () => {
  const pair = (b) => ({ a: 'one', b, tables: { prompts: { bytes: 9, files: [{ file: `compare/one--${b}/prompts.parquet` }] } } });
  const of = { ...index, id: 'one', compared: [pair('two'), pair('three')] };

  it('are tables too, with the run that is named or the first', () => {
    const files = (other) => planOf(of, 'SELECT * FROM compared.prompts', other).sources[0].files;
    expect(files(null)).toEqual(['../compare/one--two/prompts.parquet']);
    expect(files('three')).toEqual(['../compare/one--three/prompts.parquet']);
    expect(files('nothing')).toEqual(['../compare/one--two/prompts.parquet']);
    expect(planOf(index, 'SELECT * FROM compared.prompts').sources[0].files).toEqual([]);
  });

  it('are made by a command of their own', () => {
    expect(statements(of, 'FROM compared.prompts')).toContain("CREATE VIEW compared.prompts AS FROM 'COMPARED/prompts.parquet';");
    expect([asksTwo(of, 'FROM compared.prompts'), asksTwo(of, 'FROM prompts')]).toEqual([true, false]);
  });
});

describe('views', () => {
  let query;
  beforeAll(async () => {
    ({ query } = await startEngine());
  });

  it.each(NAMES)('%s: a table that is not stored has its columns and no row', async (name) => {
    for (const schema of SCHEMAS) await query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await query(viewOf(sourceOf(index, name), []));
    expect(await query(`SELECT * FROM ${name}`)).toEqual([]);
    const columns = await query(`DESCRIBE ${name}`);
    const { columns: said } = TABLES.find((table) => table.name === name);
    expect(columns.map((row) => [row.column_name, row.column_type])).toEqual(said.map(({ name: column, type }) => [column, type]));
  });
});

describe('the command line', () => {
  it('makes the views that the query needs', () => {
    expect(statements(index, ' SELECT * FROM edges JOIN model.vocab USING (token_id) ; ')).toBe(
      "CREATE SCHEMA model;\nCREATE VIEW edges AS FROM 'RUN/edges/*.parquet';\nCREATE VIEW model.vocab AS FROM 'RUN/model/vocab.parquet';\nSELECT * FROM edges JOIN model.vocab USING (token_id);",
    );
    expect(forShell(index, 'SELECT 1')).toBe("duckdb <<'SQL'\nSELECT 1;\nSQL");
  });

  it('quotes for Python', () => {
    expect(forPython('SELECT 1;')).toContain('run.sql("""\nSELECT 1\n""").df()');
    expect(forPython("SELECT '\\'")).toContain(String.raw`run.sql("SELECT '\\'").df()`);
  });
});

it('every column of the tables has a meaning', () => {
  const text = JSON.parse(readFileSync(new URL('../src/tables.json', import.meta.url), 'utf8'));
  expect(text.flatMap(({ columns }) => columns).filter(({ meaning }) => !meaning)).toEqual([]);
});
