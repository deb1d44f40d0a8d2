/** Pointing at the graph: what lies under the pointer, its preview, and what a click or key on it does. */

import { GUTTER } from './axes.js';
import { attr, perFrame } from './dom.js';
import { columnAt, rowsOf, xOf, yOf } from './layout.js';
import { nodeKey } from './routes.js';

const REACH = 7; // pixels that a pointer may be beside what it means

/**
 * @typedef {{ props: import('./graph.js').GraphProps, layout: import('./layout.js').Layout,
 *   transform: import('d3-zoom').ZoomTransform, room: { width: number, height: number } }} Scene
 */

/**
 * @param {{ el: HTMLElement, svg: SVGSVGElement, hover: SVGPathElement,
 *   marks: ReturnType<typeof import('./marks.js').createMarks>, tooltip: ReturnType<typeof import('./tooltip.js').createTooltip>,
 *   scene: () => Scene | null, onSelect: (key: string | null) => void, onOpen: (key: string) => void }} options
 *   `scene` is what is drawn now
 */
export function createPointer({ el, svg, hover, marks, tooltip, scene, onSelect, onOpen }) {
  /** Node or edge under a pointer. @param {{ target: EventTarget | null, clientX: number, clientY: number }} event @param {DOMRect} box of the graph @returns {string | null} */
  function keyAt(event, box = el.getBoundingClientRect()) {
    const direct = event.target instanceof Element ? event.target.getAttribute('data-key') : null;
    if (direct) return direct;
    const now = scene();
    if (!now) return null;
    const { props, layout, transform, room } = now;
    if (event.target instanceof Element && event.target.closest('.chip-node')) return null;
    const [x, y] = transform.invert([event.clientX - box.left - GUTTER, event.clientY - box.top]);
    if (event.clientX - box.left < GUTTER || event.clientY - box.top > room.height) return null;
    const pixel = 1 / transform.k;
    const pos = columnAt(layout, x);
    // Where rows stand close, the nearest node, and only near it, so that edges between can be pointed at.
    let best = { key: '', gap: Math.min(REACH, Math.max(3, Math.min(layout.dx, layout.dy) * transform.k * 0.3)) * pixel };
    for (const { layer, point } of rowsOf(layout)) {
      const gap = Math.hypot(xOf(layout, pos) - x, yOf(layout, layer, point) - y);
      const key = nodeKey(layer, point, pos);
      if (gap < best.gap && (props.route.nodes.has(key) || props.data.nodes.has(key))) best = { key, gap };
    }
    return best.key || marks.edgeAt(x, y, pixel, REACH);
  }

  /** @type {{ target: EventTarget | null, clientX: number, clientY: number } | null} where the pointer rests on the graph */
  let pointer = null;
  const preview = perFrame(() => {
    const event = pointer;
    const now = scene();
    if (!event || !now) return;
    const box = el.getBoundingClientRect(); // read before anything is written
    const key = keyAt(event, box);
    tooltip.update(key, now.props);
    if ((key !== null) !== shownTip) svg.classList.toggle('over', key !== null);
    shownTip = key !== null;
    if (key !== over) attr(hover, 'd', key === null ? null : marks.edgePath(key));
    over = key;
    if (key !== null) tooltip.place(event.clientX - box.left, event.clientY - box.top, box);
  });
  let shownTip = false;
  /** @type {string | null} */
  let over = null;

  /** Takes the preview away. */
  function leave() {
    pointer = null;
    if (!shownTip && over === null) return;
    over = null;
    shownTip = false;
    svg.classList.remove('over');
    tooltip.update(null, null);
    attr(hover, 'd', null);
  }

  /** What was drawn has changed under a pointer that rests: late data must not take its preview away. */
  function refresh() {
    if (!pointer) return leave();
    const { clientX, clientY } = pointer;
    const target = document.elementFromPoint(clientX, clientY);
    if (!target || !svg.contains(target)) return leave();
    pointer = { target, clientX, clientY };
    over = null; // its edge may be drawn elsewhere now
    attr(hover, 'd', null);
    preview();
  }

  svg.addEventListener('pointermove', (event) => {
    const { target, clientX, clientY } = event;
    pointer = event.buttons ? null : { target, clientX, clientY };
    if (pointer) preview();
    else leave();
  });
  svg.addEventListener('pointerleave', leave);
  svg.addEventListener('click', (event) => {
    // A drag that panned ends in a click, too; d3-zoom marks it as handled.
    if (!event.defaultPrevented) onSelect(keyAt(event));
  });
  svg.addEventListener('dblclick', (event) => {
    const key = keyAt(event);
    if (key && /\.(mid|post)\./.test(key)) onOpen(key);
  });
  svg.addEventListener('keydown', (event) => {
    const key = event.target instanceof Element ? event.target.getAttribute('data-key') : null;
    // On a node that is selected, Enter goes on along its strongest edge.
    if (key && (event.key === ' ' || (event.key === 'Enter' && key !== scene()?.props.selection))) {
      event.preventDefault();
      onSelect(key);
    }
  });

  return { refresh };
}
