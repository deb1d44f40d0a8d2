/**
 * The map itself: points that can be zoomed and moved, pointed at, walked among with the arrow keys, opened, and gathered
 * by drawing a line around them.
 */

import { createCamera } from './camera.js';
import { attr, fill, h, perFrame, s } from './dom.js';
import { clip, showText } from './format.js';
import { isInside, simplified } from './lasso.js';
import { markPaths, radiusFor } from './map-marks.js';
import { linear } from './plot.js';

/** @typedef {import('./lasso.js').Corner} Corner */
/** @typedef {{ prompt_id: number, x: number, y: number, cluster: number, group: string | null, text: string | null }} Point `text` is null where a run has too many to fetch */
/**
 * @typedef {{ points: Point[], shapes: Map<string | null, number>, chosen: (point: Point) => boolean, any: boolean, lasso: Corner[] | null,
 *   zoom: string | null, width: number, height: number, drawing: boolean }} MapProps
 *   `any`: a group is chosen, so that what is not in it is dim; `drawing`: the pointer draws the lasso instead of moving the map
 */

const NEAR = 14; // pixels around a point that still mean it
const MARGIN = 26;
const STEP = 0.15;
const DEEPEST = 40; // times the whole map

/** @param {{ onOpen: (id: number) => void, onLasso: (corners: Corner[]) => void, onZoom: (zoom: string | null) => void }} options */
export function createMapPlot({ onOpen, onLasso, onZoom }) {
  const marks = s('g', {});
  const line = s('path', { class: 'lasso' });
  const halo = s('circle', { class: 'halo', r: 9, visibility: 'hidden' });
  const svg = s('svg', { class: 'prompt-map', role: 'application', 'aria-roledescription': 'map', tabindex: '0', 'data-go': 'map', 'data-testid': 'map' }, marks, line, halo);
  const tooltip = h('div', { class: 'tooltip', hidden: true });
  const readout = h('output', { class: 'readout', 'data-testid': 'map-readout' });
  const frame = h('div', { class: 'map-frame' }, /** @type {any} */ (svg), tooltip);
  const el = h('div', { class: 'map-plot' }, frame, readout);
  const camera = createCamera({ svg, onMove: perFrame(draw), onRest: onZoom });
  /** @type {MapProps | null} */
  let props = null;
  /** @type {{ x: (value: number) => number, y: (value: number) => number, back: (x: number, y: number) => Corner }} */
  let scales = { x: (value) => value, y: (value) => value, back: (x, y) => [x, y] };
  let places = new Float64Array(0); // x, y of each point in pixels
  /** @type {Point | null} */
  let on = null;
  /** @type {Corner[] | null} in the map's units, while it is drawn */
  let drawn = null;

  /** Both axes with one scale: distances mean something. @param {Point[]} points @param {number} width @param {number} height */
  function fit(points, width, height) {
    const span = (/** @type {'x' | 'y'} */ axis) => points.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = [span('x'), span('y')];
    const unit = Math.min((width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (high - low || 1));
    const [cx, cy] = [(left + right) / 2, (low + high) / 2];
    const x = linear([cx, cx + 1], [width / 2, width / 2 + unit]);
    const y = linear([cy, cy + 1], [height / 2, height / 2 - unit]);
    scales = { x, y, back: (px, py) => [cx + (px - width / 2) / unit, cy - (py - height / 2) / unit] };
  }

  function draw() {
    if (!props) return;
    const { points, shapes, chosen, any, lasso } = props;
    const transform = camera.transform();
    places = new Float64Array(2 * points.length);
    const shown = points.map((point, i) => {
      const x = (places[2 * i] = transform.applyX(scales.x(point.x)));
      const y = (places[2 * i + 1] = transform.applyY(scales.y(point.y)));
      return { x, y, colour: point.cluster, shape: shapes.get(point.group) ?? 0, dim: any && !chosen(point) };
    });
    const { width, height } = props;
    const inView = shown.filter(({ x, y }) => x > -9 && y > -9 && x < width + 9 && y < height + 9);
    marks.replaceChildren(...markPaths(inView, radiusFor(points.length)));
    const corners = drawn ?? lasso ?? [];
    const path = corners.map(([x, y]) => `${transform.applyX(scales.x(x)).toFixed(1)},${transform.applyY(scales.y(y)).toFixed(1)}`);
    attr(line, 'd', path.length > 1 ? `M${path.join('L')}${drawn ? '' : 'Z'}` : null);
    point(on);
  }

  /** What a point is, in words. @param {Point} of */
  const wordsOf = ({ prompt_id, text, group, cluster }) => [`prompt ${prompt_id}, cluster ${cluster}${group === null ? '' : `, ${showText(group)}`}${text === null ? '' : ': '}`, h('b', {}, clip(showText(text ?? ''), 200))];

  /** @param {Point | null} to @param {boolean} [hover] */
  function point(to, hover = false) {
    on = to;
    const i = to && props ? props.points.indexOf(to) : -1;
    attr(halo, 'visibility', i < 0 ? 'hidden' : null);
    tooltip.hidden = i < 0 || !hover;
    if (i < 0 || !to) return fill(readout, 'Point at a prompt, or walk with the arrow keys; Enter or a click opens it. Colours are clusters, shapes are groups.');
    const [x, y] = [places[2 * i], places[2 * i + 1]];
    attr(halo, 'cx', x.toFixed(1));
    attr(halo, 'cy', y.toFixed(1));
    fill(readout, ...wordsOf(to));
    if (!hover || !props) return;
    fill(tooltip, h('p', {}, ...wordsOf(to)));
    const left = x + 14 + tooltip.offsetWidth > props.width ? Math.max(4, x - tooltip.offsetWidth - 12) : x + 14;
    const top = y + 14 + tooltip.offsetHeight > props.height ? Math.max(4, y - tooltip.offsetHeight - 12) : y + 14;
    tooltip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  /** The nearest point, by a measure of distance that may refuse. @param {(dx: number, dy: number) => number} measure @param {number} x @param {number} y */
  function nearest(measure, x, y) {
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < places.length / 2; i += 1) {
      const gap = measure(places[2 * i] - x, places[2 * i + 1] - y);
      if (gap < least) [best, least] = [i, gap];
    }
    return { point: best < 0 ? null : (props?.points[best] ?? null), gap: least };
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  function at(event) {
    const box = svg.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** @param {MouseEvent} event */
  function under(event) {
    const found = nearest(Math.hypot, ...at(event));
    return found.gap <= NEAR ? found.point : null;
  }

  /** The next point in a direction: near, and not far to the side. @param {number} dx @param {number} dy */
  function walk(dx, dy) {
    if (!props) return;
    const i = on ? props.points.indexOf(on) : -1;
    const [x, y] = i < 0 ? [props.width / 2, props.height / 2] : [places[2 * i], places[2 * i + 1]];
    const ahead = (/** @type {number} */ px, /** @type {number} */ py) => {
      const along = px * dx + py * dy;
      const aside = Math.abs(px * dy) + Math.abs(py * dx);
      return along > 0.5 ? along + 2 * aside : Infinity;
    };
    const next = i < 0 ? nearest(Math.hypot, x, y) : nearest(ahead, x, y);
    if (next.point) point(next.point);
  }

  const lassoing = (/** @type {MouseEvent} */ event) => props !== null && (props.drawing || event.shiftKey);
  const corner = (/** @type {MouseEvent} */ event) => {
    const [x, y] = camera.transform().invert(at(event));
    return scales.back(x, y);
  };

  // The camera listens to the same element: while a line is drawn it must not move the map.
  for (const type of ['mousedown', 'touchstart']) {
    frame.addEventListener(type, (event) => lassoing(/** @type {MouseEvent} */ (event)) && event.stopPropagation(), { capture: true });
  }
  svg.addEventListener('pointerdown', (event) => {
    if (event.button || !lassoing(event)) return;
    svg.setPointerCapture(event.pointerId);
    drawn = [corner(event)];
  });
  svg.addEventListener('pointermove', (event) => {
    if (!drawn) return point(under(event), true);
    drawn.push(corner(event));
    draw();
  });
  svg.addEventListener('pointerup', () => {
    const done = drawn && simplified(drawn);
    drawn = null;
    if (done && done.length > 2 && props?.points.some(({ x, y }) => isInside(done, x, y))) onLasso(done);
    else draw();
  });
  svg.addEventListener('pointercancel', () => {
    drawn = null;
    draw();
  });
  svg.addEventListener('pointerleave', () => point(null));
  svg.addEventListener('click', (event) => {
    const found = lassoing(event) ? null : under(event);
    if (found) onOpen(found.prompt_id);
  });
  svg.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by && !event.shiftKey) walk(by[0], by[1]);
    else if (event.key === 'Enter' && on) onOpen(on.prompt_id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  /** @param {MapProps} next */
  function update(next) {
    const resized = !props || props.width !== next.width || props.height !== next.height || props.points !== next.points;
    props = next;
    if (!next.points.includes(/** @type {Point} */ (on))) on = null;
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${next.width} ${next.height}`, width: next.width, height: next.height })) attr(svg, name, value);
    attr(svg, 'aria-label', `Map of ${next.points.length} prompts. Arrow keys walk from point to point, Enter opens the prompt; the list of clusters beside it makes a group.`);
    svg.classList.toggle('drawing', next.drawing);
    if (resized) {
      fit(next.points, next.width, next.height);
      camera.resize(next, { width: next.width, height: next.height, dx: 100 / DEEPEST, dy: 60 / DEEPEST });
    }
    if (next.zoom !== camera.place() && !camera.show(next.zoom)) camera.set(0, 0, 1);
    draw();
  }

  /** Zoom and pan with the keys of the graph. @param {string} key @returns {boolean} */
  function onKey(key) {
    const moves = { w: [0, -STEP], s: [0, STEP], a: [-STEP, 0], d: [STEP, 0] };
    if (key === 'z') camera.scale(1.3, null);
    else if (key === 'Z') camera.scale(1 / 1.3, null);
    else if (key === '0') onZoom(null);
    else if (key in moves) camera.pan(...(/** @type {[number, number]} */ (moves[/** @type {keyof typeof moves} */ (key)])));
    else return false;
    return true;
  }

  return { el, update, onKey, figure: () => svg };
}
