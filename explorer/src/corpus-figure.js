/**
 * Layers by heads as a heat map, the MLPs and the whole attention blocks as strips beside it. Each of the three has its own
 * scale of colours, because an MLP carries many times what a head does. Arrow keys and the pointer read the cells.
 */

import { componentName } from './component-names.js';
import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { binFor, cellPaths, every, followCell } from './heat.js';
import { written } from './interval.js';
import { signedShare } from './signed.js';
import { MEASURES, PART_WORDS } from './measures.js';

const LEFT = 34;
const TOP = 22;
const BELOW = 20;
const GAP = 14;
const STEPS = 8;
const GLYPH = 6.3; // width of a number's character in a cell
const TALLEST = 44;
const WIDEST = 92;

/**
 * @typedef {import('./rows.js').Row} Row a row of `corpus_parts.sql`
 * @typedef {{ component: string, from: number, columns: number, cell: number }} Strip `from` is its left end; `columns` cells of `cell` pixels
 * @typedef {{ strip: Strip, layer: number, index: number }} Place
 * @typedef {{ rows: Row[], nLayers: number, nHeads: number, measure: string, column?: string, words: (row: Row) => (Node | string)[],
 *   rest: (Node | string)[],
 *   width: number, onChoose: (row: Row) => void, title: string, sql: HTMLAnchorElement }} HeatProps
 *   `column` holds a difference of the measure instead of the measure itself; `words` say all that is known of a row, `rest` what is said while none is looked at
 */

/** @param {HeatProps} props @returns {Strip[]} */
function stripsOf({ nHeads, width }) {
  const cell = Math.min(WIDEST, (width - LEFT - 2 * GAP) / (nHeads + 2.4));
  const narrow = Math.min(WIDEST, Math.max(cell, 30));
  const wide = Math.min(cell, (width - LEFT - 2 * GAP - 2 * narrow) / nHeads);
  const heads = { component: 'head', from: LEFT, columns: nHeads, cell: wide };
  const mlps = { component: 'mlp', from: LEFT + wide * nHeads + GAP, columns: 1, cell: narrow };
  return [heads, mlps, { component: 'attn', from: mlps.from + narrow + GAP, columns: 1, cell: narrow }];
}

/** The class that colours a cell. @param {string} component @param {boolean} isSigned @param {number} value @param {number} largest */
function colour(component, isSigned, value, largest) {
  const bin = `b${binFor(value, largest)}`;
  if (isSigned) return `effect ${value < 0 ? 'minus' : 'plus'} ${bin}`;
  return `${component === 'mlp' ? 'mlp-share' : 'share'} ${bin}`;
}

