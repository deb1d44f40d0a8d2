/**
 * A figure leaves the page: SVG with its styles inside, PNG of it, CSV of the numbers it shows.
 *
 * Use: `figureTools({ name: 'route', svg: () => svgElement, table: () => ({ columns, rows }) })` gives a small group of
 * buttons; leave out `svg` for a figure that is only numbers. Colours are those of the light theme, for print.
 *
 * @typedef {string | number | boolean | null | undefined} Cell
 * @typedef {{ columns: string[], rows: Cell[][] }} Numbers
 */

import { attr, h, s } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const PNG_SCALE = 2;
const PNG_LIMIT = 8192; // pixels a side that every browser's canvas takes

/** What an SVG viewer needs, with the value it assumes where nothing is said; the first group is inherited. */
const INHERITED = {
  fill: 'rgb(0, 0, 0)', 'fill-opacity': '1', stroke: 'none', 'stroke-width': '1px', 'stroke-opacity': '1',
  'stroke-linecap': 'butt', 'stroke-linejoin': 'miter', 'stroke-dasharray': 'none', 'paint-order': 'normal',
  'text-anchor': 'start', 'dominant-baseline': 'auto', 'font-family': '', 'font-size': '', 'font-weight': '400', 'font-style': 'normal',
}; // prettier-ignore
const OWN = { opacity: '1' };

/**
 * One CSV cell. A text that a spreadsheet would take for a formula gets a quote in front; numbers stay numbers.
 * @param {Cell} value
 */
