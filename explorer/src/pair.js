/**
 * Two prompts compared edge by edge. Pure: both have the same number of tokens, or nothing is aligned.
 *
 * In every mode the numbers are stored shares, all heads together: the mode and the threshold decide which edges are on
 * a route, not what they weigh, so that an edge just under the threshold is no large difference.
 *
 * @typedef {import('./routes.js').Route} Route
 * @typedef {import('./routes.js').Graph} Graph
 * @typedef {import('./routes.js').Part} Part
 * @typedef {{ graph: Graph, route: Route }} Side
 * @typedef {number | 'floor' | 'unstored'} Share a number; under the floor; or of a node that is on no stored route, so
 *   that nothing is known of it
 * @typedef {{ key: string, layer: number, kind: import('./routes.js').Kind, dst: number, src: number, to: string,
 *   from: string, here: Share, there: Share, difference: number, exact: boolean, only: 'here' | 'there' | null,
 *   heads: { head: number, here: Share, there: Share, difference: number, exact: boolean }[] }} Change
 *   `difference` counts what has no number as 0, and is then not `exact`; `only`: on one of the two routes
 */

/** @param {{ n_tokens: number }} a @param {{ n_tokens: number }} b */
export const alignable = (a, b) => a.n_tokens === b.n_tokens;

/** Positions where the two prompts' tokens differ. @param {number[]} a @param {number[]} b token ids */
export function differingTokens(a, b) {
  return a.flatMap((id, pos) => (id === b[pos] ? [] : [pos]));
}

/** @param {Share} share */
const size = (share) => (typeof share === 'number' ? share : 0);

/** @param {Share} here @param {Share} there */
const against = (here, there) => ({ here, there, difference: size(here) - size(there), exact: typeof here === 'number' && typeof there === 'number' });

/** What stands in for a share that is not there. @param {Graph} graph @param {string} to the node it would enter @returns {Share} */
const absent = (graph, to) => (graph.into.has(to) ? 'floor' : 'unstored');

/** @param {Part | undefined} here @param {Part | undefined} there @param {[Share, Share]} none */
function headsOf(here, there, none) {
  const one = new Map(here?.heads.map((head) => [head.head, head.share]));
  const two = new Map(there?.heads.map((head) => [head.head, head.share]));
  return [...new Set([...one.keys(), ...two.keys()])]
    .map((head) => ({ head, ...against(one.get(head) ?? none[0], two.get(head) ?? none[1]) }))
    .sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || a.head - b.head);
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
    const none = /** @type {[Share, Share]} */ ([absent(here.graph, to), absent(there.graph, to)]);
    const [onHere, onThere] = [here.route.edges.has(key), there.route.edges.has(key)];
    const only = /** @type {Change['only']} */ (onHere && onThere ? null : onHere ? 'here' : 'there');
    return { key, layer, kind, dst, src, to, from, ...against(a?.share ?? none[0], b?.share ?? none[1]), only, heads: headsOf(a, b, none) };
  });
  return changes.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || (a.key < b.key ? -1 : 1));
}

/** Class of a difference on the diverging scale: -3..3, 0 for less than 0.01. @param {number} difference */
export function stepOf(difference) {
  const size = Math.abs(difference);
  return Math.sign(difference) * (size < 0.01 ? 0 : size < 0.05 ? 1 : size < 0.2 ? 2 : 3);
}

/** From left to right among the edges into one node. @param {Change} change */
const place = ({ src, dst, kind }) => (kind === 'attn' ? src - (src === dst ? 0.25 : 0) : kind === 'mlp' ? dst + 0.25 : dst);

/**
 * Where an arrow key leads: up and down along the edge that changed most, sideways among the edges into the same node.
 * @param {Change[]} changes largest difference first @param {string | null} key @param {import('./steps.js').Direction} direction
 * @returns {string | null} null when there is none that way
 */
export function stepChange(changes, key, direction) {
  const now = changes.find((change) => change.key === key);
  if (!now) return changes[0]?.key ?? null;
  if (direction === 'up') return changes.find((change) => change.from === now.to)?.key ?? null;
  if (direction === 'down') return changes.find((change) => change.to === now.from)?.key ?? null;
  const beside = changes.filter((change) => change.to === now.to).sort((a, b) => place(a) - place(b));
  return beside[beside.indexOf(now) + (direction === 'left' ? -1 : 1)]?.key ?? null;
}
