import { readFileSync } from 'node:fs';
import { crc32 as reference } from 'node:zlib';
import { afterEach, expect, it, vi } from 'vitest';
import { fetchParquet } from '../src/files.js';
import { fetchJson } from '../src/fetch-json.js';
import { crc32, isIntact, isIntactJson } from '../src/seal.js';
import { golden } from './engine.js';
import { sealed } from './sealed.js';

const plain = new Uint8Array(readFileSync(golden('golden/edges/bucket-0.parquet')));
afterEach(() => vi.unstubAllGlobals());

it('computes the CRC-32 that everybody computes, also in two pieces', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  expect(crc32(plain)).toBe(reference(plain));
  expect(crc32(plain.subarray(1000), crc32(plain.subarray(0, 1000)))).toBe(reference(plain));
});

it('finds one flipped bit wherever it is', () => {
  const whole = sealed(plain);
  expect(isIntact(whole)).toBe(true);
  const spread = Array.from({ length: 400 }, (_, i) => Math.floor((i / 400) * whole.length));
  const ends = Array.from({ length: 20 }, (_, i) => whole.length - 4 - 1 - i); // before the magic: the footer's length, and its end
  for (const at of [...spread, ...ends].filter((place) => place < whole.length - 4)) {
    for (let bit = 0; bit < 8; bit += 1) {
      whole[at] ^= 1 << bit;
      expect(isIntact(whole), `byte ${at}, bit ${bit}`).toBe(false);
      whole[at] ^= 1 << bit;
    }
  }
});

it('takes no file without a seal, and none whose footer is longer than itself', () => {
  expect(isIntact(plain)).toBe(false);
  const long = sealed(plain);
  new DataView(long.buffer).setUint32(long.length - 8, long.length, true);
  expect(isIntact(long)).toBe(false);
});

it('is what fetching a file asks', async () => {
  const bytes = sealed(plain);
  vi.stubGlobal('fetch', async () => ({ ok: true, status: 200, arrayBuffer: async () => bytes.slice().buffer }));
  expect(await fetchParquet('x')).toHaveLength(bytes.length);
  bytes[500] ^= 4;
  await expect(fetchParquet('x')).rejects.toMatchObject({ kind: 'damaged' });
});

it('finds one flipped bit of a JSON file, behind its checksum or in it', async () => {
  const rest = '\n "n": 12,\n "text": "ünd"\n}\n';
  const whole = Buffer.from(`{"crc32": "${reference(Buffer.from(rest)).toString(16).padStart(8, '0')}",${rest}`);
  vi.stubGlobal('fetch', async () => ({ ok: true, status: 200, text: async () => whole.toString('utf8') }));
  expect(await fetchJson('x', 'missing')).toEqual({ n: 12, text: 'ünd' });
  for (let at = 11; at < whole.length; at += 1) {
    whole[at] ^= 1;
    await expect(fetchJson('x', 'missing'), `byte ${at}`).rejects.toMatchObject({ kind: 'damaged' });
    whole[at] ^= 1;
  }
  expect(isIntactJson('{"by": "hand"}')).toBe(true);
});
