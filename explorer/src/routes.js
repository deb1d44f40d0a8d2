/**
 * Routes from stored edges: the walk of Ferrando & Voita (2024, arXiv 2403.00824) at any threshold, without the model.
 *
 * The graph is acyclic and layered, so one pass from the target downwards gives every node its `reach`: the largest tau
 * at which it is still reached (the widest path). An edge is on the route at tau when min(share, reach of the node it
 * enters) > tau. Moving the threshold is then a filter, exact for every tau at or above the floor.
 *
 * Modes: `summed` compares the sum over heads with tau; `per_head` each head's own share; `renormalised` reaches the
 * same edges as `per_head`, and rescales the parts above tau to sum to 1 at each node.
 *
 * @typedef {'attn' | 'resid_attn' | 'mlp' | 'resid_mlp'} Kind
 * @typedef {'summed' | 'per_head' | 'renormalised'} Mode
 * @typedef {{ layer: number, kind: Kind, dst: number, src: number, head: number, share: number,
 *   attention: number | null }} EdgeRow
 * @typedef {{ head: number, share: number, attention: number | null }} Head
 * @typedef {{ key: string, layer: number, kind: Kind, dst: number, src: number, to: string, from: string,
 *   share: number, heads: Head[] }} Part `share` is summed over all heads; `heads` are the stored ones, largest first
 * @typedef {{ parts: Part[], into: Map<string, Part[]>, outOf: Map<string, Part[]>, order: string[],
 *   parallel: boolean, nLayers: number }} Graph `order` has every entered node once, the top row first
 * @typedef {{ target: number, mode: Mode, nodes: Map<string, number>, edges: Map<string, number> }} Reach
 * @typedef {Part & { shown: number, on: Head[], bottleneck: number }} RouteEdge `shown` is the share in this mode
 * @typedef {{ target: number, mode: Mode, tau: number, nodes: Map<string, number>, kept: Map<string, number>,
 *   edges: Map<string, RouteEdge> }} Route `kept` is the share on the route of each node's whole, before rescaling
 */

export const MODES = /** @type {const} */ (['summed', 'per_head', 'renormalised']);

/** @param {number} layer @param {string} point @param {number} pos */
export function nodeKey(layer, point, pos) {
  return `${layer}.${point}.${pos}`;
}

/** @param {string} key @returns {{ layer: number, point: 'mid' | 'post', pos: number }} */
export function parseNode(key) {
  const [layer, point, pos] = key.split('.');
  return { layer: Number(layer), point: /** @type {'mid' | 'post'} */ (point), pos: Number(pos) };
}

/** @param {{ layer: number, kind: Kind, dst: number, src: number }} edge */
export function edgeKey({ layer, kind, dst, src }) {
  return kind === 'attn' ? `${layer}.attn.${dst}-${src}` : `${layer}.${kind}.${dst}`;
}

/** Height of a node in the stream: larger is nearer to the prediction. @param {string} key */
function row(key) {
  const { layer, point } = parseNode(key);
  return 2 * layer + (point === 'post' ? 1 : 0);
}

/** @param {EdgeRow} edge @param {boolean} parallel */
function ends({ layer, kind, dst, src }, parallel) {
  const beforeMlp = kind === 'mlp' || kind === 'resid_mlp';
  if (parallel) return { to: nodeKey(layer, 'post', dst), from: nodeKey(layer - 1, 'post', src) };
  return beforeMlp
    ? { to: nodeKey(layer, 'post', dst), from: nodeKey(layer, 'mid', src) }
    : { to: nodeKey(layer, 'mid', dst), from: nodeKey(layer - 1, 'post', src) };
}

