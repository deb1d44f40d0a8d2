/**
 * The route graph: frame, zoom and pan, hovering, clicking. What is drawn on it is `marks.js`, around it `axes.js`.
 */

import { select } from 'd3-selection';
import { zoom, zoomIdentity } from 'd3-zoom';
import { createAxes, GUTTER } from './axes.js';
import { attr, fill, h, perFrame, s, text } from './dom.js';
import { fraction, showToken } from './format.js';
import { curvesOf, layoutFor, pathOf, rowsOf, xOf, yOf } from './layout.js';
import { createMarks } from './marks.js';
import { nodeKey, parseNode } from './routes.js';
import { createTooltip } from './tooltip.js';

const LEGIBLE = 0.45; // below this zoom the whole is no first view
let graphs = 0;
const FAINT_LIMIT = 6000; // edges that the background draws at most

/**
 * @typedef {{ data: import('./data.js').PromptData, index: import('./data.js').RunIndex,
 *   graph: import('./routes.js').Graph, route: import('./routes.js').Route, selection: string | null,
 *   tops: Map<string, { token: string, prob: number }> | null, faint: boolean }} GraphProps
 */

/** @param {string} label @param {string} sign @param {() => void} run */
const button = (label, sign, run) => h('button', { type: 'button', class: 'icon', 'aria-label': label, title: label, onclick: run }, sign);

