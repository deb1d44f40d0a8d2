/**
 * The difference of two routes on one graph: blue where this prompt has more, orange where the other has. It spreads
 * over the room there is; lines and labels keep their size, and the axes stay in view while it is scrolled.
 */

import { nodeName, tokenAt } from './describe.js';
import { attr, fill, h, perFrame, s } from './dom.js';
import { clip, showToken } from './format.js';
import { every } from './heat.js';
import { curvesOf, distanceTo, layoutFor, mlpAt, pathOf, polyline, rowsOf, xOf, yOf } from './layout.js';
import { stepOf } from './pair.js';
import { changePreview, changeWords } from './pair-words.js';
import { nodeKey } from './routes.js';

/** @typedef {import('./pair.js').Change} Change */
/** @typedef {import('./layout.js').Layout} Layout */
/**
 * @typedef {{ changes: Change[], tokens: string[], others: string[], nodes: { here: Set<string>, there: Set<string> },
 *   nLayers: number, parallel: boolean, selection: string | null, names: [string, string], floor: number,
 *   index: import('./data.js').RunIndex, room: { width: number, height: number }, zoom: number }} PairGraphProps
 *   `others` are the tokens of the other prompt, `names` what the two are called; at `zoom` 1 the whole is in the room
 */

const LEFT = 40;
const RIGHT = 10;
const BELOW = 92;
const DRAWN = 2500;
const SLACK = 9; // pixels around an edge that still mean it
const LETTERS = 9;

/** The layout over exactly this room: no spacing is kept, so that the whole is in view. @param {Layout} layout @param {number} width @param {number} height @returns {Layout} */
function stretched(layout, width, height) {
  const { x, top, bottom } = layout.margin;
  const [fx, fy] = [(width - 2 * x) / Math.max(1, layout.width - 2 * x), (height - top - bottom) / Math.max(1, layout.height - top - bottom)];
  const times = (/** @type {number[]} */ values) => values.map((value) => value * fy);
  return { ...layout, width, height, dx: layout.dx * fx, dy: layout.dy * fy, xs: layout.xs.map((value) => x + (value - x) * fx), mids: times(layout.mids), posts: times(layout.posts) };
}

/** @param {PairGraphProps} props */
function layoutOf({ tokens, nLayers, parallel, room, zoom }) {
  const [width, height] = [Math.max(160, room.width - LEFT - RIGHT), Math.max(120, room.height - BELOW)];
  const made = layoutFor({ nTokens: tokens.length, nLayers, parallel, width, height });
  return stretched(made, Math.min(width, made.width) * zoom, Math.min(height, made.height) * zoom);
}

/** Blue or orange, in three steps. @param {Change} change */
function lookOf(change) {
  const step = stepOf(change.difference);
  return step === 0 ? 'same' : step > 0 ? `here d${step}` : `there d${-step}`;
}

