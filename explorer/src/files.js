/** Fetching Parquet files whole: some hosts answer a missing file with a page, and some connections end early. */

import { SiteError } from './errors.js';
import { isIntact } from './seal.js';

/**
 * @param {Uint8Array} bytes
 * @returns {boolean} whether the four bytes at both ends are PAR1
 */
export function isParquet(bytes) {
  const magic = [80, 65, 82, 49];
  const end = bytes.length - 4;
  return bytes.length >= 12 && magic.every((code, i) => bytes[i] === code && bytes[end + i] === code);
}

/**
 * A Parquet file, whole, or a SiteError that says what came instead.
 * @param {string} address
 * @param {boolean} [again] past the browser's cache, which may hold what failed before
 * @returns {Promise<Uint8Array>}
 */
export async function fetchParquet(address, again = false) {
  let response;
  let bytes;
  try {
    response = await fetch(address, { cache: again ? 'reload' : 'default' });
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new SiteError('network', `${address}: ${/** @type {Error} */ (error).message}`, { address });
  }
  if (!response.ok) {
    const kind = response.status === 404 || response.status === 410 ? 'missing' : 'network';
    throw new SiteError(kind, `${address}: the server answered ${response.status}`, { address });
  }
  if (!isParquet(bytes)) {
    throw new SiteError('damaged', `${address}: ${bytes.length} bytes that are no whole Parquet file`, { address });
  }
  if (!isIntact(bytes)) throw new SiteError('damaged', `${address}: not the ${bytes.length} bytes that were written (the checksum is another)`, { address });
  return bytes;
}
