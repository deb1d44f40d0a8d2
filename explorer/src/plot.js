/** Numbers on axes: round ticks, positions, short labels. Pure. */

/** Round numbers over a range, about `count` of them. @param {number} low @param {number} high @param {number} [count] @returns {number[]} */
export function ticks(low, high, count = 5) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return Number.isFinite(low) ? [low] : [];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((one) => one * power >= rough * 0.75) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** @param {[number, number]} domain @param {[number, number]} range pixels */
export function linear([low, high], [from, to]) {
  const span = high - low || 1;
  return (/** @type {number} */ value) => from + ((value - low) / span) * (to - from);
}

/**
 * The range of the values with a little air; zero is in it where they are all on one side and not far from it.
 * @param {number[]} values @param {{ zero?: boolean, air?: number }} [options] `zero`: in any case
 * @returns {[number, number]}
 */
export function extentOf(values, { zero = false, air = 0.04 } = {}) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  const near = (low > 0 && low < 0.4 * high) || (high < 0 && high > 0.4 * low);
  if (zero || near) [low, high] = [Math.min(0, low), Math.max(0, high)];
  if (low === high) return [low - Math.max(0.5, Math.abs(low) * 0.1), high + Math.max(0.5, Math.abs(high) * 0.1)];
  const slack = (high - low) * air;
  return [low === 0 ? 0 : low - slack, high === 0 ? 0 : high + slack];
}

/** A tick's number, short. @param {number} value */
export function tickLabel(value) {
  const size = Math.abs(value);
  const text = size >= 1e5 || (size > 0 && size < 1e-3) ? Number(value.toPrecision(3)).toExponential().replace('e+', 'e') : String(Number(value.toPrecision(4)));
  return text.replace(/-/g, '−');
}
