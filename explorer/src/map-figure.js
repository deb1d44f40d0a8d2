/**
 * A head's contribution map and attention map over all tokens, side by side or, where it is narrow, one below the other:
 * queries downwards, keys to the right. Only stored cells are coloured; the rest of the triangle is grey, and the key says so.
 */

import { tokenAt } from './describe.js';
import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { exact, fraction } from './format.js';
import { axisToken, binFor, cellPaths, every, followCell } from './heat.js';

/** @typedef {import('./details.js').MapCell} MapCell */
/** @typedef {'share' | 'attention'} Measure */
/** @typedef {{ dst: number, src: number }} Place */
/** @typedef {{ x: number, y: number }} Corner of a map */

const LETTER = 5.6; // width of one character of an axis label
const LABEL = 7; // characters of a token that an axis shows
const GAP = 10;
const TOP = 16;
const STEPS = 8; // of the colour scale

/**
 * @typedef {{ cells: MapCell[], tokens: string[], name: string, under: string, chosen: { dst: number, src: number | null },
 *   width: number, stacked?: boolean, onCell: (dst: number, src: number) => void, sql: () => HTMLAnchorElement }} MapProps
 *   `under` says what a cell without a number is; `chosen` is the row, or the cell, of the selection
 */

/** @param {number} n @param {Corner} corner @param {number} side */
function triangle(n, { x, y }, side) {
  const cell = side / n;
  const steps = Array.from({ length: n }, (_, i) => `H${(x + (i + 1) * cell).toFixed(2)}V${(y + (i + 1) * cell).toFixed(2)}`);
  // Down the diagonal as a staircase, back along the bottom and up the left side.
  return `M${x},${y}${steps.join('')}H${x}Z`;
}

/** The colours from 0 to the largest, as the cells have them: steps of the square root. @param {Measure} measure @param {number} largest @param {number} x right end @param {number} y @param {number} swatch */
function colourBar(measure, largest, x, y, swatch) {
  const words = fraction(largest);
  const end = x - words.length * LETTER - 3;
  const start = end - STEPS * swatch;
  return s(
    'g',
    {},
    s('title', {}, `Colours from 0 to ${exact(largest)}, by the square root`),
    s('text', { class: 'caption', x: start - 3, y, 'text-anchor': 'end' }, '0'),
    ...Array.from({ length: STEPS }, (_, i) => s('rect', { class: `cell ${measure} b${i}`, x: start + i * swatch, y: y - 8, width: swatch, height: 9 })),
    s('text', { class: 'caption', x, y, 'text-anchor': 'end' }, words),
  );
}

/** Token and position, at most one of them cut. @param {string[]} tokens @param {number} pos */
const labelOf = (tokens, pos) => `${axisToken(tokens[pos], LABEL)} ${pos}`;

/** @param {MapProps} props @param {Measure} measure @param {Corner} corner @param {number} side */
function drawOne({ cells, tokens, chosen }, measure, corner, side) {
  const { x, y: top } = corner;
  const n = tokens.length;
  const cell = side / n;
  const values = cells.filter((one) => (one[measure] ?? 0) > 0);
  const largest = values.reduce((max, one) => Math.max(max, one[measure] ?? 0), 0);
  const marks = values.map((one) => ({ x: x + one.src * cell, y: top + one.dst * cell, bin: `${measure} b${binFor(one[measure] ?? 0, largest)}` }));
  const step = every(cell);
  const title = side < 230 ? (measure === 'share' ? 'share' : 'attention') : measure === 'share' ? 'contribution (share)' : 'attention weight';
  const labels = tokens.flatMap((_, pos) => {
    if (pos % step) return [];
    const at = x + (pos + 0.5) * cell;
    return [s('text', { class: pos === chosen.src ? 'chosen' : null, transform: `translate(${(at + 3).toFixed(1)},${top + side + 5}) rotate(-90)`, 'text-anchor': 'end' }, labelOf(tokens, pos))];
  });
  const row = top + chosen.dst * cell;
  return s(
    'g',
    { 'data-testid': measure === 'share' ? 'map-contribution' : 'map-attention', 'data-largest': exact(largest) },
    s('path', { class: 'triangle', d: triangle(n, corner, side) }),
    ...cellPaths(marks, Math.max(0.5, cell - (cell > 6 ? 0.6 : 0))),
    s('rect', { class: 'row', x, y: row, width: (chosen.dst + 1) * cell, height: cell }),
    chosen.src === null ? null : s('rect', { class: 'chosen-cell', x: x + chosen.src * cell, y: row, width: cell, height: cell }),
    s('rect', { class: 'frame', x, y: top, width: side, height: side }),
    s('text', { class: 'caption', x, y: top - 5 }, title),
    colourBar(measure, largest, x + side, top - 5, side < 150 ? 3.5 : 6),
    ...labels,
  );
}

