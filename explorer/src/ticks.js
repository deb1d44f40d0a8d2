/** Round numbers along an axis. Pure. */

/**
 * Multiples of 1, 2 or 5 times a power of ten that lie between two numbers.
 * @param {number} from @param {number} to @param {number} most how many at most, at least 2 @returns {number[]}
 */
export function ticksBetween(from, to, most) {
  if (!(to > from)) return [from];
  const rough = (to - from) / Math.max(1, most - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough * (1 - 1e-9)) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/**
 * The ends of a scale that holds zero and all of the values, with no length of 0.
 * @param {(number | null | undefined)[]} values @returns {[number, number]}
 */
export function spanOf(values) {
  const found = values.filter((value) => value !== null && value !== undefined && Number.isFinite(value)).map(Number);
  const from = found.reduce((least, value) => Math.min(least, value), 0);
  const to = found.reduce((most, value) => Math.max(most, value), 0);
  return to > from ? [from, to] : [0, 1];
}
