/**
 * Where an arrow key leads on the route. Pure, so that it can be tested without a page.
 *
 * Left and right stay in the row; up and down stay in the column where the route does, else they follow the strongest
 * edge; with Shift, up and down follow the strongest attention edge from or to another token.
 */

import { nodeKey, parseNode } from './routes.js';

/** @typedef {import('./routes.js').Route} Route */
/** @typedef {'left' | 'right' | 'up' | 'down'} Direction */

/** @param {{ layer: number, point: string }} node */
const height = ({ layer, point }) => 2 * layer + (point === 'post' ? 1 : 0);

/** @param {Route} route @param {ReturnType<typeof parseNode>} from @param {number} sign */
function sideways(route, from, sign) {
  let best = null;
  for (const key of route.nodes.keys()) {
    const node = parseNode(key);
    const gap = (node.pos - from.pos) * sign;
    if (height(node) === height(from) && gap > 0 && (best === null || gap < best.gap)) best = { key, gap };
  }
  return best?.key ?? null;
}

/** @param {Route} route @param {ReturnType<typeof parseNode>} from @param {number} sign */
function column(route, from, sign) {
  let best = null;
  for (const key of route.nodes.keys()) {
    const node = parseNode(key);
    const gap = (height(node) - height(from)) * sign;
    if (node.pos === from.pos && gap > 0 && (best === null || gap < best.gap)) best = { key, gap };
  }
  return best?.key ?? null;
}

/** @param {Route} route @param {string} key @param {boolean} up @param {boolean} elsewhere only edges between tokens */
function strongest(route, key, up, elsewhere) {
  let best = null;
  for (const edge of route.edges.values()) {
    if ((up ? edge.from : edge.to) !== key || (elsewhere && edge.src === edge.dst)) continue;
    if (best === null || edge.shown > best.shown) best = edge;
  }
  return best ? (up ? best.to : best.from) : null;
}

/**
 * @param {Route} route
 * @param {string | null} key the node to leave; null starts at the target's last node
 * @param {Direction} direction
 * @param {{ shift?: boolean, nLayers: number }} options
 * @returns {string | null} the node to go to; null when there is none that way
 */
export function step(route, key, direction, { shift = false, nLayers }) {
  if (key === null) return nodeKey(nLayers - 1, 'post', route.target);
  const from = parseNode(key);
  if (direction === 'left') return sideways(route, from, -1);
  if (direction === 'right') return sideways(route, from, 1);
  const up = direction === 'up';
  if (shift) {
    // Attention enters at mid and leaves at post: from the other of the two, look one node further.
    const next = column(route, from, up ? 1 : -1);
    return strongest(route, key, up, true) ?? (next && strongest(route, next, up, true));
  }
  return column(route, from, up ? 1 : -1) ?? strongest(route, key, up, false);
}
