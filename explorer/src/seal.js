/**
 * The checksums that `flowatlas site` puts into its files. Parquet: eight bytes before the footer, `CRC=` and the CRC-32
 * (little endian) of all other bytes; the engine itself reads a flipped bit as another number and says nothing. JSON: the
 * CRC-32 of what follows, as the first key. (The browser's own hashes are not there on every host: they ask for https.)
 */

const MARK = [67, 82, 67, 61]; // CRC=
const SEAL_BYTES = 8;
const POLYNOMIAL = 0xedb88320;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes @param {number} [before] the CRC-32 of what stands before them @returns {number} */
export function crc32(bytes, before = 0) {
  let value = ~before;
  for (let i = 0; i < bytes.length; i += 1) value = (value >>> 8) ^ TABLE[(value ^ bytes[i]) & 255];
  return ~value >>> 0;
}

/**
 * Whether the bytes of a Parquet file are those that were written. Every file of a site has a seal, so one whose seal is not
 * where its footer's length says is damaged, there or in that length.
 * @param {Uint8Array} bytes whole, with the magic at both ends
 */
export function isIntact(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const footer = bytes.length - 8 - view.getUint32(bytes.length - 8, true);
  const seal = footer - SEAL_BYTES;
  if (seal < 4 || !MARK.every((byte, i) => bytes[seal + i] === byte)) return false;
  return view.getUint32(seal + MARK.length, true) === crc32(bytes.subarray(footer), crc32(bytes.subarray(0, seal)));
}

/** Whether the text of a JSON file is what was written; one without a checksum (somebody wrote it by hand) is taken as it is. @param {string} text */
export function isIntactJson(text) {
  const [seal, crc] = /^\{"crc32": "([^"]*)",?/.exec(text) ?? [];
  return seal === undefined || parseInt(crc, 16) === crc32(new TextEncoder().encode(text.slice(seal.length)));
}