export function csvCell(value) {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const safe = /^\s*[=+\-@]|^[\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {Numbers} numbers @returns {string} RFC 4180: CRLF, a header line */
export function csvOf({ columns, rows }) {
  return [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

/** Tab-separated for the clipboard: one line a row, whatever the cells hold. @param {Numbers} numbers */
export function tsvOf({ columns, rows }) {
  const cell = (/** @type {Cell} */ value) => {
    const safe = typeof value === 'string' && /^[=+\-@]/.test(value) ? `'${value}` : value;
    return safe === null || safe === undefined ? '' : String(safe).replace(/[\t\r\n]/g, ' ');
  };
  return [columns, ...rows].map((row) => row.map(cell).join('\t')).join('\n');
}

/** A file name from whatever words there are. @param {string} name */
export function fileName(name) {
  return name.normalize('NFKD').replace(/[^\w.-]+/g, '-').replace(/^[-.]+|-+$/g, '').slice(0, 80) || 'figure';
}

/** @param {string} name @param {Blob} blob */
export function download(name, blob) {
  const href = URL.createObjectURL(blob);
  const link = h('a', { href, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 30_000);
}

/** Colours in a form that every viewer reads: `oklab(...)` and the like as rgb. @returns {(value: string) => string} */
function colourReader() {
  const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  /** @type {Map<string, string>} */
  const known = new Map();
  return (value) => {
    if (!context || value === 'none' || value.startsWith('url(') || /^rgb\(/.test(value)) return value;
    let found = known.get(value);
    if (!found) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = value;
      context.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
      known.set(value, (found = a === 255 ? `rgb(${r}, ${g}, ${b})` : `rgba(${r}, ${g}, ${b}, ${(a / 255).toFixed(3)})`));
    }
    return found;
  };
}

/**
 * The page in the light theme while `run` reads computed styles; nothing is painted meanwhile. An element's own
 * `color-scheme` would not do: colours are resolved where the theme declares them, at the root.
 * @template T @param {() => T} run @returns {T}
 */
function inLight(run) {
  const root = document.documentElement;
  const before = root.getAttribute('data-theme');
  root.setAttribute('data-theme', 'light');
  try {
    return run();
  } finally {
    attr(root, 'data-theme', before);
  }
}

/**
 * Writes the computed style of an element and all in it as attributes; takes out what is not seen.
 * @param {Element} el @param {Record<string, string>} above what its parent hands down @param {(value: string) => string} colour
 */
function inline(el, above, colour) {
  const style = getComputedStyle(el);
  const hidden = style.visibility === 'hidden' || style.display === 'none';
  if (hidden && !el.closest('defs') && el.localName !== 'title' && el.localName !== 'desc') return el.remove();
  const here = { ...above };
  for (const name of Object.keys(INHERITED)) {
    const raw = style.getPropertyValue(name);
    const value = name === 'fill' || name === 'stroke' ? colour(raw) : raw;
    // An attribute of the element itself may repeat or lose against CSS: what was computed is what is drawn.
    el.removeAttribute(name);
    if (value !== here[name]) el.setAttribute(name, value);
    here[name] = value;
  }
  for (const [name, usual] of Object.entries(OWN)) {
    const value = style.getPropertyValue(name);
    if (value === usual) el.removeAttribute(name);
    else el.setAttribute(name, value);
  }
  for (const child of [...el.children]) inline(child, here, colour);
}

/** @param {Element} el */
function strip(el) {
  for (const { name } of [...el.attributes]) {
    if (/^(class|style|role|tabindex|visibility|aria-|data-)/.test(name)) el.removeAttribute(name);
  }
  for (const child of el.children) strip(child);
}

/**
 * A copy of a figure that stands alone: styles inside, light colours, a white ground.
 * @param {SVGSVGElement} svg on the page @param {string} title
 * @returns {{ text: string, width: number, height: number }}
 */
export function standalone(svg, title) {
  const box = svg.getBoundingClientRect();
  const [width, height] = [Math.max(1, Math.round(box.width)), Math.max(1, Math.round(box.height))];
  const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
  const stage = h('div', { 'aria-hidden': 'true', inert: true, style: `position: absolute; left: 0; top: 0; width: ${width}px; height: ${height}px; visibility: visible; opacity: 1; z-index: -1; pointer-events: none; overflow: hidden` }, copy);
  // Beside the original, so that the same rules of the stylesheet apply to it.
  (svg.parentElement ?? document.body).append(stage);
  try {
    inLight(() => inline(copy, { ...INHERITED }, colourReader()));
  } finally {
    stage.remove();
  }
  strip(copy);
  if (!copy.getAttribute('viewBox')) copy.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const [x, y, w, hgt] = (copy.getAttribute('viewBox') ?? '').split(/[\s,]+/).map(Number);
  copy.setAttribute('xmlns', SVG);
  copy.setAttribute('width', String(width));
  copy.setAttribute('height', String(height));
  copy.prepend(s('title', {}, title), s('rect', { x, y, width: w, height: hgt, fill: '#ffffff', stroke: 'none' }));
  return { text: new XMLSerializer().serializeToString(copy), width, height };
}

/** @param {{ text: string, width: number, height: number }} figure @returns {Promise<Blob>} */
export async function png({ text, width, height }) {
  const address = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const scale = Math.min(PNG_SCALE, PNG_LIMIT / Math.max(width, height));
    const canvas = Object.assign(document.createElement('canvas'), { width: Math.round(width * scale), height: Math.round(height * scale) });
    const context = canvas.getContext('2d');
    if (!context) throw new Error('this browser gives no canvas');
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('this browser makes no PNG'))), 'image/png');
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Shows for a moment, in the button itself, that it worked or did not. @param {HTMLButtonElement} button @param {string} word */
export function flash(button, word) {
  const label = button.dataset.label ?? (button.dataset.label = button.textContent ?? '');
  button.textContent = word;
  setTimeout(() => (button.textContent = label), 1400);
}

/**
 * @param {string} label @param {string} title @param {string} testid
 * @param {(button: HTMLButtonElement) => void | Promise<void>} run
 */
export function toolButton(label, title, testid, run) {
  const button = h('button', { type: 'button', class: 'tool', title, 'aria-label': title, 'data-testid': testid });
  button.textContent = label;
  button.addEventListener('click', async (event) => {
    event.stopPropagation();
    try {
      await run(button);
    } catch {
      flash(button, 'failed');
    }
  });
  return button;
}

/**
 * The small buttons of a figure.
 * @param {{ name: string | (() => string), svg?: () => SVGSVGElement | null, table?: () => Numbers, title?: () => string, sql?: HTMLAnchorElement }} figure
 *   `name` is said to screen readers and becomes the file's name; `svg` and `table` are asked at the click, so they may
 *   follow the state; `title` is written into the SVG; `sql` leads to the question that the numbers answer
 * @returns {HTMLElement}
 */
export function figureTools({ name, svg, table, title, sql }) {
  const called = () => (typeof name === 'string' ? name : name());
  const words = typeof name === 'string' ? name.replaceAll('-', ' ') : 'figure';
  const drawn = () => {
    const el = svg?.();
    if (!el) throw new Error('nothing is drawn yet');
    return standalone(el, title?.() ?? called());
  };
  const file = (/** @type {string} */ ending) => `${fileName(called())}.${ending}`;
  return h(
    'span',
    { class: 'tools', role: 'group', 'aria-label': `Download ${words}` },
    svg ? toolButton('SVG', `Download ${words} as SVG`, 'download-svg', () => download(file('svg'), new Blob([drawn().text], { type: 'image/svg+xml' }))) : null,
    svg ? toolButton('PNG', `Download ${words} as PNG`, 'download-png', async () => download(file('png'), await png(drawn()))) : null,
    // The mark at the front tells spreadsheets that this is UTF-8.
    table ? toolButton('CSV', `Download the numbers of ${words} as CSV`, 'download-csv', () => download(file('csv'), new Blob(['\ufeff', csvOf(table())], { type: 'text/csv;charset=utf-8' }))) : null,
    sql ?? null,
  );
}