/** @template K, V @param {Map<K, V[]>} map @param {K} key @param {V} value */
function append(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/**
 * @param {EdgeRow[]} rows of one prompt
 * @param {{ parallel: boolean, nLayers: number }} shape
 * @returns {Graph}
 */
export function buildGraph(rows, { parallel, nLayers }) {
  /** @type {Map<string, Part>} */
  const parts = new Map();
  for (const edge of rows) {
    const key = edgeKey(edge);
    let part = parts.get(key);
    if (!part) {
      const { layer, kind, dst, src } = edge;
      part = { key, layer, kind, dst, src, ...ends(edge, parallel), share: 0, heads: [] };
      parts.set(key, part);
    }
    if (edge.head < 0) part.share = edge.share;
    else part.heads.push({ head: edge.head, share: edge.share, attention: edge.attention });
  }
  const into = new Map();
  const outOf = new Map();
  for (const part of parts.values()) {
    part.heads.sort((a, b) => b.share - a.share || a.head - b.head);
    append(into, part.to, part);
    append(outOf, part.from, part);
  }
  const order = [...into.keys()].sort((a, b) => row(b) - row(a));
  return { parts: [...parts.values()], into, outOf, order, parallel, nLayers };
}

/** What is compared with tau. @param {Part} part @param {Mode} mode */
export function strength(part, mode) {
  if (mode === 'summed' || part.kind !== 'attn') return part.share;
  return part.heads.length ? part.heads[0].share : 0;
}

/**
 * The widest path from a target to every node and edge.
 * @param {Graph} graph @param {number} target @param {Mode} mode
 * @returns {Reach}
 */
export function reachFrom(graph, target, mode) {
  const nodes = new Map([[nodeKey(graph.nLayers - 1, 'post', target), Infinity]]);
  const edges = new Map();
  for (const to of graph.order) {
    const width = nodes.get(to);
    if (width === undefined) continue;
    for (const part of graph.into.get(to) ?? []) {
      const bottleneck = Math.min(width, strength(part, mode));
      edges.set(part.key, bottleneck);
      if (bottleneck > (nodes.get(part.from) ?? 0)) nodes.set(part.from, bottleneck);
    }
  }
  return { target, mode, nodes, edges };
}

/** The share of a part that lies on the route, before rescaling. @param {Part} part @param {Head[]} on @param {Mode} mode */
function shareOn(part, on, mode) {
  if (mode === 'summed' || part.kind !== 'attn') return part.share;
  return on.reduce((sum, head) => sum + head.share, 0);
}

/**
 * The route at a threshold.
 * @param {Graph} graph @param {Reach} reach @param {number} tau
 * @returns {Route}
 */
export function routeAt(graph, reach, tau) {
  const { mode, target } = reach;
  const nodes = new Map([...reach.nodes].filter(([, width]) => width > tau));
  /** @type {Map<string, RouteEdge>} */
  const edges = new Map();
  /** @type {Map<string, number>} */
  const kept = new Map();
  for (const to of graph.order) {
    if (!nodes.has(to)) continue;
    /** @type {RouteEdge[]} */
    const here = [];
    for (const part of graph.into.get(to) ?? []) {
      const bottleneck = reach.edges.get(part.key) ?? 0;
      if (!(bottleneck > tau)) continue;
      const on = part.heads.filter((head) => head.share > tau);
      here.push({ ...part, on, bottleneck, shown: shareOn(part, on, mode) });
    }
    const total = here.reduce((sum, edge) => sum + edge.shown, 0);
    kept.set(to, total);
    for (const edge of here) {
      if (mode === 'renormalised') edge.shown /= total;
      edges.set(edge.key, edge);
    }
  }
  return { target, mode, tau, nodes, kept, edges };
}

/**
 * What the route holds, averaged over its nodes that have parts (the embedding has none).
 * @param {Route} route @param {Map<string, { stored_share: number }>} stored
 */
export function summary(route, stored) {
  let keptSum = 0;
  let storedSum = 0;
  let n = 0;
  for (const key of route.nodes.keys()) {
    if (parseNode(key).layer < 0) continue;
    const kept = Math.min(1, route.kept.get(key) ?? 0);
    keptSum += kept;
    storedSum += Math.max(kept, Math.min(1, stored.get(key)?.stored_share ?? 1));
    n += 1;
  }
  const mean = (/** @type {number} */ sum) => (n ? sum / n : 1);
  return {
    nodes: route.nodes.size,
    edges: route.edges.size,
    kept: mean(keptSum),
    under: Math.max(0, mean(storedSum) - mean(keptSum)),
    unstored: Math.max(0, 1 - mean(storedSum)),
  };
}

/**
 * The shares that the threshold can cut off, from one target: one number per edge (per head where the mode says so).
 * @param {Graph} graph @param {Reach} reach
 */
export function sharesOf(graph, reach) {
  /** @type {number[]} */
  const shares = [];
  for (const part of graph.parts) {
    if (!reach.edges.has(part.key)) continue;
    if (reach.mode === 'summed' || part.kind !== 'attn') shares.push(part.share);
    else shares.push(...part.heads.map((head) => head.share));
  }
  return shares;
}
