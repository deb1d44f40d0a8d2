/**
 * The route graph: frame, zoom and pan, hovering, clicking. What is drawn on it is `marks.js`, around it `axes.js`.
 */

import { createAxes, GUTTER } from './axes.js';
import { createCamera } from './camera.js';
import { createChips } from './chips.js';
import { attr, fill, h, perFrame, s, text } from './dom.js';
import { openedOn, roomFor } from './expand.js';
import { fraction, showToken } from './format.js';
import { CHIP, curvesOf, layoutFor, pathOf, rowsOf, xOf, yOf } from './layout.js';
import { createMarks, scaleOf } from './marks.js';
import { createPainter } from './painter.js';
import { createPointer } from './pointer.js';
import { nodeKey, parseNode } from './routes.js';
import { createTooltip } from './tooltip.js';

const READABLE = 0.8; // below this the labels of opened nodes cannot be read
const LEGIBLE = 0.45; // below this zoom the whole is no first view
let graphs = 0;
const FAINT_LIMIT = 6000; // edges that the background draws at most
const FAINT_ELEMENTS = 1500; // above this the background is painted, not kept as a path

/**
 * @typedef {{ data: import('./data.js').PromptData, index: import('./data.js').RunIndex,
 *   graph: import('./routes.js').Graph, route: import('./routes.js').Route, selection: string | null,
 *   tops: Map<string, { token: string, prob: number }> | null, faint: boolean, hide: string, open: string, zoom: string | null,
 *   expansion: (key: string) => import('./expand.js').Expansion }} GraphProps
 *   `hide`, `open` and `zoom` as in the state; `expansion` of an opened node
 */

/** Whether a reader hid this kind of edge. @param {string} hide @returns {(edge: import('./routes.js').Part) => boolean} */
export function hiderOf(hide) {
  const [resid, mlp, self] = ['resid', 'mlp', 'self'].map((word) => hide.split(',').includes(word));
  return ({ kind, src, dst }) => (kind === 'mlp' ? mlp : kind === 'attn' ? self && src === dst : resid);
}

/**
 * @param {{ onSelect: (key: string | null) => void, onOpen: (key: string) => void, onZoom: (zoom: string | null) => void,
 *   onPart: (part: { kind: 'head' | 'neuron', name: string, node: string }) => void }} options
 */
