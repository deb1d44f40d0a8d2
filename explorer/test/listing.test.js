import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { bucketNumbers, countBuckets, hasBucket } from '../src/buckets.js';
import { createListing, groupsOf, pagesAt, pagesWith } from '../src/listing.js';
import { golden, json, sql, startEngine } from './engine.js';

const index = json('golden/index.json');
let engine;
/** @type {string[]} the files of the last question */
let read = [];
beforeAll(async () => {
  engine = await startEngine();
});

const query = (text, values = {}, parts = {}) => {
  read.push(...Object.values(parts).filter(Array.isArray).flat());
  return engine.query(text, values, parts);
};
const { list, neighbours, practise } = createListing({ query, address: (of, path) => `${of.id}/${path}`, rows: async () => [] });
const ask = async (given) => {
  read = [];
  const found = await list(index, { q: '', group: null, sort: 'id', page: 1, ...given });
  return { ...found, ids: found.rows.map((row) => row.prompt_id), read: [...new Set(read)].map((file) => file.split('/')[1]) };
};
const groups = Object.entries(index.groups).map(([group, n]) => ({ group, n })).sort((a, b) => (a.group < b.group ? -1 : 1));

describe('the list reads only what it shows', () => {
  const small = { ...index, prompt_pages: index.prompt_pages };

  it('the golden run has two pages', () => {
    expect(small.prompt_pages.map(({ file }) => file)).toEqual(['prompts-0.parquet', 'prompts-1.parquet']);
    for (const { file, bytes } of small.prompt_pages) expect(readFileSync(golden(`golden/${file}`))).toHaveLength(bytes);
  });

  it('in order: the pages of those rows', async () => {
    const found = await ask({});
    expect(found.ids).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
    expect(found.total).toBe(11);
    expect(found.groups).toEqual([{ group: '', n: 1 }, ...groups]);
    expect(found.read).toEqual(['prompts-0.parquet', 'prompts-1.parquet']);
  });

  it('a group: the listing, then the pages that hold it', async () => {
    const found = await ask({ group: 'capitals' });
    expect([found.ids, found.total]).toEqual([[3, 4], 2]);
    expect(found.read).toEqual(['listing.parquet', 'prompts-0.parquet']);
    expect(found.groups).toEqual([{ group: '', n: 1 }, ...groups]);
    expect(await ask({ group: 'nowhere' })).toMatchObject({ ids: [], total: 0 });
  });

  it('sorted by a number, either way, and beyond the last page', async () => {
    const down = await ask({ sort: '-prob' });
    const probs = down.rows.map((row) => row.answer_prob);
    expect(probs).toEqual([...probs].sort((a, b) => b - a));
    expect((await ask({ sort: '-prob', page: 99 })).ids).toEqual(down.ids);
    expect((await ask({ sort: '-id' })).ids).toEqual([11, 10, 9, 8, 7, 6, 4, 3, 2, 1, 0]);
  });

  it('a large run: the engine practises sorting, once, and reads nothing for it', async () => {
    const asked = [];
    const other = createListing({ query: async (text) => asked.push(text), address: () => '', rows: async () => [] });
    await other.practise(index);
    expect(asked).toEqual([]);
    const large = { ...index, counts: { ...index.counts, prompts: 100_000 } };
    await other.practise(large);
    await other.practise(large);
    expect(asked).toEqual([sql('practice')]);
    read = [];
    await practise(large);
    expect(read).toEqual([]);
  });

  it('words: every page, and groups of what matches', async () => {
    const found = await ask({ q: 'capital' });
    expect([found.ids, found.total, found.groups]).toEqual([[3, 4], 2, [{ group: 'capitals', n: 2 }]]);
    expect(found.read).toEqual(['prompts-0.parquet', 'prompts-1.parquet']);
    expect((await ask({ sort: 'text' })).total).toBe(11);
  });

  it('neighbours across pages and a rejected row, from one page', async () => {
    const at = async (id) => {
      read = [];
      return { ...(await neighbours(index, id)), read: read.length };
    };
    expect(await at(7)).toEqual({ found: true, number: 7, previous: 6, next: 8, read: 1 });
    expect(await at(8)).toEqual({ found: true, number: 8, previous: 7, next: 9, read: 1 });
    expect(await at(9)).toEqual({ found: true, number: 9, previous: 8, next: 10, read: 1 });
    expect(await at(5)).toEqual({ found: false, number: 6, previous: 4, next: 6, read: 1 });
    expect(await at(-1)).toMatchObject({ found: false, previous: null, next: 0 });
    expect(await at(500)).toMatchObject({ found: false, previous: 11, next: null });
  });
});

describe('pages and buckets', () => {
  const pages = [0, 1, 2].map((i) => ({ file: `p${i}`, rows: 10, bytes: 1, first_id: 20 * i, last_id: 20 * i + 12 }));

  it('pages of rows and of ids', () => {
    expect(pagesAt(pages, 8, 5)).toEqual({ pages: pages.slice(0, 2), before: 0 });
    expect(pagesAt(pages, 20, 5)).toEqual({ pages: [pages[2]], before: 20 });
    expect(pagesAt(pages, 30, 5)).toEqual({ pages: [], before: 0 });
    expect(pagesWith(pages, [12, 15, 40])).toEqual([pages[0], pages[2]]);
  });

  it('a run of many groups offers those of the index, and none is called “no group” unless it was counted', () => {
    expect(groupsOf({ groups: { b: 2, a: 3 }, counts: { prompts: 9 }, n_groups: 2 })).toEqual([{ group: '', n: 4 }, { group: 'a', n: 3 }, { group: 'b', n: 2 }]);
    expect(groupsOf({ groups: { b: 2 }, counts: { prompts: 9 }, n_groups: 7 })).toEqual([{ group: 'b', n: 2 }]);
  });

  it('buckets as runs of numbers', () => {
    const ranges = [[0, 2], [7, 7]];
    expect(bucketNumbers(ranges)).toEqual([0, 1, 2, 7]);
    expect(countBuckets(ranges)).toBe(4);
    expect([-1, 0, 2, 3, 7, 8].map((k) => hasBucket(ranges, k))).toEqual([false, true, true, false, true, false]);
    expect(hasBucket(undefined, 0)).toBe(false);
  });
});
