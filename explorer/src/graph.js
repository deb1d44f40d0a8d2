/**
 * The route graph: frame, zoom and pan, hovering, clicking. What is drawn on it is `marks.js`, around it `axes.js`.
 */

import { createAxes, GUTTER } from './axes.js';
import { createBackground } from './background.js';
import { createCamera } from './camera.js';
import { createChips } from './chips.js';
import { attr, h, keepFocus, perFrame, s } from './dom.js';
import { openedOn, roomFor } from './expand.js';
import { fraction, showToken } from './format.js';
import { layoutFor, xOf, yOf } from './layout.js';
import { createMarks } from './marks.js';
import { createOutcome } from './outcome.js';
import { createPainter } from './painter.js';
import { createPointer } from './pointer.js';
import { nodeKey, parseNode } from './routes.js';
import { scaleOf } from './sizes.js';
import { createTooltip } from './tooltip.js';

let graphs = 0;
const RESIZED = 1.2; // a zoom by less leaves nodes as large as they are until it rests
const RESTING_MS = 120;
const CROWDED = 0.6; // below this scale of lines, rims of nodes would only cost time

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
  const painter = createPainter('thin');
  const background = createBackground();
  const outcome = createOutcome();
  const hover = s('path', { class: 'hover', 'aria-hidden': 'true' });
  const [edgeLayer, ...nodeLayers] = marks.layers;
  // What stands still is a picture of its own under the edges, so that moving edges repaint only edges.
  const ground = s('g', { class: 'world' }, ...background.layers);
  const world = s('g', { class: 'world' }, hover, edgeLayer, chips.layers[0], ...nodeLayers, chips.layers[1]);
  const clipRect = s('rect', {});
  const shift = `translate(${GUTTER},0)`;
  const groundPlot = s('g', { 'clip-path': `url(#${clipId})`, transform: shift }, ground);
  const plot = s('g', { 'clip-path': `url(#${clipId})`, transform: shift }, world, outcome.el);
  const groundSvg = s('svg', { class: 'canvas ground', 'aria-hidden': 'true' }, s('defs', {}, s('clipPath', { id: clipId }, clipRect)), groundPlot);
  const svg = s(
    'svg',
    { class: 'canvas', role: 'application', tabindex: '-1', 'aria-roledescription': 'route graph', 'data-testid': 'graph' },
    plot,
    axes.layers,
    axes.tokens,
  );
  const camera = createCamera({ svg, onMove: follow, onRest: onZoom });
  const el = h('div', { class: 'graph' }, /** @type {any} */ (groundSvg), painter.el, /** @type {any} */ (svg), /** @type {any} */ (painter.probes), tooltip.el);

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
  let sized = 1; // magnification that nodes, lines and labels have their size for
  let sizedFor = '';

  const paint = perFrame(() => {
    if (!props || !layout) return;
    if (thin.length) painter.draw({ edges: thin, layout, transform: camera.transform(), scale: scaleOf(layout, sized), selection: props.selection });
    else painter.clear();
  });

  const placeAxes = perFrame(() => {
    if (props) axes.place(camera.transform(), room, props.route.target);
  });

  /** The window no longer moves. */
  function rest() {
    background.moving(false);
    resize();
    paint();
  }

  /** What keeps its size on the screen. */
  function resize() {
    if (!layout || !props) return;
    const { k } = camera.transform();
    sized = k;
    const scale = scaleOf(layout, k);
    const look = `${scale} ${1 / k}`;
    if (look !== sizedFor) {
      el.style.setProperty('--u', String(1 / k));
      el.style.setProperty('--room', String(scale));
      el.classList.toggle('crowded', scale < CROWDED);
    }
    sizedFor = look;
    marks.resize(k);
    chips.update(layout, opened, props.index, k);
  }

  /** Everything that stands in the graph's own units goes where the camera looks. */
  function follow() {
    const transform = camera.transform();
    for (const group of [ground, world]) attr(group, 'transform', transform.toString());
    placeOutcome();
    placeAxes();
    if (!painter.shift(transform)) paint();
    clearTimeout(resting);
    const change = transform.k / sized;
    if (change > RESIZED || change < 1 / RESIZED) resize();
    background.moving(true);
    resting = window.setTimeout(rest, RESTING_MS);
  }

  /** The whole graph. */
  function fit() {
    if (!layout) return;
    const k = Math.min(1, room.width / layout.width, room.height / layout.height);
    camera.set((room.width - layout.width * k) / 2, (room.height - layout.height * k) / 2, k);
    clearTimeout(resting);
    rest();
  }

  /** Everything that does not depend on the threshold: bands, dots, axes. */
  function drawBackground() {
    if (!props) return;
    const { data, index } = props;
    const box = el.getBoundingClientRect();
    const tokens = data.prompt.tokens;
    const shape = { nTokens: tokens.length, nLayers: index.n_layers, parallel: index.parallel, opened: roomFor(opened) };
    const width = Math.max(80, box.width - GUTTER - 4);
    let height = Math.max(80, box.height - 36);
    height = Math.max(80, box.height - axes.measure(tokens, layoutFor({ ...shape, width, height }).dx));
    const made = layoutFor({ ...shape, width, height });
    layout = made;
    room = { width, height };
    for (const one of [svg, groundSvg]) attr(one, 'viewBox', `0 0 ${Math.max(1, box.width)} ${Math.max(1, box.height)}`);
    painter.resize(width, height);
    for (const [name, value] of Object.entries(room)) attr(clipRect, name, value);
    camera.resize(room, made);
    background.lay(made);
    axes.build({ tokens, special: data.prompt.token_ids.map((id) => data.special.has(id)), layout: made });
    marks.clear();
    painter.recolour();
    drawn = data;
  }

  /** Stored edges that are off the route. */
  function drawFaint() {
    if (!props || !layout) return;
    const hidden = hiderOf(props.hide);
    const { parts } = props.graph;
    background.drawFaint(layout, () => parts.filter((part) => !hidden(part)), props.faint, `${props.faint} ${props.hide}`);
  }

  function placeOutcome() {
    if (!props || !layout) return;
    const { route, data } = props;
    const target = data.targets.find((one) => one.target === route.target);
    outcome.place(target ? `${showToken(target.predicted ?? '?')} ${fraction(target.predicted_prob)}` : '', layout, route.target, camera.transform(), room);
  }

  /** Lays out anew around opened nodes: the whole again, or, where a reader chose a part, what it is about stays where it is. */
  function reflow() {
    if (!props || !layout) return;
    const anchor = props.selection && /\.(mid|post)\./.test(props.selection) ? parseNode(props.selection) : { layer: props.index.n_layers - 1, point: 'post', pos: props.route.target };
    const transform = camera.transform();
    const [x, y] = transform.apply([xOf(layout, anchor.pos), yOf(layout, anchor.layer, anchor.point)]);
    drawBackground();
    if (!camera.moved()) return fit();
    camera.to(x - transform.k * xOf(layout, anchor.pos), y - transform.k * yOf(layout, anchor.layer, anchor.point), transform.k);
  }

  /** @param {GraphProps} next */
  const update = (next) => keepFocus(svg, () => draw(next));

  /** @param {GraphProps} next */
  function draw(next) {
    const fresh = drawn !== next.data || props?.graph !== next.graph;
    const sent = next.zoom !== props?.zoom && next.zoom !== camera.place(); // by the address, not by a hand
    props = next;
    const { route, data, selection, index } = next;
    opened = openedOn(route, next.open.split(',').filter(Boolean), next.expansion);
    const room = JSON.stringify(roomFor(opened));
    if (fresh) {
      drawBackground();
      if (!camera.show(next.zoom)) fit();
    } else if (room !== spread) reflow();
    else if (sent && !camera.show(next.zoom)) fit();
    spread = room;
    if (!layout) return;
    const top = nodeKey(index.n_layers - 1, 'post', route.target);
    const focus = selection && /\.(mid|post)\./.test(selection) ? selection : top;
    svg.classList.toggle('has-selection', selection !== null);
    attr(svg, 'aria-label', `Route to the prediction after ${showToken(data.prompt.tokens[route.target] ?? '')}: ${route.nodes.size} nodes, ${route.edges.size} edges. Arrow keys walk it.`);
    thin = drawMarks(focus);
    resize();
    drawFaint();
    background.mark(layout, route.target);
    placeOutcome();
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
      const now = props;
      keepFocus(svg, () => {
        drawBackground();
        if (!keep) fit();
        draw(now);
      });
    }),
  ).observe(el);

  // Painted colours follow the theme.
  const repaint = () => {
    if (!el.isConnected) return;
    painter.recolour();
    paint();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ['data-theme'] });

  /** Where a node is, or the middle of an edge, in the graph's own units. @param {string | null} key @returns {[number, number] | null} */
  function placeOf(key) {
    if (!layout || !props || key === null) return null;
    const part = props.graph.parts.find((one) => one.key === key);
    const ends = (part ? [part.to, part.from] : [key]).map(parseNode);
    const mean = (/** @type {(node: typeof ends[0]) => number} */ of) => ends.reduce((sum, node) => sum + of(node), 0) / ends.length;
    const made = layout;
    return [mean(({ pos }) => xOf(made, pos)), mean(({ layer, point }) => yOf(made, layer, point))];
  }

  /** @param {number} x @param {number} y in the window @param {number} [edge] */
  const inWindow = (x, y, edge = 8) => x >= edge && y >= edge && x <= room.width - edge && y <= room.height - edge;

  /** Zooms about what is selected, where that is in the window, else about the middle. @param {number} factor */
  function scale(factor) {
    const place = placeOf(props?.selection ?? null);
    const at = place && camera.transform().apply(place);
    camera.scale(factor, at && inWindow(at[0], at[1]) ? at : null);
  }

  /** Moves the keyboard's focus, and the view when the node is out of it. @param {string} key of a node or an edge */
  function focus(key) {
    const place = placeOf(key);
    if (place && !inWindow(...camera.transform().apply(place))) camera.centre(...place);
    // An edge is no element that could take the focus, so the graph itself does.
    (marks.nodeElement(key) ?? svg).focus({ preventScroll: true });
  }

  return { el, update, focus, figure, scale, pan: camera.pan, fit, background: background.count };
}
