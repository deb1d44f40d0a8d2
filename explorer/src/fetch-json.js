/** A JSON file of the site; what stands in its way is said as an error of the site. */

import { SiteError } from './errors.js';
import { isIntactJson } from './seal.js';

/**
 * Fetched anew each time, as far as the server's answer changed.
 * @param {string} address
 * @param {import('./errors.js').Kind} absent the kind of error when there is no such file
 */
export async function fetchJson(address, absent) {
  let response;
  let text;
  try {
    response = await fetch(address, { cache: 'no-cache' });
    text = await response.text();
  } catch (error) {
    throw new SiteError('network', `${address}: ${/** @type {Error} */ (error).message}`, { address });
  }
  if (response.status === 404 || response.status === 410) {
    throw new SiteError(absent, `${address}: the server answered ${response.status}`, { address });
  }
  if (!response.ok) throw new SiteError('network', `${address}: the server answered ${response.status}`, { address });
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    // Some hosts answer a missing file with a page.
    const kind = /^\s*</.test(text) ? absent : 'damaged';
    throw new SiteError(kind, `${address}: not JSON, begins with ${JSON.stringify(text.slice(0, 40))}`, { address });
  }
  if (!isIntactJson(text)) throw new SiteError('damaged', `${address}: not what was written (the checksum is another)`, { address });
  delete found?.crc32;
  return found;
}