/** @param {{ onSelect: (key: string | null) => void }} options */
export function createGraph({ onSelect }) {
  const clipId = `plot-${(graphs += 1)}`; // two graphs may stand on one page
  const marks = createMarks();
  const axes = createAxes();
  const tooltip = createTooltip();
  const bands = s('g', { class: 'bands', 'aria-hidden': 'true' });
  const column = s('path', { class: 'column', 'aria-hidden': 'true' });
  const dots = s('path', { class: 'dots', 'aria-hidden': 'true' });
  const faint = s('path', { class: 'faint', 'aria-hidden': 'true' });
  const hover = s('path', { class: 'hover', 'aria-hidden': 'true' });
  const outcome = s('text', { class: 'outcome', 'aria-hidden': 'true' });
  const world = s('g', { class: 'world' }, bands, column, faint, dots, hover, ...marks.layers, outcome);
  const clipRect = s('rect', {});
  const plot = s('g', { 'clip-path': `url(#${clipId})`, transform: `translate(${GUTTER},0)` }, world);
  const svg = s(
    'svg',
    { class: 'canvas', role: 'application', 'aria-roledescription': 'route graph', 'data-testid': 'graph' },
    s('defs', {}, s('clipPath', { id: clipId }, clipRect)),
    plot,
    axes.layers,
    axes.tokens,
  );
  const zoomer = zoom()
    .scaleExtent([0.08, 8])
    // One finger scrolls the page; two zoom and pan. A wheel zooms, a drag pans.
    .filter((event) => (event.touches ? event.touches.length > 1 : !event.button && (!event.ctrlKey || event.type === 'wheel')))
    .on('zoom', (event) => {
      if (event.sourceEvent) moved = true;
      transform = event.transform;
      attr(world, 'transform', transform.toString());
      placeAxes();
    });
  const buttons = h(
    'div',
    { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
    button('Zoom out', '−', () => scale(1 / 1.4)),
    button('Zoom in', '+', () => scale(1.4)),
    button('Fit the graph to the window', '⤢', () => fit(true)),
  );
  const el = h('div', { class: 'graph' }, /** @type {any} */ (svg), tooltip.el);

  let transform = zoomIdentity;
  let moved = false;
  let room = { width: 0, height: 0 };
  /** @type {GraphProps | null} */
  let props = null;
  /** @type {import('./data.js').PromptData | null} what the background was drawn for */
  let drawn = null;
  /** @type {import('./layout.js').Layout | null} */
  let layout = null;

  const placeAxes = perFrame(() => {
    if (props) axes.place(transform, room, props.route.target);
  });

  /** @param {number} factor */
  function scale(factor) {
    moved = true;
    zoomer.scaleBy(select(/** @type {any} */ (svg)), factor);
  }

  /** The whole graph; at first only when it stays legible, else the part around the target. @param {boolean} whole */
  function fit(whole) {
    if (!layout || !props) return;
    moved = false;
    const k = Math.min(1.25, room.width / layout.width, room.height / layout.height);
    const legible = whole || k >= LEGIBLE ? k : LEGIBLE * 1.5;
    const x = (room.width - layout.width * legible) / 2;
    const y = (room.height - layout.height * legible) / 2;
    const right = room.width * 0.72 - xOf(layout, props.route.target) * legible;
    const start = k === legible ? [x, y] : [Math.min(0, Math.max(right, room.width - layout.width * legible)), Math.max(y, 0)];
    zoomer.transform(select(/** @type {any} */ (svg)), zoomIdentity.translate(start[0], start[1]).scale(legible));
  }

  /** Everything that does not depend on the threshold: bands, dots, faint edges, axes. */
  function drawBackground() {
    if (!props) return;
    const { data, index, graph } = props;
    const box = el.getBoundingClientRect();
    const tokens = data.prompt.tokens;
    const shape = { nTokens: tokens.length, nLayers: index.n_layers, parallel: index.parallel };
    const width = Math.max(80, box.width - GUTTER - 4);
    let height = Math.max(80, box.height - 36);
    const first = layoutFor({ ...shape, width, height });
    height = Math.max(80, box.height - axes.measure(tokens, first.dx * Math.min(1, width / first.width)));
    const made = layoutFor({ ...shape, width, height });
    layout = made;
    room = { width, height };
    attr(svg, 'viewBox', `0 0 ${Math.max(1, box.width)} ${Math.max(1, box.height)}`);
    for (const [name, value] of Object.entries(room)) attr(clipRect, name, value);
    zoomer.extent([[0, 0], [width, height]]).translateExtent([[-width * 0.4, -height * 0.4], [made.width + width * 0.4, made.height + height * 0.4]]);
    fill(bands, ...Array.from({ length: shape.nLayers }, (_, layer) => s('rect', {
      class: layer % 2 ? 'odd' : 'even',
      x: 0,
      width: made.width,
      y: yOf(made, layer, 'post') - made.dy * 0.21,
      height: made.dy,
    })));
    const rows = rowsOf(shape);
    attr(dots, 'd', rows.flatMap(({ layer, point }) => tokens.map((_, pos) => `M${xOf(made, pos).toFixed(1)},${yOf(made, layer, point).toFixed(1)}h0`)).join(''));
    attr(faint, 'd', graph.parts.slice(0, FAINT_LIMIT).map((part) => pathOf(curvesOf(made, part))).join(''));
    axes.build({ tokens, special: data.prompt.token_ids.map((id) => data.special.has(id)), layout: made });
    marks.clear();
    drawn = data;
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

  /** @param {GraphProps} next */
  function update(next) {
    const fresh = drawn !== next.data || props?.graph !== next.graph;
    props = next;
    const { route, data, selection, index } = next;
    if (fresh) {
      drawBackground();
      fit(false);
    }
    if (!layout) return;
    const top = nodeKey(index.n_layers - 1, 'post', route.target);
    const focus = selection && /\.(mid|post)\./.test(selection) ? selection : top;
    attr(faint, 'visibility', next.faint ? null : 'hidden');
    svg.classList.toggle('has-selection', selection !== null);
    attr(svg, 'aria-label', `Route to the prediction after ${showToken(data.prompt.tokens[route.target] ?? '')}: ${route.nodes.size} nodes, ${route.edges.size} edges. Arrow keys walk it.`);
    marks.update({ layout, route, tokens: data.prompt.tokens, selection, focus, parallel: index.parallel });
    drawOutcome();
    placeAxes();
    tooltip.update(null, null);
    attr(hover, 'd', null);
  }

  /** Node or edge under a pointer. @param {PointerEvent | MouseEvent} event @returns {string | null} */
  function keyAt(event) {
    const direct = event.target instanceof Element ? event.target.getAttribute('data-key') : null;
    if (direct) return direct;
    if (!layout || !props) return null;
    const box = svg.getBoundingClientRect();
    const [x, y] = transform.invert([event.clientX - box.left - GUTTER, event.clientY - box.top]);
    if (event.clientX - box.left < GUTTER || event.clientY - box.top > room.height) return null;
    const slack = 7 / transform.k;
    const pos = Math.round((x - layout.margin.x) / layout.dx);
    for (const { layer, point } of rowsOf(layout)) {
      const near = Math.hypot(xOf(layout, pos) - x, yOf(layout, layer, point) - y) < slack;
      const key = nodeKey(layer, point, pos);
      if (near && (props.route.nodes.has(key) || props.data.nodes.has(key))) return key;
    }
    return marks.edgeAt(x, y, slack);
  }

  /** @type {PointerEvent | null} */
  let pointer = null;
  const preview = perFrame(() => {
    const event = pointer;
    if (!event || !props) return;
    const key = keyAt(event);
    tooltip.update(key, props);
    svg.classList.toggle('over', key !== null);
    attr(hover, 'd', key === null ? null : marks.edgePath(key));
    const box = el.getBoundingClientRect();
    if (key !== null) tooltip.place(event.clientX - box.left, event.clientY - box.top, box);
  });

  function leave() {
    pointer = null;
    tooltip.update(null, null);
    attr(hover, 'd', null);
  }

  svg.addEventListener('pointermove', (event) => {
    pointer = event.buttons ? null : event;
    if (pointer) preview();
    else leave();
  });
  svg.addEventListener('pointerleave', leave);
  svg.addEventListener('click', (event) => {
    // A drag that panned ends in a click, too; d3-zoom marks it as handled.
    if (!event.defaultPrevented) onSelect(keyAt(event));
  });
  svg.addEventListener('keydown', (event) => {
    const key = event.target instanceof Element ? event.target.getAttribute('data-key') : null;
    if (key && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault();
      onSelect(key);
    }
  });
  select(/** @type {any} */ (svg)).call(/** @type {any} */ (zoomer)).on('dblclick.zoom', null);
  new ResizeObserver(
    perFrame(() => {
      if (!props || !el.isConnected) return;
      const keep = moved;
      drawBackground();
      if (!keep) fit(false);
      update(props);
    }),
  ).observe(el);

  /** Moves the keyboard's focus, and the view when the node is out of it. @param {string} key */
  function focusNode(key) {
    if (layout) {
      const node = parseNode(key);
      const [x, y] = transform.apply([xOf(layout, node.pos), yOf(layout, node.layer, node.point)]);
      if (x < 8 || y < 8 || x > room.width - 8 || y > room.height - 8) {
        moved = true;
        zoomer.translateTo(select(/** @type {any} */ (svg)), xOf(layout, node.pos), yOf(layout, node.layer, node.point));
      }
    }
    marks.nodeElement(key)?.focus({ preventScroll: true });
  }

  return { el, buttons, update, focusNode };
}
