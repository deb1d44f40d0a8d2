/**
 * Where a key leads on the route. Pure, so that it can be tested without a page.
 *
 * From a node, left and right stay in the row; up and down stay in the column where the route does, else they follow the
 * strongest edge; with Shift, up and down follow the strongest attention edge from or to another token. Enter goes onto
 * the strongest edge into a node. From an edge, left and right go to the stronger and the weaker of those into the same
 * node, up and down to its ends, Enter onto the strongest edge into the node that it comes from.
 */

import { nodeKey, parseNode } from './routes.js';

/** @typedef {import('./routes.js').Route} Route */
/** @typedef {import('./routes.js').RouteEdge} RouteEdge */
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

/** Edges into a node, the strongest first. @param {Route} route @param {string} key @param {(edge: RouteEdge) => boolean} shown */
function edgesInto(route, key, shown) {
  return [...route.edges.values()].filter((edge) => edge.to === key && shown(edge)).sort((a, b) => b.shown - a.shown);
}

/**
 * The next edge along the flow: the strongest into a node, or into the node that an edge comes from.
 * @param {Route} route @param {{ to: string, from: string } | string} from an edge or a node
 * @param {(edge: RouteEdge) => boolean} shown @returns {RouteEdge | null}
 */
export function follow(route, from, shown) {
  return edgesInto(route, typeof from === 'string' ? from : from.from, shown)[0] ?? null;
}

/**
 * @param {Route} route @param {{ key: string, to: string, from: string, share: number }} edge that is selected, on the route or not
 * @param {Direction} direction @param {(edge: RouteEdge) => boolean} shown
 * @returns {RouteEdge | string | null} an edge, or a node's key
 */
export function stepFromEdge(route, edge, direction, shown) {
  if (direction === 'up') return edge.to;
  if (direction === 'down') return edge.from;
  const others = edgesInto(route, edge.to, shown);
  const at = others.findIndex((one) => one.key === edge.key);
  // One that is off the route stands after those that are on it.
  return others[(at < 0 ? others.length : at) + (direction === 'left' ? -1 : 1)] ?? null;
}
