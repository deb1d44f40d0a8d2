/**
 * The route's marks: edges, MLP squares and nodes as keyed SVG elements. Moving the threshold adds, removes and
 * restyles only what changed; elements are kept for the whole prompt and taken out of the tree while off the route.
 */

import { attr, s } from './dom.js';
import { edgeLabel, nodeMeaning, tokenAt } from './describe.js';
import { curvesOf, distanceTo, mlpAt, pathOf, polyline, xOf, yOf } from './layout.js';
import { parseNode } from './routes.js';

/** @typedef {import('./routes.js').Route} Route */
/** @typedef {import('./routes.js').RouteEdge} RouteEdge */
/** @typedef {import('./layout.js').Layout} Layout */

export const BINS = 8;

/** Lightness by share, in a few classes so that a theme can colour them. @param {number} share */
export function binOf(share) {
  return Math.min(BINS - 1, Math.floor(Math.sqrt(Math.max(0, share)) * BINS));
}

/** @param {number} share */
export function widthOf(share) {
  return Math.round((0.9 + 5.6 * Math.max(0, share) ** 0.75) * 10) / 10;
}

/** @param {string} key */
const testid = (key) => key.replaceAll('.', '-');

/** Keeps a layer of keyed elements equal to a set of keys. @template {SVGElement} E @param {SVGGElement} parent */
function keyed(parent) {
  /** @type {Map<string, E>} */
  const made = new Map();
  /** @type {Set<string>} */
  const shown = new Set();
  return {
    made,
    clear() {
      made.clear();
      shown.clear();
      parent.replaceChildren();
    },
    /** @param {Iterable<string>} keys @param {(key: string) => E} create @param {(el: E, key: string) => void} style */
    sync(keys, create, style) {
      const wanted = new Set(keys);
      for (const key of shown) {
        if (wanted.has(key)) continue;
        made.get(key)?.remove();
        shown.delete(key);
      }
      for (const key of wanted) {
        let el = made.get(key);
        if (!el) made.set(key, (el = create(key)));
        style(el, key);
        if (!shown.has(key)) {
          shown.add(key);
          parent.append(el);
        }
      }
    },
  };
}

