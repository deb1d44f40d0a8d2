/**
 * How tokens and numbers are written. Every string that comes out is meant for `textContent`.
 *
 * Conventions of the field: a space shows as `·`, a newline as `↵`, a tab as `⇥`; other control characters show as
 * hex, invisible and direction-changing ones as their code point, so that nothing hides in a token.
 */

const SIGNS = new Map([
  ['\n', '↵'],
  ['\t', '⇥'],
]);

// Zero-width, joiners aside (emoji and scripts need U+200C and U+200D), bidirectional controls, BOM, C1 controls,
// no-break space, soft hyphen, interlinear marks and lone surrogates.
const INVISIBLE =
  /[\u0080-\u00a0\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** @param {string} char */
function codePoint(char) {
  return `<U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`;
}

/** @param {string} text */
function showControls(text) {
  return text
    .replace(/[\x00-\x1f\x7f]/g, (c) => SIGNS.get(c) ?? `<0x${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}>`)
    .replace(INVISIBLE, codePoint);
}

/**
 * A token as a chip shows it: every space, newline and control character visible.
 * @param {string} token
 */
export function showToken(token) {
  return token === '' ? '∅' : showControls(token).replace(/ /g, '·');
}

/**
 * Running text: spaces stay, whatever else is invisible is shown.
 * @param {string} text
 */
export function showText(text) {
  return showControls(text);
}

/** Half a surrogate pair, which has no UTF-8, as U+FFFD. @param {string} text */
export const wellFormed = (text) => text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');

/**
 * At most `length` characters, cut between code points, with an ellipsis where something is missing.
 * @param {string} text
 * @param {number} length
 */
export function clip(text, length) {
  if (text.length <= length) return text;
  const points = [...text.slice(0, 2 * length)];
  return points.length <= length && text.length <= 2 * length ? text : `${points.slice(0, length - 1).join('')}…`;
}

/** Running text of several lines in one, at most `length` characters of it. @param {string} text @param {number} length */
export const oneLine = (text, length) => clip(showText(text.replace(/\s+/g, ' ')), length);

/**
 * A share or probability (0..1) with two significant figures; below 0.0001 as a power of ten.
 * @param {number | null | undefined} value
 */
export function fraction(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  if (value < 1e-4) return value.toExponential(0).replace('-', '−');
  if (value > 0.995 && value < 1) return value > 0.9995 ? '>0.999' : value.toFixed(3);
  return Number(value.toPrecision(2)) >= 1 ? '1' : value.toPrecision(2);
}

/**
 * A signed or unbounded number (logit, norm, nats), with two decimals or three significant figures.
 * @param {number | null | undefined} value
 */
export function quantity(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.replace('-', '−');
}

/**
 * The stored number in full (float32 needs at most nine digits), for hovering.
 * @param {number | null | undefined} value
 */
export function exact(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return 'not stored';
  return String(Number(value.toPrecision(9)));
}

/** @param {number} count */
export function integer(count) {
  return count.toLocaleString('en-US');
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${integer(count)} ${count === 1 ? one : many}`;
}

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? value.toFixed(0) : value.toPrecision(2)} ${units[unit]}`;
}

/**
 * The day of an ISO time; the text itself when it is none.
 * @param {string | null | undefined} iso
 */
export function day(iso) {
  if (!iso) return '–';
  const match = /^\d{4}-\d{2}-\d{2}/.exec(iso);
  return match ? match[0] : clip(iso, 24);
}

/**
 * The threshold, without trailing noise: at most four significant figures.
 * @param {number} tau
 */
export function threshold(tau) {
  return String(Number(tau.toPrecision(4)));
}
