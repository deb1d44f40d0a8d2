import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { SiteError } from '../src/errors.js';
import { fetchParquet, isParquet } from '../src/files.js';
import { golden } from './engine.js';
import { sealed } from './sealed.js';

const whole = sealed(new Uint8Array(readFileSync(golden('golden/prompts-0.parquet'))));
const serve = (bytes, status = 200) =>
  vi.stubGlobal('fetch', vi.fn(async () => ({ ok: status < 400, status, arrayBuffer: async () => bytes.slice().buffer })));
const problem = async () => {
  const error = await fetchParquet('x/bucket-0.parquet').catch((caught) => caught);
  expect(error).toBeInstanceOf(SiteError);
  expect(error.message).toContain('x/bucket-0.parquet');
  return error.kind;
};
afterEach(() => vi.unstubAllGlobals());

it('takes a whole file as it is', async () => {
  serve(whole);
  expect(await fetchParquet('x')).toEqual(whole);
});

it('tells a truncated file, a page in its place and nothing at all from Parquet', async () => {
  for (const bytes of [whole.slice(0, -1), whole.slice(1), new TextEncoder().encode('<!doctype html>not here'), new Uint8Array(0), new TextEncoder().encode('PAR1')]) {
    expect(isParquet(bytes)).toBe(false);
    serve(bytes);
    expect(await problem()).toBe('damaged');
  }
});

it('says whether a file is missing or the server failed', async () => {
  serve(whole, 404);
  expect(await problem()).toBe('missing');
  serve(whole, 500);
  expect(await problem()).toBe('network');
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('refused');
  });
  expect(await problem()).toBe('network');
});

it('asks past the cache when it tries again', async () => {
  serve(whole);
  await fetchParquet('x', true);
  expect(fetch).toHaveBeenCalledWith('x', { cache: 'reload' });
});