/** @param {{ onSelect: (key: string | null) => void }} options */
export function createPairGraph({ onSelect }) {
  const edges = s('g', {});
  const nodes = s('g', {});
  const hover = s('path', { class: 'hover', 'aria-hidden': 'true' });
  const layers = s('g', { class: 'axis' });
  const words = s('g', { class: 'axis' });
  const world = s('g', { transform: `translate(${LEFT},0)` }, hover, edges, nodes);
  const svg = s('svg', { class: 'pair-graph', role: 'application', 'aria-roledescription': 'graph of differences', tabindex: '0', 'data-testid': 'pair-graph' }, world, words, layers);
  const scroller = h('div', { class: 'pair-scroll' }, /** @type {any} */ (svg));
  const tooltip = h('div', { class: 'tooltip', role: 'tooltip', 'data-testid': 'pair-preview', hidden: true });
  const el = h('div', { class: 'pair-frame' }, scroller, tooltip);
  /** @type {PairGraphProps | null} */
  let props = null;
  /** @type {Layout | null} */
  let layout = null;
  /** @type {Map<string, Float32Array>} */
  const lines = new Map();

  /** @param {PairGraphProps} now @param {Layout} made */
  function drawEdges({ changes, tokens, selection, names, floor, index }, made) {
    const thin = Math.min(1, Math.max(0.5, made.dx / 60));
    const drawn = changes.slice(0, DRAWN).reverse(); // the largest on top
    const chosen = drawn.findIndex((change) => change.key === selection);
    if (chosen >= 0) drawn.push(...drawn.splice(chosen, 1));
    return drawn.flatMap((change) => {
      const mark = `${change.only ? ' only' : ''}${change.key === selection ? ' selected' : ''}`;
      const width = Math.round((1.2 + 7 * Math.abs(change.difference) ** 0.75) * 10 * thin) / 10;
      const path = s('path', { d: pathOf(curvesOf(made, change)), class: `change-edge ${lookOf(change)}${mark}`, 'stroke-width': width, 'data-key': change.key, 'data-difference': change.difference, 'data-testid': 'pair-edge' });
      if (change.kind !== 'mlp') return [path];
      const { x, y } = mlpAt(made, change.layer, change.dst);
      const side = Math.min(10, Math.max(4, made.dx * 0.2));
      return [path, s('rect', { class: `change-square ${lookOf(change)}${mark}`, x: x - side / 2, y: y - side / 2, width: side, height: side }, s('title', {}, changeWords(change, { names, tokens, floor, index })))];
    });
  }

  /** @param {PairGraphProps} now @param {Layout} made */
  function drawNodes({ tokens, nLayers, parallel, nodes: on }, made) {
    const places = rowsOf({ nLayers, parallel }).flatMap(({ layer, point }) => tokens.map((_, pos) => ({ key: nodeKey(layer, point, pos), x: xOf(made, pos), y: yOf(made, layer, point) })));
    const lit = places.filter(({ key }) => on.here.has(key) || on.there.has(key));
    const radius = Math.max(1.4, Math.min(3.5, made.dx * 0.1));
    return [
      s('path', { class: 'dots', style: made.dx < 24 ? 'stroke-width: 1.5' : null, d: places.map(({ x, y }) => `M${x.toFixed(1)},${y.toFixed(1)}h0`).join('') }),
      ...lit.map(({ key, x, y }) => s('circle', { class: `pair-node${on.here.has(key) ? (on.there.has(key) ? '' : ' here') : ' there'}`, cx: x, cy: y, r: radius })),
    ];
  }

  /** Tokens below; those that differ are never left out, the others where they fit. @param {PairGraphProps} now @param {Layout} made */
  function drawWords({ tokens, others, names }, made) {
    const step = every(made.dx, 13);
    const differs = tokens.map((token, pos) => token !== others[pos]);
    const last = tokens.length - 1;
    const needed = tokens.map((_, pos) => differs[pos] || pos === last);
    const free = (/** @type {number} */ pos) => needed.slice(Math.max(0, pos - step + 1), pos + step).every((one) => !one);
    const word = (/** @type {string} */ token) => clip(showToken(token), LETTERS);
    const label = (/** @type {number} */ pos) =>
      s(
        'g',
        { transform: `translate(${(LEFT + xOf(made, pos) + 4).toFixed(1)},14) rotate(-52)`, class: differs[pos] ? 'differs' : null },
        s('title', {}, differs[pos] ? `${showToken(tokens[pos])} in ${names[0]}, ${showToken(others[pos])} in ${names[1]}, position ${pos}` : `${showToken(tokens[pos])}, position ${pos}`),
        s('text', { 'text-anchor': 'end' }, s('tspan', { class: differs[pos] ? 'here' : 'word' }, word(tokens[pos])), s('tspan', { class: 'pos', dx: 3 }, pos)),
        differs[pos] ? s('text', { 'text-anchor': 'end', y: 13, x: -14, class: 'there' }, word(others[pos])) : null,
      );
    return [
      s('rect', { class: 'under', x: 0, y: 0, width: made.width + LEFT + RIGHT, height: BELOW }),
      ...tokens.flatMap((_, pos) => (needed[pos] || (pos % step === 0 && free(pos)) ? [label(pos)] : [])),
    ];
  }

  /** @param {PairGraphProps} now @param {Layout} made */
  function drawLayers({ nLayers }, made) {
    const step = every(made.dy, 14);
    const labels = Array.from({ length: nLayers + 1 }, (_, i) => i).filter((i) => i === 0 || (i - 1) % step === 0);
    return [
      s('rect', { class: 'under', x: 0, y: 0, width: LEFT - 6, height: made.height + BELOW }),
      ...labels.map((i) => s('text', { x: LEFT - 10, y: (i ? yOf(made, i - 1, 'post') + made.dy * 0.29 : yOf(made, -1, 'post')) + 4, 'text-anchor': 'end' }, i ? `L${i - 1}` : 'emb')),
    ];
  }

  /** Keeps the axes at the edges of what is in view. @param {boolean} [whole] where they belong, for a figure of the whole */
  function pin(whole = false) {
    if (!layout) return;
    const below = layout.height + 4;
    const y = whole ? below : Math.min(below, scroller.scrollTop + scroller.clientHeight - BELOW);
    attr(words, 'transform', `translate(0,${y.toFixed(1)})`);
    attr(layers, 'transform', `translate(${whole ? 0 : scroller.scrollLeft},0)`);
  }

  /** @param {PairGraphProps} next */
  function update(next) {
    const middle = props && props.zoom !== next.zoom ? [(scroller.scrollLeft + scroller.clientWidth / 2) / scroller.scrollWidth, (scroller.scrollTop + scroller.clientHeight / 2) / scroller.scrollHeight] : null;
    props = next;
    layout = layoutOf(next);
    lines.clear();
    const [width, height] = [layout.width + LEFT + RIGHT, layout.height + BELOW];
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) attr(svg, name, value);
    attr(svg, 'aria-label', `Difference of the routes of ${next.names[0]} and ${next.names[1]}: ${next.changes.length} edges. Arrow keys walk along them; the table beside it lists the largest.`);
    fill(edges, ...drawEdges(next, layout));
    fill(nodes, ...drawNodes(next, layout));
    fill(words, ...drawWords(next, layout));
    fill(layers, ...drawLayers(next, layout));
    if (middle) scroller.scrollTo(middle[0] * scroller.scrollWidth - scroller.clientWidth / 2, middle[1] * scroller.scrollHeight - scroller.clientHeight / 2);
    attr(hover, 'd', null);
    pin();
    preview(); // a pointer that rests keeps its preview
  }

  /** @param {Change} change */
  function lineOf(change) {
    let line = lines.get(change.key);
    if (!line && layout) lines.set(change.key, (line = polyline(curvesOf(layout, change), 16)));
    return /** @type {Float32Array} */ (line);
  }

  /** Node, or the nearest edge, under a place. @param {number} x @param {number} y @returns {Change | { node: string, words: string } | null} */
  function at(x, y) {
    if (!props || !layout) return null;
    const { nodes: on, tokens, names, changes } = props;
    for (const { layer, point } of rowsOf(layout)) {
      const top = yOf(layout, layer, point);
      if (Math.abs(top - y) > 4) continue;
      for (let pos = 0; pos < tokens.length; pos += 1) {
        const key = nodeKey(layer, point, pos);
        const sides = [on.here.has(key), on.there.has(key)];
        if (Math.hypot(xOf(layout, pos) - x, top - y) > 4 || !sides.some(Boolean)) continue;
        return { node: `${nodeName({ layer, point })} at ${tokenAt(tokens, pos)}`, words: sides.every(Boolean) ? 'on both routes' : `on the ${names[sides[0] ? 0 : 1]} route only` };
      }
    }
    let best = /** @type {{ change: Change, gap: number } | null} */ (null);
    for (const change of changes.slice(0, DRAWN)) {
      const [low, high] = [yOf(layout, change.layer - 1, 'post') + SLACK, yOf(layout, change.layer, 'post') - SLACK];
      if (y > low || y < high) continue;
      const gap = distanceTo(lineOf(change), x, y);
      if (gap < SLACK && (best === null || gap < best.gap)) best = { change, gap };
    }
    return best?.change ?? null;
  }

  /** @param {MouseEvent} event */
  function under(event) {
    const box = svg.getBoundingClientRect();
    return at(event.clientX - box.left - LEFT, event.clientY - box.top);
  }

  let pointer = /** @type {MouseEvent | null} */ (null);
  const preview = perFrame(() => {
    if (!pointer || !props || !layout) return;
    const found = under(pointer);
    svg.classList.toggle('over', found !== null && 'key' in found);
    attr(hover, 'd', found && 'key' in found ? pathOf(curvesOf(layout, found)) : null);
    tooltip.hidden = found === null;
    if (!found) return;
    fill(tooltip, .../** @type {any[]} */ ('key' in found ? changePreview(found, props) : [h('p', { class: 'name' }, h('b', {}, found.node)), h('p', { class: 'quiet' }, found.words)]));
    const box = el.getBoundingClientRect();
    const [x, y] = [pointer.clientX - box.left, pointer.clientY - box.top];
    const left = x + 16 + tooltip.offsetWidth > box.width ? Math.max(4, x - tooltip.offsetWidth - 12) : x + 16;
    const top = y + 16 + tooltip.offsetHeight > box.height ? Math.max(4, y - tooltip.offsetHeight - 12) : y + 16;
    tooltip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  });

  function leave() {
    pointer = null;
    tooltip.hidden = true;
    attr(hover, 'd', null);
  }

  svg.addEventListener('pointermove', (event) => {
    pointer = event;
    preview();
  });
  svg.addEventListener('pointerleave', leave);
  svg.addEventListener('click', (event) => {
    const found = under(event);
    if (!found || 'key' in found) onSelect(found?.key ?? null);
  });
  scroller.addEventListener('scroll', () => {
    leave();
    pin();
  });

  return {
    el,
    update,
    /** Brings an edge into view. @param {string} key */
    reveal(key) {
      const change = props?.changes.find((one) => one.key === key);
      if (!change || !layout) return;
      const line = lineOf(change);
      const middle = [line[2 * (line.length >> 2)] + LEFT, line[2 * (line.length >> 2) + 1]];
      const off = (/** @type {number} */ value, /** @type {number} */ start, /** @type {number} */ room, /** @type {number} */ edge) => value < start + edge || value > start + room - 24;
      if (off(middle[0], scroller.scrollLeft, scroller.clientWidth, LEFT)) scroller.scrollLeft = middle[0] - scroller.clientWidth / 2;
      if (off(middle[1], scroller.scrollTop, scroller.clientHeight - BELOW, 0)) scroller.scrollTop = middle[1] - (scroller.clientHeight - BELOW) / 2;
    },
    /** The whole, for a download: its axes at their own places until the caller is done. */
    figure() {
      leave();
      pin(true);
      queueMicrotask(() => pin());
      return /** @type {SVGSVGElement} */ (svg);
    },
  };
}
