/** A Parquet file with its checksum inside, as `seal.py` writes it. */

import { crc32 } from 'node:zlib';

/** @param {Uint8Array} bytes */
export function sealed(bytes) {
  const at = bytes.length - 8 - new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 8, true);
  const seal = Buffer.alloc(8, 'CRC=');
  seal.writeUInt32LE(crc32(bytes), 4);
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), seal, bytes.subarray(at)]));
}
