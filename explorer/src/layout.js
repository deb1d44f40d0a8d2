/**
 * Where things stand: tokens to the right, layers upwards. Pure geometry in the graph's own units (pixels at zoom 1).
 *
 * @typedef {{ columns: number, nLayers: number, parallel: boolean, dx: number, dy: number, width: number, height: number,
 *   chip: number, margin: { x: number, top: number, bottom: number }, xs: number[], mids: number[], posts: number[] }} Layout
 *   `posts[layer + 1]` is a row's height, `chip` the width of the small nodes
 * @typedef {{ layer: number, point: 'mid' | 'post', pos: number, heads: number, neurons: number }} Room how many small
 *   nodes an opened node needs room for
 * @typedef {[number, number, number, number, number, number, number, number]} Cubic start, two handles, end
 */

// Least and most room of a column and of a layer: the whole always fits a window, down to where nodes would touch.
const SPACING = { dx: [3, 118], dy: [7, 220] };
const TOP = 30;
const BOTTOM = 14;
const MID = 0.54; // height of the node after attention within its layer
/** The small labelled nodes that a node opens into, in pixels whatever the zoom; narrower in a narrow window. */
export const CHIP = { width: 156, narrow: 124, height: 18, step: 21, gap: 34 };
const NARROW = 560;
export const MLP_SHIFT = 0.27; // the square stands this part of a column to the right

/** @param {number} value @param {number[]} range */
const within = (value, [low, high]) => Math.min(high, Math.max(low, value));
/** @param {number[]} values */
const sum = (values) => values.reduce((total, value) => total + value, 0);

/**
 * Spreads the grid over the room there is, in each direction by itself. Opened nodes widen their column (heads at the
 * left, neurons at the right); layers keep their heights, unless a column's small nodes need more than all of them.
 * @param {{ nTokens: number, nLayers: number, parallel: boolean, width: number, height: number, opened?: Room[] }} room
 * @returns {Layout}
 */
export function layoutFor({ nTokens, nLayers, parallel, width, height, opened = [] }) {
  const columns = Math.max(1, nTokens);
  const zeros = (/** @type {number} */ n) => /** @type {number[]} */ (Array(n).fill(0));
  const chip = width < NARROW ? CHIP.narrow : CHIP.width;
  const [heads, neurons] = [zeros(columns), zeros(columns)]; // small nodes beside each column
  for (const one of opened) {
    if (one.heads) heads[one.pos] += one.heads + 0.5;
    if (one.neurons) neurons[one.pos] += one.neurons + 0.5;
  }
  const [left, right] = [heads, neurons].map((side) => side.map((n) => (n ? chip + CHIP.gap : 0)));
  const margin = { x: within(width * 0.04, [12, 36]), top: TOP, bottom: BOTTOM };
  const dx = within((width - 2 * margin.x - sum(left) - sum(right)) / Math.max(1, columns - 1 + MLP_SHIFT), SPACING.dx);
  const least = (Math.max(...heads, ...neurons) * CHIP.step) / nLayers;
  const dy = Math.max(least, within((height - margin.top - margin.bottom) / nLayers, SPACING.dy));
  const xs = zeros(columns);
  for (let pos = 0; pos < columns; pos += 1) xs[pos] = pos === 0 ? margin.x + left[0] : xs[pos - 1] + right[pos - 1] + left[pos] + dx;
  const posts = Array.from({ length: nLayers + 1 }, (_, i) => i * dy);
  return {
    columns,
    nLayers,
    parallel,
    dx,
    dy,
    chip,
    margin,
    width: xs[columns - 1] + right[columns - 1] + MLP_SHIFT * dx + margin.x,
    height: margin.top + margin.bottom + nLayers * dy,
    xs,
    mids: posts.slice(0, nLayers).map((y) => y + MID * dy),
    posts,
  };
}

/** @param {Layout} layout @param {number} pos */
export function xOf(layout, pos) {
  return layout.xs[pos];
}

/** @param {Layout} layout @param {number} layer @param {string} point */
export function yOf(layout, layer, point) {
  return layout.margin.top + layout.posts[layout.nLayers] - (point === 'mid' ? layout.mids[layer] : layout.posts[layer + 1]);
}

/** The column nearest to a place. @param {Layout} layout @param {number} x */
export function columnAt({ xs }, x) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] > x) high = middle;
    else low = middle;
  }
  return x - xs[low] <= xs[high] - x ? low : high;
}

