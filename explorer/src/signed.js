/** Differences of shares: with their sign, two significant figures. */

import { fraction } from './format.js';

/** @param {number | null | undefined} value */
export function signedShare(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value) < 1 ? fraction(Math.abs(value)) : Math.abs(value).toPrecision(3);
  return value < 0 ? `−${size}` : value > 0 ? `+${size}` : '0';
}
