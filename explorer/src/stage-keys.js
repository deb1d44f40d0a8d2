/** What keys do on the route graph: walk it, look at another part of it, open nodes, hide kinds of edges. */

import { edgeLabel } from './describe.js';
import { hiderOf } from './graph.js';
import { HIDEABLE, toggled } from './state.js';
import { follow, step, stepFromEdge } from './steps.js';

const ARROWS = /** @type {Record<string, import('./steps.js').Direction>} */ ({ ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' });
const PANS = /** @type {Record<string, [number, number]>} */ ({ a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1] });
const PAN = 0.15; // of the window
const ZOOM = 1.4;

/**
 * @param {{ graph: ReturnType<typeof import('./graph.js').createGraph>, props: () => import('./stage.js').StageProps | null,
 *   go: (change: import('./stage.js').Change, replace?: boolean) => void, onSelect: (sel: string | null, replace?: boolean) => void,
 *   onOpen: () => void, toggleFull: () => void, say: (words: string) => void }} options
 */
export function createStageKeys({ graph, props, go, onSelect, onOpen, toggleFull, say }) {
  /** Keys that are only for what the page's controls leave: Enter presses the button that has the focus. @param {KeyboardEvent} event */
  const isFree = ({ target }) => !(target instanceof Element) || target === document.body || target.id === 'main' || graph.el.contains(target);

  /** @param {import('./stage.js').StageProps} now @param {string | import('./routes.js').RouteEdge | null} to */
  function goTo(now, to) {
    if (to === null) return;
    const replace = now.selection !== null; // a walk is one entry of the history
    if (typeof to === 'string') {
      onSelect(to, replace);
      graph.focus(to);
    } else {
      onSelect(to.key, replace);
      graph.focus(to.key);
      say(edgeLabel(to, now.data.prompt.tokens));
    }
  }

  /** @param {string} key @param {KeyboardEvent} event @returns {boolean} whether the key meant something here */
  function onKey(key, event) {
    const now = props();
    if (!now) return false;
    const { selection, route, hide } = now;
    const hidden = hiderOf(hide);
    const shown = (/** @type {import('./routes.js').RouteEdge} */ edge) => !hidden(edge);
    const part = selection === null ? null : (now.graph.parts.find((one) => one.key === selection) ?? null);
    const node = selection !== null && /\.(mid|post)\./.test(selection) ? selection : null;
    if (Object.hasOwn(ARROWS, key)) {
      const direction = ARROWS[key];
      goTo(now, part ? stepFromEdge(route, part, direction, shown) : step(route, node, direction, { shift: event.shiftKey, nLayers: now.index.n_layers }));
    } else if (key === 'Enter' && selection !== null && isFree(event)) {
      const next = follow(route, part ?? selection, shown);
      goTo(now, next);
      if (!next) say('Nothing on the route comes into this node: the flow begins here, or below the threshold.');
    } else if (key === 'z' || key === 'Z') graph.scale(event.shiftKey ? 1 / ZOOM : ZOOM);
    else if (key === '0') graph.fit();
    else if (Object.hasOwn(PANS, key)) graph.pan(PANS[key][0] * PAN, PANS[key][1] * PAN);
    else if (key === 'v') toggleFull();
    else if (key === 'e') onOpen();
    else if (HIDEABLE[Number(key) - 1]) go({ hide: toggled(hide, HIDEABLE[Number(key) - 1], HIDEABLE) }, true);
    else if (key === 'Escape' && selection === null && now.open) go({ open: '' });
    else return false;
    return true;
  }

  return { onKey };
}
