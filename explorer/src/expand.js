/**
 * An opened node: the heads (into mid) or neurons (into post) that carry its edges, as small labelled nodes with the
 * flows through them. Pure: what is listed, where it stands.
 *
 * @typedef {{ head: number, token: string | null, score: number | null }} HeadToken
 * @typedef {{ neuron: number, expert: number, share: number, activation: number, token: string | null,
 *   score: number | null }} NeuronRow
 * @typedef {{ heads: HeadToken[], neurons: NeuronRow[] } | Error | null} Expansion null while it loads
 * @typedef {{ id: string, kind: 'head' | 'neuron' | 'rest', name: string, share: number, token: string | null,
 *   score: number | null, activation: number | null, from: { src: number, share: number }[] }} Chip
 * @typedef {{ key: string, layer: number, pos: number, side: 'left' | 'right', chips: Chip[] }} Opened
 * @typedef {import('./layout.js').Layout} Layout
 * @typedef {import('./routes.js').Route} Route
 */

import { CHIP, MLP_SHIFT, xOf, yOf } from './layout.js';
import { parseNode } from './routes.js';
import { headName, neuronName } from './tabs.js';

export const MOST_CHIPS = 8;

/** The first few, the others as one. @param {Chip[]} chips @param {string} what @returns {Chip[]} */
function fold(chips, what) {
  const sorted = [...chips].sort((a, b) => b.share - a.share);
  if (sorted.length <= MOST_CHIPS) return sorted;
  const rest = sorted.slice(MOST_CHIPS - 1);
  /** @type {Map<number, number>} */
  const from = new Map();
  for (const chip of rest) for (const one of chip.from) from.set(one.src, (from.get(one.src) ?? 0) + one.share);
  const share = rest.reduce((sum, chip) => sum + chip.share, 0);
  const sources = [...from].map(([src, part]) => ({ src, share: part }));
  return [
    ...sorted.slice(0, MOST_CHIPS - 1),
    { id: `rest-${what}`, kind: 'rest', name: `${rest.length} more ${what}`, share, token: null, score: null, activation: null, from: sources },
  ];
}

/** The heads on the route into a node. @param {Route} route @param {string} key @param {Expansion} found @returns {Chip[]} */
export function headsInto(route, key, found) {
  const { layer } = parseNode(key);
  const tokens = found && !(found instanceof Error) ? new Map(found.heads.map((row) => [row.head, row])) : new Map();
  /** @type {Map<number, Chip>} */
  const chips = new Map();
  for (const edge of route.edges.values()) {
    if (edge.to !== key || edge.kind !== 'attn') continue;
    const scale = route.mode === 'renormalised' ? 1 / (route.kept.get(key) ?? 1) : 1;
    for (const one of route.mode === 'summed' ? edge.heads : edge.on) {
      const name = headName(layer, one.head);
      /** @type {Chip} */
      const chip = chips.get(one.head) ?? { id: name, kind: 'head', name, share: 0, token: tokens.get(one.head)?.token ?? null, score: tokens.get(one.head)?.score ?? null, activation: null, from: [] };
      chip.share += one.share * scale;
      chip.from.push({ src: edge.src, share: one.share * scale });
      chips.set(one.head, chip);
    }
  }
  return fold([...chips.values()], 'heads');
}

/** The stored neurons of the MLP into a node, when that edge is on the route. @param {Route} route @param {string} key @param {Expansion} found @returns {Chip[]} */
export function neuronsInto(route, key, found) {
  const { layer, point, pos } = parseNode(key);
  if (point !== 'post' || !route.edges.has(`${layer}.mlp.${pos}`) || !found || found instanceof Error) return [];
  const chips = found.neurons.map((row) => {
    const name = neuronName({ layer, ...row });
    return /** @type {Chip} */ ({ id: name, kind: 'neuron', name, share: row.share, token: row.token, score: row.score, activation: row.activation, from: [{ src: pos, share: row.share }] });
  });
  return fold(chips, 'neurons');
}

/**
 * Everything that is opened and on the route.
 * @param {Route} route @param {string[]} keys @param {(key: string) => Expansion} find @returns {Opened[]}
 */
