/** The prediction, above the target's column: of one size at any zoom, at the edge with an arrow when its node is outside. */

import { attr, s, text } from './dom.js';
import { xOf, yOf } from './layout.js';

const GLYPH = 7.6; // width of a character of it
const ABOVE = 13;

/** @typedef {{ width: number, height: number }} Size */

export function createOutcome() {
  const el = s('text', { class: 'outcome', 'text-anchor': 'middle', 'aria-hidden': 'true' });

  /**
   * @param {string} words @param {import('./layout.js').Layout} layout @param {number} target
   * @param {import('d3-zoom').ZoomTransform} transform @param {Size} room
   */
  function place(words, layout, target, transform, room) {
    const [x, y] = transform.apply([xOf(layout, target), yOf(layout, layout.nLayers - 1, 'post')]);
    const beside = x < 0 ? '←' : x > room.width ? '→' : y < 0 ? '↑' : y > room.height ? '↓' : '';
    text(el, beside === '→' ? `${words} →` : beside ? `${beside} ${words}` : words);
    const half = ((words.length + (beside ? 2 : 0)) * GLYPH) / 2 + 3;
    const left = Math.min(Math.max(half, room.width - half), Math.max(half, x));
    const top = Math.min(room.height - 6, Math.max(12, y - ABOVE));
    attr(el, 'transform', `translate(${Math.round(left)},${Math.round(top)})`);
  }

  return { el, place };
}
