/** What heat maps share: classes of lightness, a cell that the pointer or the arrow keys are on, axis labels that do not collide. */

import { s } from './dom.js';
import { clip, showToken } from './format.js';

const BINS = 8;

/** A class of lightness for a value of a scale that ends at `largest`. @param {number} value @param {number} largest */
export function binFor(value, largest) {
  if (!(largest > 0)) return 0;
  return Math.min(BINS - 1, Math.floor(Math.sqrt(Math.min(1, Math.abs(value) / largest)) * BINS));
}

/**
 * Cells of equal lightness as one path each: a map of thousands of cells stays a handful of elements.
 * @param {{ x: number, y: number, bin: string }[]} cells lower classes first @param {number} width of a cell @param {number} [height]
 * @returns {SVGPathElement[]}
 */
export function cellPaths(cells, width, height = width) {
  /** @type {Map<string, string[]>} */
  const paths = new Map();
  for (const { x, y, bin } of cells) {
    const steps = paths.get(bin) ?? [];
    paths.set(bin, steps);
    steps.push(`M${x.toFixed(2)},${y.toFixed(2)}h${width.toFixed(2)}v${height.toFixed(2)}h${(-width).toFixed(2)}z`);
  }
  return [...paths].map(([bin, steps]) => s('path', { class: `cell ${bin}`, d: steps.join('') }));
}

/** Every how many labels one fits. @param {number} spacing pixels between two @param {number} [need] */
export const every = (spacing, need = 10) => Math.max(1, Math.ceil(need / spacing));

/** A token as an axis shows it. @param {string} token @param {number} length */
export const axisToken = (token, length) => clip(showToken(token), length);

/**
 * A cell follows the pointer and the arrow keys; Enter or a click chooses it.
 * @template T
 * @param {SVGSVGElement} svg
 * @param {{ cellAt: (x: number, y: number) => T | null, step: (from: T | null, dx: number, dy: number) => T | null,
 *   show: (cell: T | null) => void, choose: (cell: T) => void }} options
 *   `cellAt` takes the coordinates of the viewBox; `show` is told null when the pointer or the focus has left
 */
export function followCell(svg, { cellAt, step, show, choose }) {
  /** @type {T | null} */
  let on = null;
  const move = (/** @type {T | null} */ cell) => show((on = cell));
  const under = (/** @type {MouseEvent} */ event) => {
    const box = svg.getBoundingClientRect();
    const view = svg.viewBox.baseVal;
    return cellAt(((event.clientX - box.left) * view.width) / box.width, ((event.clientY - box.top) * view.height) / box.height);
  };
  svg.addEventListener('pointermove', (event) => {
    const cell = under(event);
    svg.classList.toggle('over', cell !== null);
    move(cell);
  });
  svg.addEventListener('pointerleave', () => move(null));
  svg.addEventListener('blur', () => move(null));
  svg.addEventListener('click', (event) => {
    const cell = under(event);
    if (cell !== null) choose(cell);
  });
  svg.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by) move(step(on, by[0], by[1]) ?? on);
    else if (event.key === 'Enter' && on !== null) choose(on);
    else return;
    event.preventDefault(); // the graph's own keys rest meanwhile
    event.stopPropagation();
  });
}