export function openedOn(route, keys, find) {
  return keys.filter((key) => route.nodes.has(key)).flatMap((key) => {
    const { layer, pos } = parseNode(key);
    const found = find(key);
    const sides = /** @type {Opened[]} */ ([
      { key, layer, pos, side: 'left', chips: headsInto(route, key, found) },
      { key, layer, pos, side: 'right', chips: neuronsInto(route, key, found) },
    ]);
    return sides.filter((one) => one.chips.length);
  });
}

/** What the layout has to make room for. @param {Opened[]} opened @returns {import('./layout.js').Room[]} */
export function roomFor(opened) {
  return opened.map(({ key, side, chips }) => ({
    ...parseNode(key),
    heads: side === 'left' ? chips.length : 0,
    neurons: side === 'right' ? chips.length : 0,
  }));
}

/**
 * Where the stacks of opened nodes begin: each about its node, those beside the same column below one another.
 * @param {Layout} layout @param {Opened[]} opened @param {number} [size] as of `placeChips` @returns {number[]}
 */
export function stacks(layout, opened, size = 1) {
  const step = CHIP.step * size;
  const low = layout.margin.top / 2;
  const high = layout.height - layout.margin.bottom / 2;
  const tops = opened.map(({ key, layer, chips }) => {
    const { point } = parseNode(key);
    const middle = (yOf(layout, layer, point) + rowBefore(layout, layer, point)) / 2;
    return middle - (chips.length * step) / 2;
  });
  for (const place of new Set(opened.map(({ pos, side }) => `${side} ${pos}`))) {
    const here = opened.map((one, i) => ({ one, i })).filter(({ one }) => `${one.side} ${one.pos}` === place).sort((a, b) => tops[a.i] - tops[b.i]);
    const tall = (/** @type {{ one: Opened }} */ { one }) => (one.chips.length + 0.5) * step;
    // Down until none overlaps the one above it, then up until all end inside.
    let from = low;
    for (const each of here) from = (tops[each.i] = Math.max(from, tops[each.i])) + tall(each);
    let to = high;
    for (const each of here.reverse()) to = tops[each.i] = Math.min(to - tall(each), tops[each.i]);
  }
  return tops;
}

/** The row that what an opened node holds reads from. @param {Layout} layout @param {number} layer @param {string} point */
const rowBefore = (layout, layer, point) => (point === 'post' && !layout.parallel ? yOf(layout, layer, 'mid') : yOf(layout, layer - 1, 'post'));

/**
 * Where the chips of an opened node stand: a stack beside its column, over whatever else crosses there.
 * @param {Layout} layout @param {Opened} opened @param {number} [top] of the stack @param {number} [size] of a pixel in the
 *   graph's units: chips keep their size when the graph is zoomed
 * @returns {{ chip: Chip, x: number, y: number, into: string, out: { src: number, share: number, d: string }[] }[]}
 *   `x`, `y` is the middle of the near side; `into` and `out` are paths to the node and from the sources
 */
export function placeChips(layout, opened, top = stacks(layout, [opened])[0], size = 1) {
  const { key, layer, pos, side, chips } = opened;
  const { point } = parseNode(key);
  const [nodeX, nodeY] = [xOf(layout, pos), yOf(layout, layer, point)];
  const before = rowBefore(layout, layer, point);
  const sign = side === 'left' ? -1 : 1;
  const near = nodeX + sign * Math.max(CHIP.gap * 0.8 * size, MLP_SHIFT * layout.dx + 14 * size);
  const far = near + sign * layout.chip * size;
  return chips.map((chip, i) => {
    const y = top + CHIP.step * size * (i + 0.5);
    const into = `M${near},${y}C${near - sign * 14 * size},${y} ${nodeX + sign * 6 * size},${y + (nodeY - y) * 0.7} ${nodeX},${nodeY}`;
    const out = chip.from.map(({ src, share }) => {
      const x = xOf(layout, src);
      // From another token to the far side; from the own column along it to the near side.
      const d = src === pos
        ? `M${x},${before}C${x},${(before + y) / 2} ${near - sign * 14 * size},${y} ${near},${y}`
        : `M${x},${before}C${x + (far - x) * 0.3},${before - (before - y) * 0.3} ${far + sign * 30 * size},${y} ${far},${y}`;
      return { src, share, d };
    });
    return { chip, x: near, y, into, out };
  });
}