export function createMarks() {
  const edgeLayer = s('g', { class: 'edges', 'aria-hidden': 'true' });
  const mlpLayer = s('g', { class: 'mlps', 'aria-hidden': 'true' });
  const nodeLayer = s('g', { class: 'nodes' });
  const edges = /** @type {ReturnType<typeof keyed<SVGPathElement>>} */ (keyed(edgeLayer));
  const mlps = /** @type {ReturnType<typeof keyed<SVGRectElement>>} */ (keyed(mlpLayer));
  const nodes = /** @type {ReturnType<typeof keyed<SVGCircleElement>>} */ (keyed(nodeLayer));
  /** @type {Map<string, Float32Array>} */
  const lines = new Map();
  /** @type {{ layout: Layout, tokens: string[], route: Route } | null} */
  let now = null;

  /** Forgets everything: another prompt, or another layout. */
  function clear() {
    for (const layer of [edges, mlps, nodes]) layer.clear();
    lines.clear();
  }

  /** @param {RouteEdge} edge @param {Layout} layout */
  function createEdge(edge, layout) {
    const curves = curvesOf(layout, edge);
    lines.set(edge.key, polyline(curves));
    return s('path', { d: pathOf(curves), 'data-key': edge.key, 'data-testid': `edge-${testid(edge.key)}` });
  }

  /** @param {RouteEdge} edge @param {Layout} layout */
  function createMlp(edge, layout) {
    const { x, y } = mlpAt(layout, edge.layer, edge.dst);
    const side = Math.min(11, layout.dx * 0.26);
    return s('rect', {
      x: x - side / 2,
      y: y - side / 2,
      width: side,
      height: side,
      rx: 1.5,
      'data-key': edge.key,
      'data-testid': `mlp-${edge.layer}-${edge.dst}`,
    });
  }

  /** @param {string} key @param {Layout} layout @param {string[]} tokens @param {boolean} parallel */
  function createNode(key, layout, tokens, parallel) {
    const { layer, point, pos } = parseNode(key);
    return s('circle', {
      cx: xOf(layout, pos),
      cy: yOf(layout, layer, point),
      role: 'button',
      tabindex: '-1',
      'aria-label': `${nodeMeaning({ layer, point }, parallel)}, token ${tokenAt(tokens, pos)}`,
      'data-key': key,
      'data-testid': `node-${testid(key)}`,
    });
  }

  /**
   * @param {{ layout: Layout, route: Route, tokens: string[], selection: string | null, focus: string, parallel: boolean }} props
   *   `focus` is the node that Tab reaches
   */
  function update({ layout, route, tokens, selection, focus, parallel }) {
    now = { layout, tokens, route };
    const scale = Math.min(1, Math.max(0.6, layout.dx / 60)); // thinner where columns stand close
    const incident = (/** @type {RouteEdge} */ edge) => edge.to === selection || edge.from === selection;
    edges.sync(
      route.edges.keys(),
      (key) => createEdge(/** @type {RouteEdge} */ (route.edges.get(key)), layout),
      (el, key) => {
        const edge = /** @type {RouteEdge} */ (route.edges.get(key));
        const mark = key === selection ? ' selected' : incident(edge) ? ' incident' : '';
        attr(el, 'class', `edge ${edge.kind === 'mlp' ? 'mlp' : 'attn'} b${binOf(edge.shown)}${mark}`);
        attr(el, 'stroke-width', Math.round(widthOf(edge.shown) * scale * 10) / 10);
      },
    );
    const squares = [...route.edges.values()].filter((edge) => edge.kind === 'mlp').map((edge) => edge.key);
    mlps.sync(
      squares,
      (key) => createMlp(/** @type {RouteEdge} */ (route.edges.get(key)), layout),
      (el, key) => {
        const edge = /** @type {RouteEdge} */ (route.edges.get(key));
        attr(el, 'class', `square b${binOf(edge.shown)}${key === selection ? ' selected' : ''}`);
      },
    );
    const top = `${layout.nLayers - 1}.post.${route.target}`;
    const small = Math.min(5, layout.dx * 0.13);
    nodes.sync(
      new Set([...route.nodes.keys(), ...(selection && /mid|post/.test(selection) ? [selection] : [])]),
      (key) => createNode(key, layout, tokens, parallel),
      (el, key) => {
        const off = route.nodes.has(key) ? '' : ' off';
        attr(el, 'class', `node${off}${key === top ? ' target' : ''}${key === selection ? ' selected' : ''}`);
        attr(el, 'r', key === top ? small * 1.5 : key === selection ? small * 1.3 : key.includes('mid') ? small * 0.8 : small);
        attr(el, 'tabindex', key === focus ? '0' : '-1');
        attr(el, 'aria-pressed', key === selection ? 'true' : 'false');
      },
    );
    // A selection is drawn over its neighbours.
    const chosen = selection ? (edges.made.get(selection) ?? nodes.made.get(selection)) : null;
    if (chosen?.parentNode && chosen !== chosen.parentNode.lastChild && chosen !== document.activeElement) {
      chosen.parentNode.append(chosen);
    }
  }

  /**
   * What lies under a point: a square, else the nearest edge.
   * @param {number} x @param {number} y @param {number} slack in the graph's units
   * @returns {string | null}
   */
  function edgeAt(x, y, slack) {
    if (!now) return null;
    let best = null;
    for (const edge of now.route.edges.values()) {
      const line = lines.get(edge.key);
      if (!line) continue;
      if (edge.kind === 'mlp') {
        const square = mlpAt(now.layout, edge.layer, edge.dst);
        if (Math.abs(square.x - x) < slack && Math.abs(square.y - y) < slack) return edge.key;
      }
      const gap = Math.max(0, distanceTo(line, x, y) - widthOf(edge.shown) / 2);
      if (gap < slack && (best === null || gap < best.gap)) best = { key: edge.key, gap };
    }
    return best?.key ?? null;
  }

  /** @param {string} key */
  const nodeElement = (key) => nodes.made.get(key) ?? null;
  /** @param {string} key */
  const edgePath = (key) => edges.made.get(key)?.getAttribute('d') ?? null;
  /** @param {string} key @returns {string} */
  const label = (key) => (now?.route.edges.has(key) ? edgeLabel(/** @type {RouteEdge} */ (now.route.edges.get(key)), now.tokens) : '');

  return { layers: [edgeLayer, mlpLayer, nodeLayer], update, clear, edgeAt, nodeElement, edgePath, label };
}