/** The square of an MLP, between the nodes it reads and writes. @param {Layout} layout @param {number} layer @param {number} pos */
export function mlpAt(layout, layer, pos) {
  const low = layout.parallel ? yOf(layout, layer - 1, 'post') : yOf(layout, layer, 'mid');
  return { x: xOf(layout, pos) + MLP_SHIFT * layout.dx, y: (low + yOf(layout, layer, 'post')) / 2 };
}

/** Every row of nodes, from the embedding up. @param {{ nLayers: number, parallel: boolean }} shape */
export function rowsOf({ nLayers, parallel }) {
  /** @type {{ layer: number, point: 'mid' | 'post' }[]} */
  const rows = [{ layer: -1, point: 'post' }];
  for (let layer = 0; layer < nLayers; layer += 1) {
    if (!parallel) rows.push({ layer, point: 'mid' });
    rows.push({ layer, point: 'post' });
  }
  return rows;
}

/**
 * The curves of an edge, from its source to the node it enters.
 * @param {Layout} layout @param {Pick<import('./routes.js').Part, 'layer' | 'kind' | 'dst' | 'src'>} edge
 * @returns {Cubic[]}
 */
export function curvesOf(layout, edge) {
  const { layer, kind, dst, src } = edge;
  const afterMlp = layout.parallel || kind === 'mlp' || kind === 'resid_mlp';
  const fromMid = !layout.parallel && (kind === 'mlp' || kind === 'resid_mlp');
  const x0 = xOf(layout, src);
  const y0 = fromMid ? yOf(layout, layer, 'mid') : yOf(layout, layer - 1, 'post');
  const x1 = xOf(layout, dst);
  const y1 = yOf(layout, layer, afterMlp ? 'post' : 'mid');
  const h = y0 - y1;
  if (kind === 'mlp') {
    const { x, y } = mlpAt(layout, layer, dst);
    return [
      [x0, y0, x0, y0 - h * 0.25, x, y + h * 0.3, x, y],
      [x, y, x, y - h * 0.3, x1, y1 + h * 0.25, x1, y1],
    ];
  }
  if (kind === 'attn' && src === dst) {
    const bow = x0 - 0.3 * layout.dx; // beside the residual, on the side away from the MLP
    return [[x0, y0, bow, y0 - h * 0.25, bow, y1 + h * 0.25, x1, y1]];
  }
  const d = x1 - x0; // nearly straight, so that edges into one node can be told apart
  if (kind === 'attn') return [[x0, y0, x0 + d * 0.25, y0 - h * 0.4, x1 - d * 0.25, y1 + h * 0.4, x1, y1]];
  return [[x0, y0, x0, y0 - h / 3, x1, y1 + h / 3, x1, y1]];
}

/** @param {Cubic[]} curves */
export function pathOf(curves) {
  const n = (/** @type {number} */ value) => Math.round(value * 10) / 10;
  return curves
    .map(([x0, y0, ...rest]) => `M${n(x0)},${n(y0)}C${rest.map(n).join(',')}`)
    .join('');
}

/** @param {Cubic} curve @param {number} t 0..1 @returns {[number, number]} */
function pointOn([x0, y0, x1, y1, x2, y2, x3, y3], t) {
  const u = 1 - t;
  const [a, b, c, d] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
  return [a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3];
}

/**
 * A polyline along the curves, for finding the edge under the pointer.
 * @param {Cubic[]} curves
 * @returns {Float32Array} x, y, x, y, ...
 */
export function polyline(curves, steps = 10) {
  const points = curves.flatMap((curve) =>
    Array.from({ length: steps + 1 }, (_, i) => pointOn(curve, i / steps)).flat(),
  );
  return Float32Array.from(points);
}

/**
 * Distance from a point to a polyline.
 * @param {Float32Array} line @param {number} x @param {number} y
 */
export function distanceTo(line, x, y) {
  let best = Infinity;
  for (let i = 0; i + 3 < line.length; i += 2) {
    const [ax, ay, bx, by] = [line[i], line[i + 1], line[i + 2], line[i + 3]];
    const [vx, vy] = [bx - ax, by - ay];
    const length = vx * vx + vy * vy;
    const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * vx + (y - ay) * vy) / length));
    const d = (ax + t * vx - x) ** 2 + (ay + t * vy - y) ** 2;
    if (d < best) best = d;
  }
  return Math.sqrt(best);
}
