/**
 * The list of prompts, however long: its pages hold some rows each with their texts, `listing.parquet` what all rows are
 * sorted and filtered by. Only searching words, or sorting by them, reads every page; nothing else fetches more than it shows.
 */

import { SiteError } from './errors.js';
import listingSql from './sql/listing.sql?raw';
import pairSql from './sql/pair.sql?raw';
import practiceSql from './sql/practice.sql?raw';
import groupsSql from './sql/prompts_groups.sql?raw';
import listSql from './sql/prompts_list.sql?raw';
import neighboursSql from './sql/prompts_neighbours.sql?raw';
import rowsSql from './sql/prompts_rows.sql?raw';

/**
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {{ file: string, rows: number, bytes: number, first_id: number, last_id: number }} ListPage rows `first_id` to `last_id`, ascending
 * @typedef {{ q: string, group: string | null, sort: string, page: number }} Query `sort` may start with `-`
 * @typedef {{ group: string, n: number }} Group
 * @typedef {{ rows: import('./rows.js').Row[], rest?: Promise<import('./rows.js').Row[]>, total: number, groups: Group[] }} Listed
 *   `rest`: the rows below those that a window shows, which may come later; `total` of all pages
 */

export const PAGE_ROWS = 50;
const FIRST_ROWS = 12; // of a sorted page: what a window shows of it
const MANY = 50_000; // prompts whose first sort would be waited for

/** Fixed expressions that a list may be sorted by; NULLs come last either way. */
const SORTS = {
  id: 'prompt_id',
  text: 'lower(text)',
  group: '"group"',
  tokens: 'n_tokens',
  predicted: 'predicted_prob',
  prob: 'answer_prob',
  rank: 'answer_rank',
};

/** @param {string} sort */
const nameOf = (sort) => /** @type {keyof SORTS} */ (Object.hasOwn(SORTS, sort.replace(/^-/, '')) ? sort.replace(/^-/, '') : 'id');

/** @param {string} sort */
const orderOf = (sort) => `${SORTS[nameOf(sort)]} ${sort.startsWith('-') ? 'DESC' : 'ASC'} NULLS LAST`;

/** Groups as the list offers them: those of the index, and the prompts that have none. @param {RunIndex} index @returns {Group[]} */
export function groupsOf({ groups, counts, n_groups: all }) {
  const listed = Object.entries(groups).map(([group, n]) => ({ group, n }));
  listed.sort((a, b) => (a.group < b.group ? -1 : 1));
  const without = counts.prompts - listed.reduce((sum, { n }) => sum + n, 0);
  // Where the index leaves small groups off, nobody has counted how many prompts have none.
  return without > 0 && (all ?? listed.length) === listed.length ? [{ group: '', n: without }, ...listed] : listed;
}

/** The pages that hold any of the ids. @param {ListPage[]} pages @param {number[]} ids */
export const pagesWith = (pages, ids) => pages.filter((page) => ids.some((id) => page.first_id <= id && id <= page.last_id));

/** The pages that the rows from `offset` on are in. @param {ListPage[]} pages @param {number} offset @param {number} limit */
export function pagesAt(pages, offset, limit) {
  let before = 0;
  const found = [];
  for (const page of pages) {
    if (before < offset + limit && before + page.rows > offset) found.push({ page, before });
    before += page.rows;
  }
  return { pages: found.map(({ page }) => page), before: found[0]?.before ?? 0 };
}

/**
 * @param {{ query: import('./db.js').Db['query'], address: (index: RunIndex, path: string) => string,
 *   rows: (index: RunIndex, sql: string, tables: string[], values: Record<string, any>) => Promise<import('./rows.js').Row[]> }} options
 */
