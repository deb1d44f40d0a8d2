/** The vocabulary atlas of the demo (`make_golden_stats.py`): which files a question fetches, and the questions on the shipped engine. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createDetails } from '../src/details.js';
import { askedOf, filesFor, wordsOf } from '../src/keywords.js';
import { createVocab, hasAtlas, neuronsIn, tokenFile, vocabFiles } from '../src/vocab-data.js';
import { golden, json, sql, startEngine } from './engine.js';
import { statSync } from 'node:fs';

const index = { id: 'demo', vocab: json('demo/vocab/index.json') };
const address = (of, path) => `${of.id}/${path}`;
const every = (table) => vocabFiles(index, table).map(({ file }) => address(index, file));

let query;
let vocab;
let asked;
beforeAll(async () => {
  ({ query } = await startEngine());
  const counted = (text, values, parts) => {
    asked.push(...Object.values(parts).flat());
    return query(text, values, parts);
  };
  asked = [];
  vocab = createVocab({ query: counted, address });
});

const match = (typed, word, first, last = first) => ({ typed, word, first, last, promoted: 1, suppressed: 1 });

describe('keywords', () => {
  it('words are what stands between spaces, each once, without case', () => {
    expect(wordsOf('  Mary john MARY\t\\n ')).toEqual(['mary', 'john', '\\n']);
    expect(wordsOf('a b c d e f g h i j')).toHaveLength(10);
    expect(askedOf({ q: 'A', match: 'all', exact: true, sign: 'suppressed' })).toEqual({ typed: ['a'], exact: true, every: true, sign: -1 });
  });

  it('the nearest matches of every word are looked up first', () => {
    const matches = [match('a', 'a', 0), match('a', 'ab', 5), match('a', 'ac', 6), match('b', 'b', 9, 10), match('b', 'xb', 5)];
    expect(filesFor(matches, 3).files).toEqual([0, 9, 10]);
    expect(filesFor(matches, 3).looked.map(({ word }) => word)).toEqual(['a', 'b']);
    expect(filesFor(matches, 4).looked.map(({ word }) => word)).toEqual(['a', 'ab', 'b', 'xb']);
    expect(filesFor(matches, Infinity).looked).toHaveLength(5);
    expect(filesFor([match('a', 'a', 0, 30)], 3).files).toHaveLength(31);
    expect(filesFor([], 3)).toEqual({ files: [], looked: [] });
  });
});

describe('which files', () => {
  it('a neuron’s tokens are in one', () => {
    expect(hasAtlas(index)).toBe(true);
    expect([neuronsIn(index, 0, -1), neuronsIn(index, 9, -1), neuronsIn(index, 0, 0)]).toEqual([512, 0, 0]);
    expect(tokenFile(index, { layer: 2, expert: -1, neuron: 300 })).toBe('vocab/neuron_tokens/L2-1.parquet');
    expect(vocabFiles(index, 'neuron_tokens')).toHaveLength(8);
  });

  it('those of mixtures are named by expert', () => {
    const of = { vocab: { atlas: true, neurons: [[0, -1, -1, 10], [1, 0, 2, 300], [1, 3, 3, 5]], tables: { neuron_tokens: { rows: 1, bytes: 80, block: 256 } } } };
    expect(vocabFiles(of, 'neuron_tokens').map(({ file }) => file.split('/').pop())).toEqual(['L0-0.parquet', 'L1E0-0.parquet', 'L1E0-1.parquet', 'L1E1-0.parquet', 'L1E1-1.parquet', 'L1E2-0.parquet', 'L1E2-1.parquet', 'L1E3-0.parquet']);
    expect([neuronsIn(of, 1, 2), neuronsIn(of, 1, 3), neuronsIn(of, 1, 4)]).toEqual([300, 5, 0]);
    expect(vocabFiles({ vocab: { atlas: false } }, 'neurons')).toEqual([]);
  });

  it('all are small', () => {
    for (const table of ['neuron_tokens', 'neurons', 'clusters', 'cluster_tokens', 'members', 'heads', 'head_tokens', 'head_pairs']) {
      for (const file of every(table)) expect(statSync(golden(file)).size).toBeLessThan(120_000);
    }
  });
});

describe('search', () => {
  /** Every token of every neuron of the model. */
  let tokens;
  beforeAll(async () => {
    tokens = await query('SELECT layer, neuron, sign, "rank", token_id, token, score FROM {neuron_tokens}', {}, { neuron_tokens: every('neuron_tokens') });
  });

  /** The same by a scan that shares nothing with the search: neither its words nor its SQL. */
  function scanned({ q, match: how, exact, sign }) {
    const typed = [];
    for (const word of q.split(' ').map((one) => one.toLowerCase())) if (word && !typed.includes(word)) typed.push(word);
    const found = new Map();
    for (const row of tokens) {
      if ((sign === 'promoted' && row.sign < 0) || (sign === 'suppressed' && row.sign > 0)) continue;
      const bare = row.token.trim().toLowerCase();
      const hit = typed.filter((word) => (exact ? bare === word : bare.indexOf(word) >= 0));
      if (!hit.length) continue;
      const key = `${row.layer} ${row.neuron} ${row.sign}`;
      const of = found.get(key) ?? { row, words: new Set(), ids: new Set(), rank: Infinity, score: 0 };
      hit.forEach((word) => of.words.add(word));
      of.ids.add(row.token_id);
      of.rank = Math.min(of.rank, row.rank);
      if (Math.abs(row.score) > Math.abs(of.score)) of.score = row.score;
      found.set(key, of);
    }
    return [...found.values()]
      .filter(({ words }) => how === 'any' || words.size === typed.length)
      .map(({ row, words, ids, rank, score }) => [row.layer, row.neuron, row.sign, words.size, ids.size, rank, score]);
  }
  const found = async (state) => {
    const { rows } = await vocab.search(index, askedOf(state), 'neuron', Infinity);
    return { n: rows[0]?.n_found ?? 0, rows: rows.map((row) => [row.layer, row.index, row.sign, row.n_typed, row.n_tokens, row.rank, row.score]) };
  };
  const sorted = (rows) => rows.map((row) => JSON.stringify(row)).sort();
  /** The distinct words of the strongest tokens of a neuron, so that "all" of them has an answer. */
  const wordsFrom = (layer, neuron, sign) => [...new Set(tokens.filter((row) => row.layer === layer && row.neuron === neuron && row.sign === sign).map((row) => row.token.trim().toLowerCase()).filter((word) => word && !/\s/.test(word)))];
  const MANY = 'monday tuesday wednesday thursday friday saturday sunday march april may june july';

  it.each([
    ['a substring', { q: 'ary', match: 'any', exact: false, sign: 'either' }],
    ['a whole token', { q: 'Mary', match: 'any', exact: true, sign: 'either' }],
    ['any of two, promoted', { q: 'may june', match: 'any', exact: true, sign: 'promoted' }],
    ['all of two', { q: 'ber ay', match: 'all', exact: false, sign: 'either' }],
    ['all of two, suppressed', { q: 'mon day', match: 'all', exact: false, sign: 'suppressed' }],
    ['a token that is a space of no letters', { q: '<|endoftext|>', match: 'any', exact: true, sign: 'either' }],
    ['any of twelve', { q: MANY, match: 'any', exact: true, sign: 'suppressed' }],
  ])('%s: the index finds what a literal scan of every neuron finds', async (_, state) => {
    const [mine, all] = [await found(state), scanned(state)];
    expect(all.length).toBeGreaterThan(0);
    expect(mine.n).toBe(all.length);
    expect(mine.rows).toHaveLength(Math.min(300, all.length));
    const keys = new Set(sorted(all));
    expect(sorted(mine.rows).filter((row) => !keys.has(row))).toEqual([]);
  });

  it('no word is dropped, however many: a ninth that matches nothing leaves nothing for all of them', async () => {
    const words = wordsFrom(2, 300, 1);
    const parts = [...words, ...words.flatMap((word) => [word.slice(0, -1), word.slice(1), word.slice(0, 1)]).filter(Boolean)];
    const distinct = [...new Set(parts)];
    expect(distinct.length).toBeGreaterThan(8);
    const of = (q) => ({ q, match: 'all', exact: false, sign: 'promoted' });
    const [mine, all] = [await found(of(distinct.join(' '))), scanned(of(distinct.join(' ')))];
    expect(sorted(mine.rows)).toEqual(sorted(all));
    expect(mine.rows.some(([layer, neuron]) => layer === 2 && neuron === 300)).toBe(true);
    expect((await found(of(`${distinct.join(' ')} zzzz%`))).n).toBe(0);
  });

  it('the question that the console is given is the same one', async () => {
    const state = { q: 'ber ay', match: 'all', exact: false, sign: 'either' };
    const { typed, exact, every: all, sign } = askedOf(state);
    const rows = await query(sql('vocab_search'), { typed, exact, every: all, sign, n: typed.length }, { neuron_tokens: every('neuron_tokens') });
    expect(sorted(rows.map((row) => [row.layer, row.neuron, row.sign, row.n_typed, row.n_tokens, row.rank, row.score]))).toEqual(sorted(scanned(state)));
  });

  it('fetches the list of words and one file for a word', async () => {
    asked.length = 0;
    const found = await vocab.search(index, askedOf({ q: 'Mary', match: 'any', exact: true, sign: 'either' }), 'neuron');
    expect(found.rows.length).toBeGreaterThan(0);
    expect(asked).toHaveLength(2);
    expect(asked[0]).toBe('demo/vocab/words.parquet');
    expect(found.matches).toEqual(found.looked);
  });

  it('counts of a word are those of its rows', async () => {
    const { rows, matches: [word] } = await vocab.search(index, askedOf({ q: 'Mary', match: 'any', exact: true, sign: 'either' }), 'neuron', Infinity);
    expect(rows.filter((row) => row.sign > 0)).toHaveLength(word.promoted);
    expect(rows.filter((row) => row.sign < 0)).toHaveLength(word.suppressed);
  });

  it('heads by what their directions write', async () => {
    const { rows } = await vocab.search(index, askedOf({ q: 'Mary', match: 'any', exact: true, sign: 'either' }), 'head', Infinity);
    const all = await query("SELECT layer, head, direction, sign FROM {head_tokens} WHERE side = 'writes' AND lower(trim(token)) = 'mary'", {}, { head_tokens: every('head_tokens') });
    expect(sorted(rows.map(({ layer, index: head, direction, sign }) => [layer, head, direction, sign]))).toEqual(sorted(all.map(({ layer, head, direction, sign }) => [layer, head, direction, sign])));
    expect(rows.length).toBeGreaterThan(0);
  });

  it('says so where nothing matches', async () => {
    expect(await vocab.search(index, askedOf({ q: 'zzzz%', match: 'any', exact: false, sign: 'either' }), 'neuron')).toEqual({ rows: [], matches: [], looked: [], files: 0 });
  });
});

