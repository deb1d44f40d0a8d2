import { describe, expect, it, vi } from 'vitest';
import { createData } from '../src/data.js';
import { SiteError } from '../src/errors.js';
import { missingFeatures, wordsFor } from '../src/messages.js';
import { golden, json } from './engine.js';
import { readFileSync } from 'node:fs';

const runs = [{ id: 'a', title: 'A' }];
const answer = (body, status = 200) => ({ ok: status < 400, status, text: async () => (typeof body === 'string' ? body : JSON.stringify(body)) });
const dataOf = (pages) => {
  vi.stubGlobal('fetch', async (address) => {
    const page = pages[address.replace('data/', '')];
    if (page instanceof Error) throw page;
    return page ?? answer('', 404);
  });
  return createData({ base: 'data/', db: /** @type {any} */ ({ prefetch: async () => null, query: async () => [] }) });
};
const kindOf = async (promise) => {
  const error = await promise.then(() => null, (problem) => problem);
  expect(error).toBeInstanceOf(SiteError);
  return error.kind;
};

describe('what is wrong with the files', () => {
  it('no catalogue, or a page in its place', async () => {
    expect(await kindOf(dataOf({}).catalogue())).toBe('no-data');
    expect(await kindOf(dataOf({ 'catalogue.json': answer('<!doctype html>') }).catalogue())).toBe('no-data');
  });

  it('half a catalogue', async () => {
    expect(await kindOf(dataOf({ 'catalogue.json': answer('{"schema_version": 1, "ru') }).catalogue())).toBe('damaged');
    expect(await kindOf(dataOf({ 'catalogue.json': answer({ schema_version: 1 }) }).catalogue())).toBe('damaged');
  });

  it('the network or the server failing', async () => {
    expect(await kindOf(dataOf({ 'catalogue.json': new TypeError('refused') }).catalogue())).toBe('network');
    expect(await kindOf(dataOf({ 'catalogue.json': answer('', 503) }).catalogue())).toBe('network');
  });

  it('another schema, of the catalogue or of one run', async () => {
    expect(await kindOf(dataOf({ 'catalogue.json': answer({ schema_version: 2, runs }) }).catalogue())).toBe('schema-newer');
    expect(await kindOf(dataOf({ 'catalogue.json': answer({ schema_version: 0, runs }) }).catalogue())).toBe('schema-older');
    expect(await kindOf(dataOf({ 'catalogue.json': answer({ runs }) }).catalogue())).toBe('schema-older');
    const pages = { 'catalogue.json': answer({ schema_version: 1, runs }), 'a/index.json': answer({ schema_version: 7 }) };
    expect(await kindOf(dataOf(pages).run('a'))).toBe('schema-newer');
  });

  it('a run that is not listed, or listed but gone', async () => {
    const pages = { 'catalogue.json': answer({ schema_version: 1, runs }) };
    expect(await kindOf(dataOf(pages).run('b'))).toBe('unknown-run');
    expect(await kindOf(dataOf(pages).run('a'))).toBe('missing');
  });

  it('a failure is not remembered: the next try fetches again', async () => {
    const pages = { 'catalogue.json': answer('', 500) };
    const data = dataOf(pages);
    expect(await kindOf(data.catalogue())).toBe('network');
    pages['catalogue.json'] = answer(readFileSync(golden('catalogue.json'), 'utf8'));
    expect((await data.catalogue()).runs).toHaveLength(2);
  });

  it('a prompt outside the run names the nearest one', async () => {
    const pages = { 'catalogue.json': answer(json('catalogue.json')), 'golden/index.json': answer(json('golden/index.json')) };
    const data = dataOf(pages);
    const stub = { prefetch: async () => null, query: async () => [{ first_id: 0, last_id: 11, before: 11, previous: 11, next: null, found: false }] };
    const index = await data.run('golden');
    const other = createData({ base: 'data/', db: /** @type {any} */ (stub) });
    const error = await other.prompt({ ...index, counts: {} }, 900).catch((problem) => problem);
    expect(error.kind).toBe('unknown-prompt');
    expect(error.info.nearest).toBe(11);
  });
});

describe('words', () => {
  const kinds = ['no-data', 'missing', 'network', 'damaged', 'incomplete', 'schema-newer', 'schema-older', 'unknown-run', 'unknown-prompt', 'rejected-prompt', 'no-prompts', 'engine', 'query'];
  it.each(kinds)('%s has a title, a way on, and the detail', (kind) => {
    const info = { run: 'r', id: 3, nearest: 4, version: 9, runs: [], reject: { reason: 'too long', detail: '' } };
    const words = wordsFor(new SiteError(/** @type {any} */ (kind), 'the detail', info));
    expect(words.title.length).toBeGreaterThan(8);
    expect(words.text.length).toBeGreaterThan(10);
    expect(words.retry || words.links.length > 0).toBe(true);
    expect(words.detail).toBe('the detail');
  });

  it('a fault of the page itself is said, too', () => expect(wordsFor(new TypeError('x is not a function')).detail).toContain('x is not a function'));

  it('names what a browser lacks', () => {
    expect(missingFeatures({})).toContain('WebAssembly');
    const modern = { WebAssembly: { Tag: class {} }, Worker: class {}, ResizeObserver: class {}, CSS: { supports: () => true } };
    expect(missingFeatures(modern)).toEqual([]);
  });
});
