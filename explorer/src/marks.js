/**
 * The route's marks: edges, MLP squares and nodes as keyed SVG elements. Moving the threshold adds, removes and
 * restyles only what changed; elements are kept for the whole prompt and taken out of the tree while off the route.
 */

import { attr, s } from './dom.js';
import { edgeLabel, nodeMeaning, tokenAt } from './describe.js';
import { curvesOf, distanceTo, mlpAt, pathOf, polyline, xOf, yOf } from './layout.js';
import { parseNode } from './routes.js';
import { binOf, radiusOf, scaleOf, sideOf, widthOf } from './sizes.js';

/** @typedef {import('./routes.js').Route} Route */
/** @typedef {import('./routes.js').RouteEdge} RouteEdge */
/** @typedef {import('./layout.js').Layout} Layout */

const ELEMENTS = 700; // edges that are elements of their own where a route has too many for that
const ALL_ELEMENTS = 1000; // up to here every edge is one

/** @param {string} key */
const testid = (key) => key.replaceAll('.', '-');

/** Keeps a layer of keyed elements equal to a set of keys; an element is touched only where its look changed. @template {SVGElement} E @param {SVGGElement} parent */
function keyed(parent) {
  /** @type {Map<string, E>} */
  const made = new Map();
  /** @type {Map<string, string>} key to the look that was last given to it */
  const shown = new Map();
  return {
    made,
    /** @param {(el: E, key: string) => void} visit each that is in the tree */
    each(visit) {
      for (const key of shown.keys()) visit(/** @type {E} */ (made.get(key)), key);
    },
    clear() {
      made.clear();
      shown.clear();
      parent.replaceChildren();
    },
    /**
     * @param {Map<string, string>} wanted key to look: any text from which `style` follows
     * @param {(key: string) => E} create @param {(el: E, key: string) => void} style
     */
    sync(wanted, create, style) {
      for (const key of shown.keys()) {
        if (wanted.has(key)) continue;
        made.get(key)?.remove();
        shown.delete(key);
      }
      /** @type {E[]} */
      const fresh = [];
      for (const [key, look] of wanted) {
        if (shown.get(key) === look) continue;
        let el = made.get(key);
        if (!el) made.set(key, (el = create(key)));
        style(el, key);
        if (!shown.has(key)) fresh.push(el);
        shown.set(key, look);
      }
      parent.append(...fresh);
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
  /** @type {{ layout: Layout, tokens: string[], route: Route, drawn: RouteEdge[][] } | null} `drawn` by layer */
  let now = null;
  let k = 1; // magnification that nodes and squares have their size for

  /** @param {SVGElement} el @param {string} key */
  function sizeNode(el, key) {
    if (!now) return;
    const radius = radiusOf(now.layout, k);
    const top = key === `${now.layout.nLayers - 1}.post.${now.route.target}`;
    const r = top ? Math.max(4.5, radius * 1.5) : el.classList.contains('selected') ? Math.max(3.5, radius * 1.3) : key.includes('mid') ? radius * 0.8 : radius;
    attr(el, 'r', Math.round((r / k) * 1000) / 1000);
  }

  /** @param {SVGElement} el @param {string} key */
  function sizeMlp(el, key) {
    const edge = now?.route.edges.get(key);
    if (!now || !edge) return;
    const { x, y } = mlpAt(now.layout, edge.layer, edge.dst);
    const side = sideOf(now.layout, k) / k;
    const place = { x: x - side / 2, y: y - side / 2, width: side, height: side, rx: side * 0.14 };
    for (const [name, value] of Object.entries(place)) attr(el, name, Math.round(value * 1000) / 1000);
  }

  /** The graph is magnified: nodes and squares keep their size on the screen, or grow to their full one. @param {number} times */
  function resize(times) {
    if (times === k) return;
    k = times;
    nodes.each(sizeNode);
    mlps.each(sizeMlp);
  }

  /** Forgets everything: another prompt, or another layout. */
  function clear() {
    for (const layer of [edges, mlps, nodes]) layer.clear();
    lines.clear();
  }

  /** @param {RouteEdge} edge @param {Layout} layout */
  function createEdge(edge, layout) {
    return s('path', { d: pathOf(curvesOf(layout, edge)), 'data-key': edge.key, 'data-testid': `edge-${testid(edge.key)}` });
  }

  /** @param {RouteEdge} edge */
  function createMlp(edge) {
    return s('rect', {
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
   * Every drawn edge as an element, or the strongest where they are too many: those that leave the route last, so that
   * moving the threshold down changes none of them.
   * @param {RouteEdge[]} visible @param {string | null} selection @param {boolean} whole
   */
  function split(visible, selection, whole) {
    if (whole || visible.length <= ALL_ELEMENTS) return { strong: visible, weak: [] };
    const cut = Float64Array.from(visible, (edge) => edge.bottleneck).sort()[visible.length - ELEMENTS];
    /** @type {RouteEdge[]} */
    const strong = [];
    /** @type {RouteEdge[]} */
    const weak = [];
    for (const edge of visible) (edge.key === selection || (edge.bottleneck > cut && strong.length < ELEMENTS) ? strong : weak).push(edge);
    return { strong, weak };
  }

  /**
   * @param {{ layout: Layout, route: Route, tokens: string[], selection: string | null, focus: string, parallel: boolean,
   *   hidden: (edge: RouteEdge) => boolean, whole?: boolean }} props
   *   `focus` is the node that Tab reaches; `whole` makes every edge an element
   * @returns {RouteEdge[]} the edges that are left to be painted
   */
  function update({ layout, route, tokens, selection, focus, parallel, hidden, whole = false }) {
    const visible = [...route.edges.values()].filter((edge) => !hidden(edge));
    now = { layout, tokens, route, drawn: Array.from({ length: layout.nLayers }, () => []) };
    for (const edge of visible) now.drawn[edge.layer]?.push(edge);
    const { strong, weak } = split(visible, selection, whole);
    /** @type {Map<string, RouteEdge>} */
    const byKey = new Map(strong.map((edge) => [edge.key, edge]));
    const widths = new Map(strong.map((edge) => [edge.key, widthOf(edge.shown)]));
    const look = (/** @type {RouteEdge} */ edge) => {
      const mark = edge.key === selection ? ' selected' : edge.to === selection || edge.from === selection ? ' incident' : '';
      return `edge ${edge.kind === 'mlp' ? 'mlp' : 'attn'} b${binOf(edge.shown)}${mark}`;
    };
    edges.sync(
      new Map(strong.map((edge) => [edge.key, `${look(edge)} ${widths.get(edge.key)}`])),
      (key) => createEdge(/** @type {RouteEdge} */ (byKey.get(key)), layout),
      (el, key) => {
        el.setAttribute('class', look(/** @type {RouteEdge} */ (byKey.get(key))));
        el.style.setProperty('--w', `${widths.get(key)}px`);
      },
    );
    const squareLook = (/** @type {RouteEdge} */ edge) => `square b${binOf(edge.shown)}${edge.key === selection ? ' selected' : ''}`;
    mlps.sync(
      new Map(visible.filter((edge) => edge.kind === 'mlp').map((edge) => [edge.key, squareLook(edge)])),
      (key) => createMlp(/** @type {RouteEdge} */ (route.edges.get(key))),
      (el, key) => {
        el.setAttribute('class', squareLook(/** @type {RouteEdge} */ (route.edges.get(key))));
        sizeMlp(el, key);
      },
    );
    const top = `${layout.nLayers - 1}.post.${route.target}`;
    const nodeLook = (/** @type {string} */ key) => `node${route.nodes.has(key) ? '' : ' off'}${key === top ? ' target' : ''}${key === selection ? ' selected' : ''}`;
    const places = new Map([...route.nodes.keys()].map((key) => [key, nodeLook(key) + (key === focus ? ' focus' : '')]));
    if (selection && /mid|post/.test(selection) && !places.has(selection)) places.set(selection, nodeLook(selection) + (selection === focus ? ' focus' : ''));
    nodes.sync(
      places,
      (key) => createNode(key, layout, tokens, parallel),
      (el, key) => {
        attr(el, 'class', nodeLook(key));
        sizeNode(el, key);
        attr(el, 'tabindex', key === focus ? '0' : '-1');
        attr(el, 'aria-pressed', key === selection ? 'true' : 'false');
      },
    );
    // A selection is drawn over its neighbours.
    const chosen = selection ? (edges.made.get(selection) ?? nodes.made.get(selection)) : null;
    if (chosen?.parentNode && chosen !== chosen.parentNode.lastChild && chosen !== document.activeElement) {
      chosen.parentNode.append(chosen);
    }
    return weak;
  }

  /** @param {RouteEdge} edge @param {Layout} layout */
  function lineOf(edge, layout) {
    let line = lines.get(edge.key);
    if (!line) lines.set(edge.key, (line = polyline(curvesOf(layout, edge))));
    return line;
  }

  /**
   * What lies under a point: a square, else the nearest edge.
   * @param {number} x @param {number} y @param {number} pixel in the graph's units @param {number} reach in pixels
   * @returns {string | null}
   */
  function edgeAt(x, y, pixel, reach) {
    if (!now) return null;
    const { layout, drawn } = now;
    const slack = reach * pixel;
    const scale = scaleOf(layout, k) * pixel;
    let best = null;
    for (let layer = 0; layer < layout.nLayers; layer += 1) {
      // All edges of a layer lie between its rows.
      if (y < yOf(layout, layer, 'post') - slack || y > yOf(layout, layer - 1, 'post') + slack) continue;
      for (const edge of drawn[layer]) {
        const [x0, x1] = [xOf(layout, edge.src), xOf(layout, edge.dst)];
        if (x < Math.min(x0, x1) - layout.dx || x > Math.max(x0, x1) + layout.dx) continue;
        if (edge.kind === 'mlp') {
          const square = mlpAt(layout, edge.layer, edge.dst);
          if (Math.abs(square.x - x) < slack && Math.abs(square.y - y) < slack) return edge.key;
        }
        const gap = Math.max(0, distanceTo(lineOf(edge, layout), x, y) - (widthOf(edge.shown) * scale) / 2);
        if (gap < slack && (best === null || gap < best.gap)) best = { key: edge.key, gap };
      }
    }
    return best?.key ?? null;
  }

  /** @param {string} key */
  const nodeElement = (key) => nodes.made.get(key) ?? null;
  /** @param {string} key */
  const edgePath = (key) => {
    const edge = now?.route.edges.get(key);
    return now && edge ? pathOf(curvesOf(now.layout, edge)) : null;
  };
  /** @param {string} key @returns {string} */
  const label = (key) => (now?.route.edges.has(key) ? edgeLabel(/** @type {RouteEdge} */ (now.route.edges.get(key)), now.tokens) : '');

  return { layers: [edgeLayer, mlpLayer, nodeLayer], update, clear, resize, edgeAt, nodeElement, edgePath, label };
}
