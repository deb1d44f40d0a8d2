import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { bind, literal } from '../src/sql.js';
import { json, sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const file = (table, bucket = 0, run = 'golden') => [`${run}/${table}/bucket-${bucket}.parquet`];
const pages = ['golden/prompts-0.parquet', 'golden/prompts-1.parquet'];
const list = (given = {}) =>
  query(
    sql('prompts_list'),
    { q: '', group: '', any_group: true, limit: 50, offset: 0, ...given },
    { prompts: pages, sort: given.sort ?? 'prompt_id ASC NULLS LAST' },
  );
const run = (name, values, parts) => query(sql(name), values, parts);

describe('one prompt', () => {
  it('prompt: token lists come as arrays', async () => {
    const [row] = await run('prompt', { id: 0 }, { prompts: file('prompts') });
    expect(row.tokens.slice(0, 3)).toEqual(['<|bos|>', 'When', ' Mary']);
    expect(row.token_ids).toHaveLength(row.n_tokens);
    expect(row.targets.at(-1)).toBe(row.n_tokens - 1);
    expect(row.group).toBe('indirect objects');
  });

  it('prompt: hostile text arrives unchanged', async () => {
    const [row] = await run('prompt', { id: 8 }, { prompts: file('prompts', 2) });
    expect(row.text).toBe('<script>alert(\'x\')</script> "quotes" & <b>bold</b>');
    const [long] = await run('prompt', { id: 10 }, { prompts: file('prompts', 2) });
    expect(long.text).toHaveLength(20000);
  });

  it('prompt: a number that is not in the bucket gives no row', async () => {
    expect(await run('prompt', { id: 5 }, { prompts: file('prompts', 1) })).toEqual([]);
  });

  it('targets: texts of the tokens, foil only at the last', async () => {
    const rows = await run('targets', { id: 0 }, { targets: file('targets'), tokens: file('tokens') });
    expect(rows.map((row) => row.target)).toEqual([...rows.keys()]);
    expect(rows.at(-1)).toMatchObject({ answer: ' Mary', foil: ' John', answer_from: 'dataset' });
    expect(rows[0]).toMatchObject({ answer: 'When', foil: null, foil_rank: null, answer_from: 'next_token' });
  });

  it('nodes: one row per node, the target column complete', async () => {
    const rows = await run('nodes', { id: 0 }, { nodes: file('nodes') });
    const keys = rows.map((row) => `${row.layer}.${row.point}.${row.pos}`);
    expect(new Set(keys).size).toBe(keys.length);
    expect(rows.filter((row) => row.pos === 13)).toHaveLength(9);
  });

  it('edges: kinds as numbers in the order of data.js, heads and sums', async () => {
    const rows = await run('edges', { id: 0 }, { edges: file('edges') });
    expect(new Set(rows.map((row) => row.kind))).toEqual(new Set([0, 1, 2, 3]));
    expect(rows.every((row) => row.share > 0.01 && row.src <= row.dst)).toBe(true);
    expect(rows.filter((row) => row.head >= 0).every((row) => row.kind === 0 && row.attention !== null)).toBe(true);
    expect(rows.filter((row) => row.head < 0).every((row) => row.attention === null)).toBe(true);
  });

  it('lens: ten tokens by rank, probabilities falling', async () => {
    const values = { id: 0, layer: 3, point: 'post', pos: 13, raw: false };
    const rows = await run('lens', values, { lens: file('lens'), tokens: file('tokens') });
    expect(rows.map((row) => row.rank)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(rows[0].token).toBe(' Mary');
    expect(rows.every((row, i) => i === 0 || row.prob <= rows[i - 1].prob)).toBe(true);
    const first = await run('lens', { ...values, layer: -1 }, { lens: file('lens'), tokens: file('tokens') });
    expect(first.every((row) => row.prev_rank === null)).toBe(true);
  });

  it('tops: one token for each node', async () => {
    const rows = await run('tops', { id: 0 }, { lens: file('lens'), tokens: file('tokens') });
    expect(rows).toHaveLength((await run('nodes', { id: 0 }, { nodes: file('nodes') })).length);
    expect(rows.every((row) => typeof row.token === 'string')).toBe(true);
  });

  it('generated and answers: of the prompts that have any', async () => {
    expect(await run('generated', { id: 6 }, { generated: file('generated', 1) })).toMatchObject([{ n_given: 4, ended: false }]);
    expect(await run('generated', { id: 7 }, { generated: file('generated', 1) })).toEqual([]);
    const accepted = await run('answers', { id: 3 }, { answers: file('answers') });
    expect(accepted.map((row) => [row.number, row.text, row.explained])).toEqual([[1, ' Rome', false], [2, ' Paris', true]]);
  });

  it('special_tokens: the BOS', async () => {
    expect(await run('special_tokens', { id: 0 }, { tokens: file('tokens') })).toEqual([{ token_id: 0 }]);
  });

  it('reject: says why', async () => {
    const parts = { rejects: ['golden/rejects.parquet'] };
    expect(await run('reject', { id: 5 }, parts)).toEqual([{ reason: 'too long', detail: '1,204 tokens, the model takes 64' }]);
    expect(await run('reject', { id: 4 }, parts)).toEqual([]);
  });

  it('pair: the others of a pair', async () => {
    expect(await run('pair', { id: 0 }, { partners: file('partners') })).toEqual([{ prompt_id: 1, role: 'corrupt' }]);
  });
});

describe('list of prompts', () => {
  it('reads all pages, each prompt once', async () => {
    expect((await list()).map((row) => row.prompt_id)).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
    expect((await list({ limit: 3, offset: 9 })).map((row) => row.prompt_id)).toEqual([10, 11]);
  });

  it('searches without regard to case, and takes wildcards, quotes and NULs literally', async () => {
    expect(await list({ q: 'MARY AND' })).toHaveLength(2);
    expect(await list({ q: '%' })).toEqual([]);
    expect((await list({ q: "alert('X')" })).map((row) => row.prompt_id)).toEqual([8]);
    expect(await list({ q: "'; DROP TABLE x; --" })).toEqual([]);
    expect(await list({ q: 'capital\0' })).toHaveLength(2);
    expect((await list({ q: 'SEQ-0' })).map((row) => row.prompt_id)).toEqual([6]);
    expect((await list({ q: 'עולם' })).map((row) => row.prompt_id)).toEqual([9]);
  });

  it('filters by group, the missing group included', async () => {
    expect(await list({ any_group: false, group: 'capitals' })).toHaveLength(2);
    expect((await list({ any_group: false, group: '' })).map((row) => row.prompt_id)).toEqual([11]);
  });

  it('sorts, and clips long texts', async () => {
    const ranks = (await list({ sort: 'n_tokens DESC NULLS LAST' })).map((row) => row.n_tokens);
    expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
    expect((await list()).find((row) => row.prompt_id === 10).text).toHaveLength(600);
  });

  it('prompts_groups: counts that add up', async () => {
    const rows = await run('prompts_groups', { q: '' }, { prompts: pages });
    expect(Object.fromEntries(rows.map((row) => [row.group, row.n]))).toEqual({ '': 1, ...json('golden/index.json').groups });
    expect(await run('prompts_groups', { q: 'capital' }, { prompts: pages })).toEqual([{ group: 'capitals', n: 2 }]);
  });

  it('listing: the ids of one page and how many there are, as the whole list sorts them', async () => {
    const listing = ['golden/listing.parquet'];
    const ids = (given, sort) => run('listing', { group: '', any_group: true, limit: 50, offset: 0, ...given }, { listing, sort });
    for (const sort of ['answer_prob DESC NULLS LAST', '"group" ASC NULLS LAST', 'n_tokens ASC NULLS LAST']) {
      const whole = (await list({ sort })).map((row) => row.prompt_id);
      expect((await ids({}, sort)).map((row) => row.prompt_id)).toEqual(whole);
      expect(await ids({ limit: 3, offset: 2 }, sort)).toEqual(whole.slice(2, 5).map((id) => ({ prompt_id: id, total: 11 })));
    }
    expect(await ids({ any_group: false, group: 'capitals' }, 'prompt_id ASC')).toEqual([3, 4].map((id) => ({ prompt_id: id, total: 2 })));
    expect(await ids({ any_group: false, group: '' }, 'prompt_id ASC')).toEqual([{ prompt_id: 11, total: 1 }]);
  });

  it('prompts_rows: the rows of some ids, as the list has them', async () => {
    const rows = await run('prompts_rows', { ids: [11, 3] }, { prompts: pages });
    const whole = await list();
    expect(rows.sort((a, b) => a.prompt_id - b.prompt_id)).toEqual(whole.filter((row) => [3, 11].includes(row.prompt_id)));
  });

  it('prompts_neighbours: across a rejected row, and at the ends', async () => {
    const at = async (id) => (await run('prompts_neighbours', { id }, { prompts: [pages[0]] }))[0];
    expect(await at(4)).toMatchObject({ found: true, before: 4, previous: 3, next: 6 });
    expect(await at(5)).toMatchObject({ found: false, previous: 4, next: 6 });
    expect(await at(0)).toMatchObject({ found: true, previous: null, next: 1 });
  });
});

describe('binding', () => {
  it('quotes values and never scans them again', async () => {
    expect(literal("it's")).toBe("'it''s'");
    expect(bind('SELECT $a, $b', { a: '$b {c}', b: null })).toBe("SELECT '$b {c}', NULL");
  });

  it('refuses what is missing or is no number', async () => {
    expect(() => bind('SELECT $a', {})).toThrow('$a');
    expect(() => bind('SELECT * FROM {t}', {})).toThrow('{t}');
    expect(() => literal(Number.NaN)).toThrow('NaN');
  });
});

it('every .sql file is run by a test', () => {
  const here = new URL('.', import.meta.url);
  const tests = readdirSync(here).filter((name) => name.endsWith('.test.js'));
  const text = tests.map((name) => readFileSync(new URL(name, here), 'utf8')).join('\n');
  const files = readdirSync(new URL('../src/sql', import.meta.url)).map((name) => name.replace('.sql', ''));
  const asked = [...text.matchAll(/\b(?:sql|run)\('(\w+)'/g)].map((match) => match[1]);
  expect(files.filter((name) => !asked.includes(name))).toEqual([]);
});
