/**
 * Edges as paint: thousands of thin edges on a canvas under the graph, where keeping an SVG element for each would make
 * every move repaint all of them. Only what is in the window is drawn.
 */

import { h, s } from './dom.js';
import { curvesOf } from './layout.js';
import { BINS, binOf, widthOf } from './sizes.js';

/** @typedef {import('./layout.js').Layout} Layout */
/** @typedef {{ path: Path2D, left: number, right: number, top: number, bottom: number }} Shape */
/** @typedef {{ key: string, to: string, from: string, kind: string, shown: number } & import('./routes.js').Part} Stroke */

/** @param {import('./layout.js').Cubic[]} curves @returns {Shape} */
function shapeOf(curves) {
  const path = new Path2D();
  const shape = { path, left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  for (const curve of curves) {
    path.moveTo(curve[0], curve[1]);
    path.bezierCurveTo(curve[2], curve[3], curve[4], curve[5], curve[6], curve[7]);
    for (let i = 0; i < 8; i += 2) {
      shape.left = Math.min(shape.left, curve[i]);
      shape.right = Math.max(shape.right, curve[i]);
      shape.top = Math.min(shape.top, curve[i + 1]);
      shape.bottom = Math.max(shape.bottom, curve[i + 1]);
    }
  }
  return shape;
}

/** @param {string} name of the canvas, for the stylesheet */
export function createPainter(name) {
  const canvas = h('canvas', { class: `paint ${name}`, 'aria-hidden': 'true' });
  const el = h('div', { class: 'paint-window' }, canvas);
  const context = canvas.getContext('2d');
  /** @type {{ k: number, x: number, y: number } | null} where the camera looked when it was drawn */
  let drawn = null;
  const probe = s('path', { class: 'edge' });
  const probes = s('svg', { class: 'probe', 'aria-hidden': 'true' }, probe);
  /** @type {Map<string, Shape>} */
  const shapes = new Map();
  /** @type {Map<string, string> | null} stroke by class, as the theme has it */
  let colours = null;
  /** @type {Layout | null} */
  let layout = null;

  /** The stylesheet's colour of a class. @param {string} names */
  function colour(names) {
    colours ??= new Map();
    let found = colours.get(names);
    if (found === undefined) {
      probe.setAttribute('class', names);
      colours.set(names, (found = getComputedStyle(probe).stroke));
    }
    return found;
  }

  /** @param {number} width @param {number} height in CSS pixels */
  function resize(width, height) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, hgt] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w) canvas.width = w;
    if (canvas.height !== hgt) canvas.height = hgt;
    for (const one of [el, canvas]) Object.assign(one.style, { inlineSize: `${width}px`, blockSize: `${height}px` });
  }

  /** @param {import('./routes.js').Part} edge @param {Layout} made */
  function shape(edge, made) {
    if (layout !== made) {
      shapes.clear();
      layout = made;
    }
    let found = shapes.get(edge.key);
    if (!found) shapes.set(edge.key, (found = shapeOf(curvesOf(made, edge))));
    return found;
  }

  /**
   * @param {{ edges: Iterable<Stroke>, layout: Layout, transform: { k: number, x: number, y: number }, scale: number,
   *   selection?: string | null }} scene `scale` of the widths, which are on the screen: zooming leaves them
   */
  function draw({ edges, layout: made, transform, scale, selection = null }) {
    if (!context || !canvas.width) return;
    const ratio = canvas.width / Math.max(1, parseFloat(canvas.style.inlineSize));
    drawn = transform;
    canvas.style.transform = '';
    const { k, x, y } = transform;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(k * ratio, 0, 0, k * ratio, x * ratio, y * ratio);
    const [left, top] = [-x / k - 8, -y / k - 8];
    const [right, bottom] = [left + canvas.width / ratio / k + 16, top + canvas.height / ratio / k + 16];
    context.lineCap = 'round';
    const strokes = Array.from({ length: 2 * BINS }, (_, i) => colour(`edge ${i < BINS ? 'attn' : 'mlp'} b${i % BINS}`));
    for (const edge of edges) {
      const at = shape(edge, made);
      if (at.right < left || at.left > right || at.bottom < top || at.top > bottom) continue;
      context.strokeStyle = strokes[(edge.kind === 'mlp' ? BINS : 0) + binOf(edge.shown)];
      context.lineWidth = (widthOf(edge.shown) * scale) / k;
      context.globalAlpha = selection === null || edge.to === selection || edge.from === selection ? 1 : 0.6;
      context.stroke(at.path);
    }
    context.globalAlpha = 1;
  }

  /** Moves what is drawn, which costs nothing; false where it has to be drawn anew. @param {{ k: number, x: number, y: number }} transform */
  function shift(transform) {
    if (drawn?.k !== transform.k) return false;
    canvas.style.transform = `translate(${transform.x - drawn.x}px, ${transform.y - drawn.y}px)`;
    return true;
  }

  function clear() {
    drawn = null;
    context?.setTransform(1, 0, 0, 1, 0, 0);
    context?.clearRect(0, 0, canvas.width, canvas.height);
  }

  return { el, probes, resize, draw, shift, clear, recolour: () => (colours = null) };
}
