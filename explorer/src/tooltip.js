/** What hovering shows: the name of a node or edge and its exact numbers. */

import { edgeEnds, edgeName, nodeMeaning, nodeName, shareName, tokenAt } from './describe.js';
import { fill, h } from './dom.js';
import { exact, fraction, quantity, showToken } from './format.js';
import { nameText, nameWords } from './name-label.js';
import { parseNode } from './routes.js';
import { headName } from './tabs.js';

/** @typedef {import('./graph.js').GraphProps} GraphProps */

/** @param {string} name @param {...(Node | string)} value */
const row = (name, ...value) => [h('dt', {}, name), h('dd', {}, ...value)];

/** @param {string} key @param {GraphProps} props */
function ofNode(key, { data, route, tops, index }) {
  const node = parseNode(key);
  const stored = data.nodes.get(key);
  const top = tops?.get(key);
  const kept = route.kept.get(key);
  return [
    h('p', { class: 'name' }, `${nodeName(node)} at `, h('b', {}, tokenAt(data.prompt.tokens, node.pos))),
    h('p', { class: 'quiet' }, nodeMeaning(node, index.parallel)),
    h(
      'dl',
      {},
      top ? row('reads as', h('b', {}, showToken(top.token ?? '?')), ` ${fraction(top.prob)}`) : [],
      route.nodes.has(key) && kept !== undefined ? row('on the route', exact(Math.min(1, kept))) : [],
      stored && node.layer >= 0 ? row('stored', exact(Math.min(1, stored.stored_share))) : [],
      stored ? row('norm', quantity(stored.norm)) : [],
    ),
    route.nodes.has(key) ? null : h('p', { class: 'quiet' }, 'not on this route'),
  ];
}

/** @param {string} key @param {GraphProps} props */
function ofEdge(key, { data, route, graph, index }) {
  const edge = route.edges.get(key);
  const part = graph.parts.find((one) => one.key === key);
  if (!part) return [];
  const heads = edge ? (route.mode === 'summed' ? edge.heads : edge.on) : part.heads;
  return [
    h('p', { class: 'name' }, ...nameWords(index, edgeName(part)), ' ', h('b', {}, edgeEnds(part, data.prompt.tokens))),
    h(
      'dl',
      {},
      row(shareName(part.kind, route.mode), exact(edge ? edge.shown : part.share)),
      edge && edge.shown !== part.share ? row('sum of all heads', exact(part.share)) : [],
      heads.slice(0, 4).map((head) => row(nameText(index, headName(part.layer, head.head)), exact(head.share))).flat(),
    ),
    edge ? null : h('p', { class: 'quiet' }, 'not on this route'),
  ];
}

export function createTooltip() {
  const el = h('div', { class: 'tooltip', role: 'tooltip', hidden: true });
  /** @type {string | null} */
  let shown = null;
  /** @type {GraphProps | null} what the preview was written from */
  let from = null;

  /** @param {string | null} key @param {GraphProps | null} props */
  function update(key, props) {
    if (key !== null && key === shown && props === from) return;
    shown = key;
    from = props;
    el.hidden = key === null;
    if (key === null || props === null) return;
    fill(el, .../** @type {any[]} */ (/\.(mid|post)\./.test(key) ? ofNode(key, props) : ofEdge(key, props)));
  }

  /** Beside the pointer, inside the box. @param {number} x @param {number} y @param {DOMRect} box */
  function place(x, y, box) {
    const { offsetWidth: width, offsetHeight: height } = el;
    const left = x + 16 + width > box.width ? Math.max(4, x - width - 12) : x + 16;
    const top = y + 16 + height > box.height ? Math.max(4, y - height - 12) : y + 16;
    el.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  return { el, update, place };
}