/** @param {MapProps} props @returns {HTMLElement} */
export function mapFigure(props) {
  const { cells, tokens, name, under, chosen, width, stacked = false, onCell } = props;
  const n = tokens.length;
  const shown = Math.max(2, ...tokens.map((_, pos) => labelOf(tokens, pos).length));
  const left = shown * LETTER + 10;
  const side = Math.max(40, stacked ? width - left : (width - left - GAP) / 2);
  const cell = side / n;
  const below = shown * LETTER + 22;
  const height = stacked ? 2 * (TOP + side + below) : TOP + side + below;
  const corners = [{ x: left, y: TOP }, stacked ? { x: left, y: 2 * TOP + side + below } : { x: left + side + GAP, y: TOP }];
  const step = every(cell);
  const queries = (/** @type {Corner} */ { y }) =>
    tokens.flatMap((_, pos) => {
      if (pos % step && pos !== chosen.dst) return [];
      if (pos !== chosen.dst && Math.abs(pos - chosen.dst) < step) return [];
      return [s('text', { class: pos === chosen.dst ? 'chosen' : null, x: left - 4, y: y + (pos + 0.5) * cell + 3, 'text-anchor': 'end' }, labelOf(tokens, pos))];
    });
  const cursor = corners.map(() => s('rect', { class: 'cursor', width: Math.max(2, cell), height: Math.max(2, cell), visibility: 'hidden' }));
  const svg = s(
    'svg',
    { class: 'maps', viewBox: `0 0 ${width} ${height}`, width, height, role: 'application', tabindex: '0', 'data-go': 'maps', 'aria-roledescription': 'heat maps', 'aria-label': `Contribution and attention of ${name}: from each token (across) to each token (down). Arrow keys read the cells, Enter selects the edge.` },
    drawOne(props, 'share', corners[0], side),
    drawOne(props, 'attention', corners[1], side),
    ...(stacked ? corners : corners.slice(0, 1)).flatMap(queries),
    s('text', { class: 'axis-name', x: stacked ? left + side / 2 : left + side + GAP / 2, y: height - 3, 'text-anchor': 'middle' }, 'from (source) →'),
    s('text', { class: 'axis-name', x: 0, y: TOP - 5 }, 'to ↓'),
    ...cursor,
  );
  const stored = new Map(cells.map((one) => [`${one.dst} ${one.src}`, one]));
  const words = (/** @type {Place} */ { dst, src }) => {
    const found = stored.get(`${dst} ${src}`);
    return [`${tokenAt(tokens, src)} → ${tokenAt(tokens, dst)}: `, h('b', {}, found ? `share ${exact(found.share)}, attention ${exact(found.attention)}` : under)];
  };
  const rest = chosen.src === null ? ['Point at a cell for its numbers.'] : words({ dst: chosen.dst, src: chosen.src });
  const readout = h('output', { class: 'readout', 'data-testid': 'map-readout' }, ...rest);
  followCell(/** @type {any} */ (svg), {
    cellAt(x, y) {
      const from = (stacked ? y >= corners[1].y - TOP : x >= corners[1].x) ? corners[1] : corners[0];
      const place = { dst: Math.floor((y - from.y) / cell), src: Math.floor((x - from.x) / cell) };
      return place.src >= 0 && place.dst < n && place.src <= place.dst ? place : null;
    },
    step(from, dx, dy) {
      if (!from) return { dst: chosen.dst, src: chosen.src ?? chosen.dst };
      const dst = Math.min(n - 1, Math.max(0, from.dst + dy));
      return { dst, src: Math.min(dst, Math.max(0, from.src + dx)) };
    },
    show(place) {
      cursor.forEach((rect, i) => {
        rect.setAttribute('visibility', place ? 'visible' : 'hidden');
        if (!place) return;
        rect.setAttribute('x', String(corners[i].x + place.src * cell));
        rect.setAttribute('y', String(corners[i].y + place.dst * cell));
      });
      readout.replaceChildren(...(place ? words(place) : rest));
    },
    choose: ({ dst, src }) => onCell(dst, src),
  });
  const table = () => ({
    columns: ['to_pos', 'to_token', 'from_pos', 'from_token', 'share', 'attention'],
    rows: cells.map((one) => [one.dst, tokens[one.dst], one.src, tokens[one.src], one.share, one.attention]),
  });
  const tools = figureTools({ name: `maps-${name}`, svg: () => svg, table, sql: props.sql() });
  const key = h('span', { class: 'map-key' }, h('i', { 'aria-hidden': 'true' }), under);
  return h('figure', { class: 'small-figure' }, h('figcaption', {}, key, h('span', { class: 'space' }), enlargeButton(props), tools), /** @type {any} */ (svg), readout);
}

/** The same maps over the whole window: a cell of sixty tokens is too small for a panel. @param {MapProps} props */
function enlargeButton(props) {
  const open = () => {
    const stacked = window.innerWidth < 700; // on a phone, a map as wide as the window
    const width = stacked ? window.innerWidth - 76 : Math.min(window.innerWidth - 72, 2 * (window.innerHeight - 230) + 80);
    const close = () => dialog.close();
    const choose = (/** @type {number} */ dst, /** @type {number} */ src) => {
      close();
      props.onCell(dst, src);
    };
    const figure = mapFigure({ ...props, stacked, width: Math.max(260, width), onCell: choose });
    figure.querySelector('.enlarge')?.remove();
    const dialog = h('dialog', { class: 'sheet wide', 'aria-label': `Maps of ${props.name}` }, h('div', { class: 'sheet-head' }, h('h2', {}, props.name), h('button', { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: close }, '×')), figure);
    dialog.addEventListener('close', () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  };
  return h('button', { type: 'button', class: 'tool enlarge', 'data-go': 'enlarge', 'data-testid': 'map-enlarge', title: 'Show the maps over the whole window', onclick: open }, 'enlarge');
}