export function createGraph({ onSelect, onOpen, onZoom, onPart }) {
  const clipId = `plot-${(graphs += 1)}`; // two graphs may stand on one page
  const marks = createMarks();
  const axes = createAxes();
  const tooltip = createTooltip();
  const chips = createChips({ onPart });
  const behind = createPainter('behind');
  const painter = createPainter('thin');
  const bands = s('g', { class: 'bands', 'aria-hidden': 'true' });
  const column = s('path', { class: 'column', 'aria-hidden': 'true' });
  const dots = s('path', { class: 'dots', 'aria-hidden': 'true' });
  const faint = s('path', { class: 'faint', 'aria-hidden': 'true' });
  const hover = s('path', { class: 'hover', 'aria-hidden': 'true' });
  const outcome = s('text', { class: 'outcome', 'aria-hidden': 'true' });
  const [edgeLayer, ...nodeLayers] = marks.layers;
  // What stands still is a picture of its own under the edges, so that moving edges repaint only edges.
  const ground = s('g', { class: 'world' }, bands, column, faint, dots);
  const world = s('g', { class: 'world' }, hover, edgeLayer, chips.layers[0], ...nodeLayers, chips.layers[1], outcome);
  const clipRect = s('rect', {});
  const shift = `translate(${GUTTER},0)`;
  const groundPlot = s('g', { 'clip-path': `url(#${clipId})`, transform: shift }, ground);
  const plot = s('g', { 'clip-path': `url(#${clipId})`, transform: shift }, world);
  const groundSvg = s('svg', { class: 'canvas ground', 'aria-hidden': 'true' }, s('defs', {}, s('clipPath', { id: clipId }, clipRect)), groundPlot);
  const svg = s(
    'svg',
    { class: 'canvas', role: 'application', 'aria-roledescription': 'route graph', 'data-testid': 'graph' },
    plot,
    axes.layers,
    axes.tokens,
  );
  const camera = createCamera({ svg, onMove: follow, onRest: onZoom });
  const el = h('div', { class: 'graph' }, /** @type {any} */ (groundSvg), behind.el, painter.el, /** @type {any} */ (svg), /** @type {any} */ (painter.probes), /** @type {any} */ (behind.probes), tooltip.el);

  let room = { width: 0, height: 0 };
  /** @type {GraphProps | null} */
  let props = null;
  /** @type {import('./data.js').PromptData | null} what the background was drawn for */
  let drawn = null;
  /** @type {import('./layout.js').Layout | null} */
  let layout = null;
  /** @type {import('./expand.js').Opened[]} */
  let opened = [];
  let spread = ''; // what the layout made room for
  /** @type {import('./routes.js').RouteEdge[]} */
  let thin = [];
  let resting = 0;

  const paint = perFrame(() => {
    if (!props || !layout) return;
    if (thin.length) painter.draw({ edges: thin, layout, transform: camera.transform(), scale: scaleOf(layout), selection: props.selection });
    else painter.clear();
  });

  function paintBehind() {
    if (!props || !layout) return;
    const { graph } = props;
    const painted = graph.parts.length > FAINT_ELEMENTS;
    behind.el.style.visibility = painted && props.faint ? 'visible' : 'hidden';
    if (painted && props.faint) behind.draw({ edges: /** @type {any} */ (shownParts().slice(0, FAINT_LIMIT)), layout, transform: camera.transform(), scale: 1, faint: true });
  }

  /** Stored edges of the kinds that are shown. */
  function shownParts() {
    if (!props) return [];
    const hidden = hiderOf(props.hide);
    return props.graph.parts.filter((part) => !hidden(part));
  }

  const placeAxes = perFrame(() => {
    if (props) axes.place(camera.transform(), room, props.route.target);
  });

  /** Everything that stands in the graph's own units goes where the camera looks. */
  function follow() {
    for (const group of [ground, world]) attr(group, 'transform', camera.transform().toString());
    placeAxes();
    paint();
    clearTimeout(resting);
    resting = window.setTimeout(paintBehind, 120);
    behind.el.style.visibility = 'hidden'; // while it moves: it is the most to draw and the least to see
  }

  /** The whole graph; at first only when it stays legible, else the part around the target. @param {boolean} whole */
  function fit(whole) {
    if (!layout || !props) return;
    const k = Math.min(1.25, room.width / layout.width, room.height / layout.height);
    const least = opened.length ? READABLE : LEGIBLE;
    const legible = whole || k >= least ? k : opened.length ? READABLE : LEGIBLE * 1.5;
    const x = (room.width - layout.width * legible) / 2;
    const y = (room.height - layout.height * legible) / 2;
    const right = room.width * 0.72 - xOf(layout, props.route.target) * legible;
    const start = k === legible ? [x, y] : [Math.min(0, Math.max(right, room.width - layout.width * legible)), Math.max(y, 0)];
    camera.set(start[0], start[1], legible, !whole || k >= least);
  }

  /** Everything that does not depend on the threshold: bands, dots, faint edges, axes. */
  function drawBackground() {
    if (!props) return;
    const { data, index } = props;
    const box = el.getBoundingClientRect();
    const tokens = data.prompt.tokens;
    const shape = { nTokens: tokens.length, nLayers: index.n_layers, parallel: index.parallel, opened: roomFor(opened) };
    const width = Math.max(80, box.width - GUTTER - 4);
    let height = Math.max(80, box.height - 36);
    const first = layoutFor({ ...shape, width, height });
    height = Math.max(80, box.height - axes.measure(tokens, first.dx * Math.min(1, width / first.width)));
    const made = layoutFor({ ...shape, width, height });
    layout = made;
    room = { width, height };
    for (const one of [svg, groundSvg]) attr(one, 'viewBox', `0 0 ${Math.max(1, box.width)} ${Math.max(1, box.height)}`);
    for (const one of [behind, painter]) one.resize(width, height);
    for (const [name, value] of Object.entries(room)) attr(clipRect, name, value);
    camera.resize(room, made);
    fill(bands, ...Array.from({ length: shape.nLayers }, (_, layer) => s('rect', {
      class: layer % 2 ? 'odd' : 'even',
      x: 0,
      width: made.width,
      y: yOf(made, layer, 'post') - made.dy * 0.21,
      height: yOf(made, layer - 1, 'post') - yOf(made, layer, 'post'),
    })));
    const rows = rowsOf(shape);
    attr(dots, 'd', rows.flatMap(({ layer, point }) => tokens.map((_, pos) => `M${xOf(made, pos).toFixed(1)},${yOf(made, layer, point).toFixed(1)}h0`)).join(''));
    axes.build({ tokens, special: data.prompt.token_ids.map((id) => data.special.has(id)), layout: made });
    marks.clear();
    behind.recolour();
    painter.recolour();
    drawn = data;
    faintFor = '';
  }

  let faintFor = '';
  /** Stored edges that are off the route. @param {boolean} [whole] as a path, however many */
  function drawFaint(whole = false) {
    if (!props || !layout) return;
    const made = layout;
    const painted = props.graph.parts.length > FAINT_ELEMENTS && !whole;
    const wanted = `${props.faint} ${props.hide} ${painted}`;
    if (wanted === faintFor) return;
    faintFor = wanted;
    attr(faint, 'd', props.faint && !painted ? shownParts().slice(0, FAINT_LIMIT).map((part) => pathOf(curvesOf(made, part))).join('') : null);
    paintBehind();
  }

  /** The prediction at the top of the target's column. */
  function drawOutcome() {
    if (!props || !layout) return;
    const { route, data } = props;
    const target = data.targets.find((one) => one.target === route.target);
    const x = xOf(layout, route.target);
    const y = yOf(layout, layout.nLayers - 1, 'post');
    attr(column, 'd', `M${x},${y}V${yOf(layout, -1, 'post')}`);
    text(outcome, target ? `${showToken(target.predicted ?? '?')} ${fraction(target.predicted_prob)}` : '');
    attr(outcome, 'x', x);
    attr(outcome, 'y', y - 13);
    attr(outcome, 'text-anchor', x > layout.width - 60 ? 'end' : x < 60 ? 'start' : 'middle');
  }

  /** Lays out anew around opened nodes; what the reader looks at stays where it is. */
  function reflow() {
    if (!props || !layout) return;
    const anchor = props.selection && /\.(mid|post)\./.test(props.selection) ? parseNode(props.selection) : { layer: props.index.n_layers - 1, point: 'post', pos: props.route.target };
    const transform = camera.transform();
    const [x, y] = transform.apply([xOf(layout, anchor.pos), yOf(layout, anchor.layer, anchor.point)]);
    drawBackground();
    const whole = Math.min(room.width / layout.width, room.height / layout.height);
    if (!camera.moved() && whole >= READABLE) return fit(true);
    const k = Math.max(transform.k, opened.length ? READABLE : 0);
    const inside = (/** @type {number} */ value, /** @type {number} */ size, /** @type {number} */ edge) => Math.min(size - edge, Math.max(edge, value));
    const beside = opened.length ? Math.min((CHIP.width + CHIP.gap) * k, room.width / 2) : 24;
    const to = [inside(x, room.width, beside), inside(y, room.height, opened.length ? Math.min(90, room.height / 3) : 24)];
    const at = [to[0] - k * xOf(layout, anchor.pos), to[1] - k * yOf(layout, anchor.layer, anchor.point)];
    camera.to(at[0], at[1], k);
  }

  /** @param {GraphProps} next */
  function update(next) {
    const fresh = drawn !== next.data || props?.graph !== next.graph;
    const sent = next.zoom !== props?.zoom && next.zoom !== camera.place(); // by the address, not by a hand
    props = next;
    const { route, data, selection, index } = next;
    opened = openedOn(route, next.open.split(',').filter(Boolean), next.expansion);
    const room = JSON.stringify(roomFor(opened));
    if (fresh) {
      drawBackground();
      if (!camera.show(next.zoom)) fit(false);
    } else if (room !== spread) reflow();
    else if (sent && !camera.show(next.zoom)) fit(false);
    spread = room;
    if (!layout) return;
    const top = nodeKey(index.n_layers - 1, 'post', route.target);
    const focus = selection && /\.(mid|post)\./.test(selection) ? selection : top;
    svg.classList.toggle('has-selection', selection !== null);
    attr(svg, 'aria-label', `Route to the prediction after ${showToken(data.prompt.tokens[route.target] ?? '')}: ${route.nodes.size} nodes, ${route.edges.size} edges. Arrow keys walk it.`);
    thin = drawMarks(focus);
    chips.update(layout, opened);
    drawFaint();
    drawOutcome();
    paint();
    placeAxes();
    pointer.refresh();
  }

  /** @param {string} focus @param {boolean} [whole] */
  function drawMarks(focus, whole = false) {
    if (!props || !layout) return [];
    const { route, data, selection, index, hide } = props;
    const kind = hiderOf(hide);
    // The edges that an opened node's heads or neurons stand for are drawn through these.
    const into = new Set(opened.map(({ key, side }) => `${key} ${side === 'left' ? 'attn' : 'mlp'}`));
    const hidden = (/** @type {import('./routes.js').RouteEdge} */ edge) => kind(edge) || (into.size > 0 && into.has(`${edge.to} ${edge.kind}`));
    return marks.update({ layout, route, tokens: data.prompt.tokens, selection, focus, parallel: index.parallel, hidden, whole });
  }

  /** The whole figure as one SVG, its painted edges as paths; on the page until the caller is done. */
  function figure() {
    if (!props || !layout) return null;
    const focus = '';
    drawMarks(focus, true);
    drawFaint(true);
    attr(hover, 'd', null);
    const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
    copy.querySelector('.world')?.prepend(...[...ground.children].map((child) => child.cloneNode(true)));
    copy.prepend(s('defs', {}, s('clipPath', { id: clipId }, clipRect.cloneNode(true))));
    el.append(copy);
    queueMicrotask(() => {
      copy.remove();
      if (props) update(props);
    });
    return copy;
  }

  const pointer = createPointer({ el, svg: /** @type {any} */ (svg), hover, marks, tooltip, onSelect, onOpen, scene: () => (props && layout ? { props, layout, transform: camera.transform(), room } : null) });
  new ResizeObserver(
    perFrame(() => {
      if (!props || !el.isConnected) return;
      const keep = camera.moved();
      drawBackground();
      if (!keep) fit(false);
      update(props);
    }),
  ).observe(el);

  // Painted colours follow the theme.
  const repaint = () => {
    if (!el.isConnected) return;
    behind.recolour();
    painter.recolour();
    paint();
    paintBehind();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ['data-theme'] });

  /** Moves the keyboard's focus, and the view when the node is out of it. @param {string} key */
  function focusNode(key) {
    if (layout) {
      const node = parseNode(key);
      const place = /** @type {[number, number]} */ ([xOf(layout, node.pos), yOf(layout, node.layer, node.point)]);
      const [x, y] = camera.transform().apply(place);
      if (x < 8 || y < 8 || x > room.width - 8 || y > room.height - 8) camera.centre(...place);
    }
    marks.nodeElement(key)?.focus({ preventScroll: true });
  }

  return { el, update, focusNode, figure, scale: camera.scale, fit: () => fit(true) };
}
