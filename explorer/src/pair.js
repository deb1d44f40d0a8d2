/**
 * Two prompts compared edge by edge. Pure: both have the same number of tokens, or nothing is aligned.
 *
 * @typedef {import('./routes.js').Route} Route
 * @typedef {import('./routes.js').Graph} Graph
 * @typedef {import('./routes.js').Part} Part
 * @typedef {{ graph: Graph, route: Route }} Side
 * @typedef {{ key: string, layer: number, kind: import('./routes.js').Kind, dst: number, src: number, to: string,
 *   from: string, here: number, there: number, difference: number, only: 'here' | 'there' | null,
 *   heads: { head: number, here: number, there: number }[] }} Change `only`: on one of the two routes
 */

/** @param {{ n_tokens: number }} a @param {{ n_tokens: number }} b */
export const alignable = (a, b) => a.n_tokens === b.n_tokens;

/** Positions where the two prompts' tokens differ. @param {number[]} a @param {number[]} b token ids */
export function differingTokens(a, b) {
  return a.flatMap((id, pos) => (id === b[pos] ? [] : [pos]));
}

/**
 * An edge's share: as drawn where it is on the route; off it the stored share, so that an edge just under the threshold
 * is no large difference. Renormalised shares exist on the route only.
 * @param {Part | undefined} part @param {Route} route
 */
function shareOf(part, route) {
  if (!part) return 0;
  const on = route.edges.get(part.key);
  if (on) return on.shown;
  if (route.mode === 'renormalised') return 0;
  return route.mode === 'summed' || part.kind !== 'attn' ? part.share : part.heads.filter((head) => head.share > route.tau).reduce((sum, head) => sum + head.share, 0);
}

/** @param {Part | undefined} here @param {Part | undefined} there */
function headsOf(here, there) {
  const one = new Map(here?.heads.map((head) => [head.head, head.share]));
  const two = new Map(there?.heads.map((head) => [head.head, head.share]));
  return [...new Set([...one.keys(), ...two.keys()])]
    .map((head) => ({ head, here: one.get(head) ?? 0, there: two.get(head) ?? 0 }))
    .sort((a, b) => Math.abs(b.here - b.there) - Math.abs(a.here - a.there) || a.head - b.head);
}

/**
 * Every edge that is on one of the two routes, largest difference first.
 * @param {Side} here @param {Side} there @returns {Change[]}
 */
export function changesBetween(here, there) {
  const one = new Map(here.graph.parts.map((part) => [part.key, part]));
  const two = new Map(there.graph.parts.map((part) => [part.key, part]));
  const keys = new Set([...here.route.edges.keys(), ...there.route.edges.keys()]);
  const changes = [...keys].map((key) => {
    const [a, b] = [one.get(key), two.get(key)];
    const { layer, kind, dst, src, to, from } = /** @type {Part} */ (a ?? b);
    const [shareHere, shareThere] = [shareOf(a, here.route), shareOf(b, there.route)];
    const [onHere, onThere] = [here.route.edges.has(key), there.route.edges.has(key)];
    const only = /** @type {Change['only']} */ (onHere && onThere ? null : onHere ? 'here' : 'there');
    return { key, layer, kind, dst, src, to, from, here: shareHere, there: shareThere, difference: shareHere - shareThere, only, heads: headsOf(a, b) };
  });
  return changes.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || (a.key < b.key ? -1 : 1));
}

/** Class of a difference on the diverging scale: -3..3, 0 for less than 0.01. @param {number} difference */
export function stepOf(difference) {
  const size = Math.abs(difference);
  return Math.sign(difference) * (size < 0.01 ? 0 : size < 0.05 ? 1 : size < 0.2 ? 2 : 3);
}