describe('the questions of the search', () => {
  it('vocab_words: the nearest first', async () => {
    const of = (values) => query(sql('vocab_words'), { typed: ['ar'], exact: false, ...values }, { words: ['demo/vocab/words.parquet'] });
    const rows = await of({});
    expect(rows.every((row) => row.word.includes('ar') && row.first <= row.last)).toBe(true);
    const starts = rows.map((row) => row.word.startsWith('ar'));
    expect(starts).toEqual([...starts].sort((a, b) => Number(b) - Number(a)));
    const [any] = await of({ typed: ["o'clock", rows[0].word], exact: true });
    expect(any).toEqual({ ...rows[0], typed: rows[0].word });
  });

  it('vocab_postings: those with most words and tokens first', async () => {
    const rows = await query(sql('vocab_postings'), { typed: ['a', 'ar'], exact: false, every: false, sign: 1, component: 'neuron', n: 2 }, { postings: ['demo/vocab/postings-0.parquet'] });
    const keys = rows.map((row) => row.n_typed * 100 + row.n_tokens);
    expect(keys).toEqual([...keys].sort((a, b) => b - a));
    expect(rows.every((row) => row.sign === 1 && row.tokens.split('\x1f').length >= row.n_tokens && row.n_found >= rows.length)).toBe(true);
  });
});

