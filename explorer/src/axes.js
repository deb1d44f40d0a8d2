/**
 * The graph's axes: layers at the left, tokens at the bottom. They stand still while the graph is zoomed and panned
 * beneath them, and leave out or turn labels rather than let them run together.
 */

import { attr, fill, s } from './dom.js';
import { clip, showToken } from './format.js';
import { xOf, yOf } from './layout.js';

/** @typedef {import('./layout.js').Layout} Layout */
/** @typedef {{ k: number, applyX(x: number): number, applyY(y: number): number }} Transform */

export const GUTTER = 46;
const LABEL = 11.5; // font size
const GLYPH = 7; // width of a monospaced character at that size

const LEAN = GLYPH * Math.cos((52 * Math.PI) / 180); // how far left a character of a leaning label goes
const LEANING = 13; // between two leaning labels

/** Height that the token labels take: lying where columns are wide, else leaning. @param {string[]} shown @param {number} gap */
function tokenBand(shown, gap) {
  const longest = Math.max(...shown.map((token) => Math.min(token.length, 12)), 1) * GLYPH;
  return longest + 6 <= gap ? { turn: false, height: 36, width: longest + 6 } : { turn: true, height: Math.min(96, 30 + longest * 0.78), width: 0 };
}

/**
 * Which labels stand far enough from one another: the one that must, then from the left those that have room.
 * @param {number[]} places ascending @param {number} gap @param {number} must
 * @returns {boolean[]}
 */
export function tellApart(places, gap, must) {
  let last = -Infinity;
  return places.map((place, i) => {
    const fits = i === must || (place - last >= gap && (i > must || places[must] - place >= gap));
    if (fits) last = place;
    return fits;
  });
}

export function createAxes() {
  const layers = s('g', { class: 'axis layers', 'aria-hidden': 'true' });
  const tokens = s('g', { class: 'axis tokens', 'aria-hidden': 'true' });
  /** @type {SVGTextElement[]} */
  let tokenLabels = [];
  /** @type {SVGTextElement[]} */
  let layerLabels = [];
  /** @type {{ tokens: string[], layout: Layout, special: boolean[] } | null} */
  let now = null;
  let band = { turn: false, height: 36, width: 0 };

  /** Room that the token axis needs, known before the layout. @param {string[]} texts @param {number} gap */
  function measure(texts, gap) {
    band = tokenBand(texts.map(showToken), gap);
    return band.height;
  }

  /** @param {{ tokens: string[], special: boolean[], layout: Layout }} props */
  function build(props) {
    now = props;
    const { layout } = props;
    layerLabels = Array.from({ length: layout.nLayers + 1 }, (_, i) => s('text', { x: GUTTER - 10, 'text-anchor': 'end' }, i ? `L${i - 1}` : 'emb'));
    fill(layers, s('title', {}, 'Layers, the embedding lowest'), ...layerLabels);
    tokenLabels = props.tokens.map((token, pos) => {
      const full = showToken(token);
      // A label that leans to the left of its column must not run out of the window there.
      const room = band.turn ? (GUTTER + layout.xs[pos] - 26) / LEAN : 12;
      return s(
        'text',
        { class: props.special[pos] ? 'special' : null, 'data-pos': pos },
        s('title', {}, `${full}, position ${pos}`),
        s('tspan', { class: 'word' }, clip(full, Math.max(2, Math.min(12, Math.floor(room))))),
        s('tspan', { class: 'pos', dx: 4 }, String(pos)),
      );
    });
    fill(tokens, ...tokenLabels);
  }

  /** @param {Transform} transform @param {{ width: number, height: number }} plot @param {number} target */
  function place(transform, plot, target) {
    if (!now) return;
    const { layout } = now;
    const stepY = Math.max(1, Math.ceil(14 / (layout.dy * transform.k)));
    layerLabels.forEach((label, i) => {
      const base = i ? yOf(layout, i - 1, 'post') + layout.dy * 0.29 : yOf(layout, -1, 'post');
      const y = transform.applyY(base);
      const crowded = i === 0 ? layout.dy * 0.25 * transform.k < 6 : (i - 1) % stepY !== 0;
      attr(label, 'visibility', y < 4 || y > plot.height - 2 || crowded ? 'hidden' : null);
      attr(label, 'y', Math.round((y + 4) * 10) / 10);
    });
    const shown = tellApart(layout.xs.map((x) => x * transform.k), band.turn ? LEANING : band.width, target);
    tokenLabels.forEach((label, pos) => {
      const x = GUTTER + transform.applyX(xOf(layout, pos));
      const outside = x < GUTTER - 2 || x > GUTTER + plot.width + 2;
      attr(label, 'visibility', outside || !shown[pos] ? 'hidden' : null);
      const y = plot.height + 18;
      const lean = band.turn ? `translate(${x.toFixed(1)},${y - 2}) rotate(-52)` : `translate(${x.toFixed(1)},${y})`;
      attr(label, 'transform', lean);
      attr(label, 'text-anchor', band.turn ? 'end' : 'middle');
      label.classList.toggle('target', pos === target);
    });
  }

  return { layers, tokens, measure, build, place, fontSize: LABEL };
}
