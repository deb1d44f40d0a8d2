import { readFileSync } from 'node:fs';
import { crc32 as reference } from 'node:zlib';
import { afterEach, expect, it, vi } from 'vitest';
import { fetchParquet } from '../src/files.js';
import { crc32, isIntact } from '../src/seal.js';
import { golden } from './engine.js';

const plain = new Uint8Array(readFileSync(golden('golden/edges/bucket-0.parquet')));
afterEach(() => vi.unstubAllGlobals());

/** As `seal.py` writes it. @param {Uint8Array} bytes */
function sealed(bytes) {
  const at = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
  const seal = Buffer.alloc(8, 'CRC=');
  seal.writeUInt32LE(reference(bytes), 4);
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), seal, bytes.subarray(at)]));
}

it('computes the CRC-32 that everybody computes, also in two pieces', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  expect(crc32(plain)).toBe(reference(plain));
  expect(crc32(plain.subarray(1000), crc32(plain.subarray(0, 1000)))).toBe(reference(plain));
});

it('finds one flipped bit wherever it is', () => {
  const whole = sealed(plain);
  const mark = Buffer.from(whole).lastIndexOf('CRC=');
  expect(isIntact(whole)).toBe(true);
  for (let i = 0; i < 400; i += 1) {
    const at = Math.floor((i / 400) * (whole.length - 8)); // the length of the footer is the engine's to complain about
    if (at >= mark && at < mark + 4) continue;
    whole[at] ^= 1 << i % 8;
    expect(isIntact(whole), `byte ${at}`).toBe(false);
    whole[at] ^= 1 << i % 8;
  }
});

it('takes files without a seal, and none whose footer is longer than itself', () => {
  expect(isIntact(plain)).toBe(true);
  const long = plain.slice();
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
