/**
 * How large marks are on the screen: by the room between columns and rows there, so that a crowded graph has small nodes
 * and thin edges. Zooming sets things apart rather than magnify them: what has its full size keeps it, what is smaller for
 * want of room grows until it has.
 */

/** @typedef {Pick<import('./layout.js').Layout, 'dx' | 'dy'>} Spacing */

export const BINS = 8;

/** @param {number} value @param {number} low @param {number} high */
const within = (value, low, high) => Math.min(high, Math.max(low, value));

/** Lightness by share, in a few classes so that a theme can colour them. @param {number} share */
export function binOf(share) {
  return Math.min(BINS - 1, Math.floor(Math.sqrt(Math.max(0, share)) * BINS));
}

/** Width of an edge where there is room. @param {number} share */
export function widthOf(share) {
  return Math.round((0.9 + 5.6 * Math.max(0, share) ** 0.75) * 10) / 10;
}

/** How thick lines are against their full width: thinner where columns or rows stand close. @param {Spacing} layout @param {number} k magnification */
export const scaleOf = ({ dx, dy }, k) => within((Math.min(dx, dy) * k) / 44, 0.4, 1);

/** Radius of a node in pixels. @param {Spacing} layout @param {number} k magnification */
export const radiusOf = ({ dx, dy }, k) => within(Math.min(dx * 0.19, dy * 0.13) * k, 1.5, 5);

/** Side of an MLP's square in pixels. @param {Spacing} layout @param {number} k magnification */
export const sideOf = ({ dx, dy }, k) => within(Math.min(dx * 0.3, dy * 0.2) * k, 3, 11);
