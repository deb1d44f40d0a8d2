/** The marks of the map: colour by cluster, shape by group. Marks that look alike are one path, so that thousands stay a handful of elements. */

import { s } from './dom.js';

export const COLOURS = 12;

/** Outlines around a place. @type {((x: number, y: number, r: number) => string)[]} */
const SHAPES = [
  (x, y, r) => `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`,
  (x, y, r) => `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (x, y, r) => `M${x},${y - 1.3 * r}l${1.25 * r},${2.2 * r}h${-2.5 * r}z`,
  (x, y, r) => `M${x},${y - 1.4 * r}l${1.4 * r},${1.4 * r}l${-1.4 * r},${1.4 * r}l${-1.4 * r},${-1.4 * r}z`,
  (x, y, r) => `M${x},${y + 1.3 * r}l${1.25 * r},${-2.2 * r}h${-2.5 * r}z`,
  (x, y, r) => `M${x - 1.3 * r},${y - 0.45 * r}h${0.85 * r}v${-0.85 * r}h${0.9 * r}v${0.85 * r}h${0.85 * r}v${0.9 * r}h${-0.85 * r}v${0.85 * r}h${-0.9 * r}v${-0.85 * r}h${-0.85 * r}z`,
  (x, y, r) => `M${x - 1.4 * r},${y - 0.55 * r}h${2.8 * r}v${1.1 * r}h${-2.8 * r}z`,
  (x, y, r) => `M${x - 0.55 * r},${y - 1.4 * r}h${1.1 * r}v${2.8 * r}h${-1.1 * r}z`,
];
export const SHAPE_COUNT = SHAPES.length;

/** @param {number} n points */
export const radiusFor = (n) => (n > 10_000 ? 1.4 : n > 2500 ? 2 : n > 500 ? 3 : 4);

/** @param {number} shape @param {number} x @param {number} y @param {number} r */
const outline = (shape, x, y, r) => SHAPES[shape % SHAPE_COUNT](Number(x.toFixed(1)), Number(y.toFixed(1)), r);

/**
 * @typedef {{ x: number, y: number, colour: number, shape: number, dim: boolean }} Mark in pixels
 * @param {Mark[]} marks @param {number} r @returns {SVGPathElement[]} what is dim lies below
 */
export function markPaths(marks, r) {
  /** @type {Map<string, string[]>} */
  const paths = new Map();
  for (const { x, y, colour, shape, dim } of [...marks].sort((a, b) => Number(b.dim) - Number(a.dim))) {
    const look = `map-mark k${colour % COLOURS}${dim ? ' dim' : ''}`;
    const lines = paths.get(look) ?? [];
    paths.set(look, lines);
    lines.push(outline(shape, x, y, r));
  }
  return [...paths].map(([look, lines]) => s('path', { class: look, d: lines.join('') }));
}

/** A mark for a legend. @param {{ colour?: number, shape?: number }} look */
export function legendMark({ colour, shape = 0 }) {
  const mark = s('path', { class: colour === undefined ? 'map-mark plain' : `map-mark k${colour % COLOURS}`, d: outline(shape, 7, 7, 4.2) });
  return s('svg', { class: 'legend-mark', width: 14, height: 14, 'aria-hidden': 'true' }, mark);
}