/** @param {HeatProps} props @returns {HTMLElement} */
export function corpusFigure(props) {
  const { rows, nLayers, nHeads, measure, column = measure, words, rest, onChoose, title, sql } = props;
  const isSigned = MEASURES[measure].signed || column !== measure;
  const show = (/** @type {number | null} */ value) => (column === measure ? written(measure, value) : signedShare(value));
  const strips = stripsOf(props);
  const tall = Math.max(9, Math.min(TALLEST, strips[0].cell, 560 / nLayers));
  const width = Math.ceil(strips[2].from + strips[2].cell + 2);
  const height = TOP + tall * nLayers + BELOW;
  const top = (/** @type {number} */ layer) => TOP + (nLayers - 1 - layer) * tall;
  const known = new Map(rows.map((row) => [`${row.component} ${row.layer} ${row.index}`, row]));
  const at = (/** @type {Place} */ { strip, layer, index }) => known.get(`${strip.component} ${layer} ${index}`);

  /** @param {Strip} strip */
  function drawStrip(strip) {
    const own = rows.filter((row) => row.component === strip.component && row[column] !== null);
    const largest = own.reduce((most, row) => Math.max(most, Math.abs(row[column])), 0);
    const gap = tall > 12 && strip.cell > 12 ? 1.5 : 0.5;
    const cells = own.map((row) => ({ x: strip.from + row.index * strip.cell, y: top(row.layer), bin: colour(strip.component, isSigned, row[column], largest) }));
    const longest = own.reduce((most, row) => Math.max(most, show(row[column]).length), 0);
    const roomy = strip.cell >= Math.max(40, longest * GLYPH + 4) && tall >= 18;
    return s(
      'g',
      { 'data-testid': `heat-${strip.component}`, 'data-largest': largest },
      s('rect', { class: 'ground', x: strip.from, y: TOP, width: strip.cell * strip.columns - gap, height: tall * nLayers - gap }),
      ...cellPaths(cells, strip.cell - gap, tall - gap),
      ...(roomy ? own.map((row) => s('text', { class: `in-cell${binFor(row[column], largest) > 4 ? ' deep' : ''}`, x: strip.from + (row.index + 0.5) * strip.cell, y: top(row.layer) + tall / 2 + 3.5, 'text-anchor': 'middle' }, show(row[column]))) : []),
      s('text', { class: 'caption', x: strip.from, y: TOP - 7 }, { head: 'heads', mlp: 'MLP', attn: strip.cell < 60 ? 'attn' : 'attention' }[strip.component]),
    );
  }

  const stepX = every(strips[0].cell, 22);
  const stepY = every(tall, 12);
  const cursor = s('rect', { class: 'cursor', visibility: 'hidden' });
  const svg = s(
    'svg',
    { class: 'corpus-heat', viewBox: `0 0 ${width} ${height}`, width, height, role: 'application', tabindex: '0', 'data-go': 'heat', 'data-testid': 'heat', 'aria-roledescription': 'heat map', 'aria-label': `${title}. Layers upwards, heads across, then the MLPs and the attention blocks. Arrow keys read the cells, Enter opens one.` },
    ...strips.map(drawStrip),
    ...Array.from({ length: nLayers }, (_, layer) => (layer % stepY ? null : s('text', { x: LEFT - 6, y: top(layer) + tall / 2 + 3.5, 'text-anchor': 'end' }, `L${layer}`))),
    ...Array.from({ length: nHeads }, (_, head) => (head % stepX ? null : s('text', { x: LEFT + (head + 0.5) * strips[0].cell, y: height - 6, 'text-anchor': 'middle' }, `H${head}`))),
    cursor,
  );
  const readout = h('output', { class: 'readout', 'data-testid': 'heat-readout' }, ...rest);
  followCell(/** @type {any} */ (svg), {
    /** @returns {Place | null} */
    cellAt(x, y) {
      const strip = strips.find(({ from, columns, cell }) => x >= from && x < from + columns * cell);
      const layer = nLayers - 1 - Math.floor((y - TOP) / tall);
      return strip && layer >= 0 && layer < nLayers ? { strip, layer, index: Math.floor((x - strip.from) / strip.cell) } : null;
    },
    step(from, dx, dy) {
      if (!from) return { strip: strips[0], layer: nLayers - 1, index: 0 };
      const layer = Math.min(nLayers - 1, Math.max(0, from.layer - dy));
      const column = (from.strip.component === 'head' ? from.index : from.strip.component === 'mlp' ? nHeads : nHeads + 1) + dx;
      const inside = Math.min(nHeads + 1, Math.max(0, column));
      return { strip: strips[Math.max(0, inside - nHeads + 1)], layer, index: inside < nHeads ? inside : 0 };
    },
    show(place) {
      cursor.setAttribute('visibility', place ? 'visible' : 'hidden');
      const row = place && at(place);
      if (place) {
        const { strip, layer, index } = place;
        for (const [name, value] of Object.entries({ x: strip.from + index * strip.cell, y: top(layer), width: strip.cell - 1, height: tall - 1 })) cursor.setAttribute(name, String(value));
      }
      readout.replaceChildren(...(row ? words(row) : place ? [`${componentName({ component: place.strip.component, layer: place.layer, expert: -1, index: place.index })}: nothing is stored.`] : rest));
    },
    choose(place) {
      const row = at(place);
      if (row) onChoose(row);
    },
  });
  const table = () => ({
    columns: ['component', 'layer', 'index', column, `${column}_low`, `${column}_high`, 'n'],
    rows: rows.map((row) => [row.component, row.layer, row.index, row[column], row[`${column}_low`] ?? null, row[`${column}_high`] ?? null, row[column === measure ? MEASURES[measure].of : 'n']]),
  });
  return h(
    'figure',
    { class: 'small-figure', style: `max-inline-size: max(${width}px, 560px)` },
    h('figcaption', {}, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name: `corpus-${column}`, svg: () => /** @type {any} */ (svg), table, title: () => title, sql })),
    /** @type {any} */ (svg),
    h('p', { class: 'scales' }, ...strips.map((strip) => scaleKey(rows, strip.component, column, isSigned, show))),
    readout,
  );
}

/** A scale of colours from 0 to the largest. @param {Row[]} rows @param {string} component @param {string} column @param {boolean} isSigned @param {(value: number) => string} show */
function scaleKey(rows, component, column, isSigned, show) {
  const largest = rows.reduce((most, row) => (row.component === component && row[column] !== null ? Math.max(most, Math.abs(row[column])) : most), 0);
  const swatch = (/** @type {number} */ value) => s('rect', { class: `cell ${colour(component, isSigned, value, largest)}`, width: 9, height: 9 });
  const square = (/** @type {number} */ share) => (share * Math.abs(share)) * largest * 1.0001; // colours go by the square root
  const values = isSigned ? [-0.9, -0.55, -0.2, 0.2, 0.55, 0.9].map(square) : Array.from({ length: STEPS }, (_, i) => square((i + 0.5) / STEPS));
  const bar = s('svg', { class: 'scale-bar', width: values.length * 9, height: 9, 'aria-hidden': 'true' }, ...values.map((value, i) => s('g', { transform: `translate(${i * 9},0)` }, swatch(value))));
  return h('span', { class: 'scale-key' }, `${PART_WORDS[/** @type {import('./measures.js').Part} */ (component)]} `, isSigned ? show(-largest) : '0', ' ', /** @type {any} */ (bar), ' ', show(largest));
}
