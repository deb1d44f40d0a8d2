/**
 * What stands behind the route: bands of layers, dots where nodes could be, the strongest of the stored edges. Nothing
 * here depends on the threshold, so that moving it redraws none of this.
 */

import { attr, fill, s } from './dom.js';
import { curvesOf, pathOf, rowsOf, xOf, yOf } from './layout.js';

/** @typedef {import('./layout.js').Layout} Layout */
/** @typedef {import('./routes.js').Part} Part */

const COLUMN_ROOM = { dx: 15, dy: 22 }; // where columns or layers stand closer, edges within a column would only fill it
const DOT_ROOM = 7;
const PER_PIXEL = 0.6; // edges between tokens, a layer, for each pixel of its height: more would merge into a band where columns are narrow
const FEWEST = 6;
const MOST = 3000;
const CALM = 1500; // stored edges up to which all of it moves at once

/**
 * The stored edges that can be told apart at the room there is, the strongest first.
 * @param {Part[]} parts @param {Layout} layout @returns {Part[]}
 */
export function tellable(parts, layout) {
  const inColumns = layout.dx >= COLUMN_ROOM.dx && layout.dy >= COLUMN_ROOM.dy;
  const most = Math.max(FEWEST, Math.round(layout.dy * PER_PIXEL * Math.max(1, layout.dx / COLUMN_ROOM.dx)));
  const drawn = Array(layout.nLayers).fill(0);
  return [...parts]
    .sort((a, b) => b.share - a.share)
    .filter((part) => (part.src === part.dst ? inColumns : (drawn[part.layer] += 1) <= most))
    .slice(0, MOST);
}

export function createBackground() {
  const bands = s('g', { class: 'bands', 'aria-hidden': 'true' });
  const column = s('path', { class: 'column', 'aria-hidden': 'true' });
  const dots = s('path', { class: 'dots', 'aria-hidden': 'true' });
  const faint = s('path', { class: 'faint', 'aria-hidden': 'true' });
  let drawnFor = '';
  let count = { drawn: 0, of: 0 };

  /** @param {Layout} layout */
  function lay(layout) {
    const { nLayers, columns, width, dy, dx } = layout;
    fill(bands, ...Array.from({ length: nLayers }, (_, layer) => s('rect', {
      class: layer % 2 ? 'odd' : 'even',
      x: 0,
      width,
      y: yOf(layout, layer, 'post') - dy * 0.21,
      height: yOf(layout, layer - 1, 'post') - yOf(layout, layer, 'post'),
    })));
    // Where they would run into lines, every second or third is enough to see the grid.
    const step = Math.max(1, Math.ceil(DOT_ROOM / dx));
    const rows = rowsOf(layout).filter(({ point }) => point === 'post' || dy / 2 >= DOT_ROOM);
    const places = Array.from({ length: columns }, (_, pos) => pos).filter((pos) => pos % step === 0);
    attr(dots, 'd', rows.flatMap(({ layer, point }) => places.map((pos) => `M${xOf(layout, pos).toFixed(1)},${yOf(layout, layer, point).toFixed(1)}h0`)).join(''));
    drawnFor = '';
  }

  /** @param {Layout} layout @param {number} target whose column is marked */
  function mark(layout, target) {
    const x = xOf(layout, target);
    attr(column, 'd', `M${x},${yOf(layout, layout.nLayers - 1, 'post')}V${yOf(layout, -1, 'post')}`);
  }

  /** @param {Layout} layout @param {() => Part[]} find stored edges of the kinds that are shown @param {boolean} shown @param {string} look changes when these do */
  function drawFaint(layout, find, shown, look) {
    if (look === drawnFor) return;
    drawnFor = look;
    const parts = find();
    const some = shown ? tellable(parts, layout) : [];
    count = { drawn: some.length, of: parts.length };
    attr(faint, 'd', some.length ? some.map((part) => pathOf(curvesOf(layout, part))).join('') : null);
  }

  /** While a crowded graph moves, faint edges are the most to draw and the least to see. @param {boolean} on */
  function moving(on) {
    attr(faint, 'visibility', on && count.of > CALM ? 'hidden' : null);
  }

  return { layers: [bands, column, faint, dots], moving, lay, mark, drawFaint, count: () => count };
}