export function createListing({ query, address, rows }) {
  /** Addresses of the pages of a run, or of some of them. @param {RunIndex} index @param {ListPage[]} [some] */
  const files = (index, some = index.prompt_pages) => some.map(({ file }) => address(index, file));

  /** The file of all prompts without their texts. @param {RunIndex} index */
  const listing = (index) => [address(index, 'listing.parquet')];

  /** @param {RunIndex} index @param {Query} asked @returns {Promise<Listed>} */
  function list(index, asked) {
    if (!index.prompt_pages?.length) return Promise.resolve({ rows: [], total: 0, groups: [] });
    if (asked.q || nameOf(asked.sort) === 'text') return listByWords(index, asked);
    return nameOf(asked.sort) === 'id' && !asked.sort.startsWith('-') && asked.group === null ? listInOrder(index, asked) : listByNumbers(index, asked);
  }

  /** As the run has them: the page that holds them, and no other. @param {RunIndex} index @param {Query} asked @returns {Promise<Listed>} */
  async function listInOrder(index, { page }) {
    const total = index.counts.prompts;
    const offset = offsetOf(page, total);
    const { pages, before } = pagesAt(index.prompt_pages, offset, PAGE_ROWS);
    const values = { q: '', group: '', any_group: true, limit: PAGE_ROWS, offset: offset - before };
    return { rows: await query(listSql, values, { prompts: files(index, pages), sort: orderOf('id') }), total, groups: groupsOf(index) };
  }

  /**
   * Sorted or filtered by what `listing.parquet` has; then the texts of what is shown. Sorted rows lie in as many pages, so
   * those that a window shows come first.
   * @param {RunIndex} index @param {Query} asked @returns {Promise<Listed>}
   */
  async function listByNumbers(index, { group, sort, page }) {
    const values = { group: group ?? '', any_group: group === null };
    const parts = { listing: listing(index), sort: orderOf(sort) };
    const at = (/** @type {number} */ offset) => query(listingSql, { ...values, limit: PAGE_ROWS, offset }, parts);
    let found = await at((page - 1) * PAGE_ROWS);
    const total = found.length ? found[0].total : ((await at(0))[0]?.total ?? 0);
    if (!found.length && total) found = await at(offsetOf(page, total)); // an address beyond the last page
    const ids = found.map(({ prompt_id: id }) => id);
    const rows = await rowsOf(index, ids.slice(0, FIRST_ROWS));
    const rest = rowsOf(index, ids.slice(FIRST_ROWS));
    rest.catch(() => {}); // who awaits it is told; a list that nobody waits for any more has nobody to tell
    return { rows, rest, total, groups: groupsOf(index) };
  }

  /** The rows of prompts in the order of their ids as given. @param {RunIndex} index @param {number[]} ids */
  async function rowsOf(index, ids) {
    const texts = ids.length ? await query(rowsSql, { ids }, { prompts: files(index, pagesWith(index.prompt_pages, ids)) }) : [];
    const byId = new Map(texts.map((row) => [row.prompt_id, row]));
    return ids.map((id) => byId.get(id)).filter((row) => row !== undefined);
  }

  /** By words: every page is read. @param {RunIndex} index @param {Query} asked @returns {Promise<Listed>} */
  async function listByWords(index, { q, group, sort, page }) {
    const prompts = files(index);
    const found = await query(groupsSql, { q }, { prompts });
    const groups = found.map((row) => ({ group: String(row.group), n: Number(row.n) }));
    const total = groups.reduce((sum, row) => sum + (group === null || row.group === group ? row.n : 0), 0);
    const values = { q, group: group ?? '', any_group: group === null, limit: PAGE_ROWS, offset: offsetOf(page, total) };
    return { rows: await query(listSql, values, { prompts, sort: orderOf(sort) }), total, groups };
  }

  /** Position of a prompt in the run and its neighbours, from the one or two pages that can hold them. @param {RunIndex} index @param {number} id */
  async function neighbours(index, id) {
    const { prompt_pages: pages } = index;
    if (!pages.length) throw new SiteError('no-prompts', `${index.id} has no prompt`);
    const after = pages.findIndex(({ last_id: last }) => last >= id);
    const at = after < 0 ? pages.length - 1 : after;
    const [row] = await query(neighboursSql, { id }, { prompts: files(index, [pages[at]]) });
    const before = pages.slice(0, at).reduce((sum, page) => sum + page.rows, 0) + row.before;
    const previous = row.previous ?? pages[at - 1]?.last_id ?? null;
    const next = row.next ?? pages[at + 1]?.first_id ?? null;
    return { found: Boolean(row.found), number: before + 1, previous, next };
  }

  /** The other prompts of a pair. @param {RunIndex} index @param {import('./data.js').Prompt} of */
  const pair = async (index, { prompt_id: id, pair_id }) => (pair_id === null ? [] : rows(index, pairSql, ['partners'], { id }));

  let practised = false;

  /**
   * The engine's first sort of 100,000 rows takes most of a second, later ones a tenth of it. So it sorts as many numbers of
   * no use, once, while a list is read.
   * @param {RunIndex} index
   */
  async function practise(index) {
    if (practised || index.counts.prompts < MANY) return;
    practised = true;
    await query(practiceSql);
  }

  /** Fetches what a search will read, while its first words are typed. @param {RunIndex} index @param {(file: string) => Promise<unknown>} prefetch */
  const fetchWords = (index, prefetch) => files(index).forEach((file) => void prefetch(file).catch(() => {}));

  return { list, neighbours, pair, files, listing, fetchWords, practise };
}

/** @param {number} page @param {number} total of rows */
const offsetOf = (page, total) => (Math.min(page, Math.max(1, Math.ceil(total / PAGE_ROWS))) - 1) * PAGE_ROWS;