describe('questions', () => {
  const one = { layer: 2, expert: -1, neuron: 300 };

  it('vocab_neuron_tokens: both signs, the strongest first', async () => {
    const rows = await query(sql('vocab_neuron_tokens'), one, { neuron_tokens: [address(index, tokenFile(index, one))] });
    expect(rows.map((row) => [row.sign, row.rank])).toEqual([1, -1].flatMap((sign) => [1, 2, 3, 4].map((rank) => [sign, rank])));
    expect(rows[0].score).toBeGreaterThan(rows.at(-4).score);
  });

  it('vocab_neuron, vocab_members and vocab_cluster: a neuron is in its cluster', async () => {
    const [{ cluster, cosine }] = await vocab.rows(index, sql('vocab_neuron'), { neurons: { layer: 2, expert: -1 } }, one);
    const members = await vocab.rows(index, sql('vocab_members'), { neurons: { cluster } }, { cluster }, { neurons: 'members' });
    expect(members.find((row) => row.layer === 2 && row.index === 300).cosine).toBe(cosine);
    expect(members.every((row, i) => i === 0 || row.cosine <= members[i - 1].cosine)).toBe(true);
    const [found] = await vocab.rows(index, sql('vocab_cluster'), { clusters: {} }, { cluster });
    expect(found.n).toBe(members.length);
    const whole = await vocab.rows(index, sql('vocab_members'), { neurons: {} }, { cluster });
    expect(whole).toEqual(members);
  });

  it('vocab_clusters and vocab_cluster_tokens: the largest first, tokens of most neurons first', async () => {
    const rows = await vocab.rows(index, sql('vocab_clusters'), { clusters: {} }, {});
    expect(rows.every((row, i) => row.cluster === i && (i === 0 || row.n <= rows[i - 1].n))).toBe(true);
    const tokens = await vocab.rows(index, sql('vocab_cluster_tokens'), { cluster_tokens: { cluster: 0 } }, { cluster: 0 });
    expect(tokens.filter((row) => row.sign === 1).slice(0, 6).map((row) => row.token)).toEqual(rows[0].promoted);
    expect(tokens.every((row) => row.n >= 2 && row.n <= rows[0].n)).toBe(true);
  });

  it('control tokens among a neuron’s are marked, as the site’s index names them', async () => {
    const { neuronTokens } = createDetails({ query, address, rows: async () => [] });
    const plain = await neuronTokens({ ...index, vocab: { ...index.vocab, special: undefined } }, one);
    const { token_id: id } = plain.down[1];
    const marked = await neuronTokens({ ...index, vocab: { ...index.vocab, special: [id] } }, one);
    expect([...plain.up, ...plain.down].some((row) => row.special)).toBe(false);
    expect([...marked.up, ...marked.down].filter((row) => row.special).map((row) => row.token_id)).toEqual([id]);
  });

  it('vocab_use_clusters: how often the neurons of a cluster are on routes', async () => {
    const used = await query(sql('vocab_use_clusters'), {}, { neurons: every('members'), activations: ['demo/stats/activations.parquet'] });
    const [of, members] = [await query('SELECT * FROM {a}', {}, { a: ['demo/stats/activations.parquet'] }), await query('SELECT * FROM {n}', {}, { n: every('neurons') })];
    const clusterOf = new Map(members.map((row) => [`${row.layer} ${row.neuron}`, row.cluster]));
    const want = new Map();
    for (const row of of) {
      const cluster = clusterOf.get(`${row.layer} ${row.neuron}`);
      const [n, places] = want.get(cluster) ?? [0, 0];
      want.set(cluster, [n + 1, places + row.n]);
    }
    expect(new Map(used.map((row) => [row.cluster, [row.n_used, row.n_places]]))).toEqual(want);
    expect(want.size).toBeGreaterThan(3);
  });

  it('vocab_directions and vocab_pairs: of one head', async () => {
    const of = { layer: 1, head: 3 };
    const wanted = { layer: 1 };
    const rows = await vocab.rows(index, sql('vocab_directions'), { heads: wanted, head_tokens: wanted }, of);
    expect(rows.map((row) => row.direction)).toEqual([1, 2, 3]);
    expect(rows.every((row) => [row.reads, row.reads_against, row.writes, row.writes_against].every((tokens) => tokens.length === 4))).toBe(true);
    const pairs = await vocab.rows(index, sql('vocab_pairs'), { head_pairs: wanted }, of);
    expect(pairs.map((row) => [row.sign, row.place])).toEqual([1, -1].flatMap((sign) => [1, 2, 3, 4, 5].map((place) => [sign, place])));
  });

  it('vocab_use_neurons and vocab_use_heads: how often, from the statistics', async () => {
    const used = await query(sql('vocab_use_neurons'), { layers: [1, 2] }, { activations: ['demo/stats/activations.parquet'] });
    expect(new Set(used.map((row) => row.layer))).toEqual(new Set([1, 2]));
    expect(used.every((row) => row.n_prompts <= row.n && row.prompt_id >= 0 && row.dst >= 0 && row.dst === row.src)).toBe(true);
    const heads = await query(sql('vocab_use_heads'), {}, { importance: ['demo/stats/importance.parquet'], examples: ['demo/stats/examples.parquet'] });
    expect(heads).toHaveLength(16);
    expect(heads.every((row) => row.n_prompts <= row.n_all && row.src <= row.dst)).toBe(true);
  });
});
