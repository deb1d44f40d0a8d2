/** The difference of two routes on one graph: blue where this prompt has more, orange where the other has. */

import { edgeEnds, edgeName } from './describe.js';
import { attr, fill, s } from './dom.js';
import { clip, exact, fraction, showToken } from './format.js';
import { curvesOf, layoutFor, pathOf, rowsOf, xOf, yOf } from './layout.js';
import { stepOf } from './pair.js';
import { nodeKey } from './routes.js';

/** @typedef {import('./pair.js').Change} Change */
/**
 * @typedef {{ changes: Change[], tokens: string[], others: string[], nodes: Set<string>, nLayers: number,
 *   parallel: boolean, selection: string | null, names: [string, string], room: { width: number, height: number } }} PairGraphProps
 *   `others` are the tokens of the other prompt, `names` what the two are called
 */

const LEFT = 64;
const BELOW = 96;
const DRAWN = 2500;

/** A difference with its sign. @param {number} value */
export const signed = (value) => (Math.abs(value) < 5e-5 ? '0' : `${value > 0 ? '+' : '−'}${fraction(Math.abs(value))}`);

/** @param {Change} change @param {string[]} tokens @param {[string, string]} names */
export function changeWords(change, tokens, [here, there]) {
  const only = change.only === null ? '' : `; on the route of ${change.only === 'here' ? here : there} only`;
  return `${edgeName(change)}, ${edgeEnds(change, tokens)}: ${here} ${exact(change.here)}, ${there} ${exact(change.there)}, difference ${signed(change.difference)}${only}`;
}

/** @param {{ onSelect: (key: string | null) => void }} options */
export function createPairGraph({ onSelect }) {
  const el = s('svg', { class: 'pair-graph', role: 'img', 'data-testid': 'pair-graph' });
  el.addEventListener('click', (event) => onSelect(event.target instanceof Element ? event.target.getAttribute('data-key') : null));

  /** @param {PairGraphProps} props @param {import('./layout.js').Layout} layout */
  function edges({ changes, tokens, selection, names }, layout) {
    const drawn = changes.slice(0, DRAWN).reverse(); // the largest on top
    return drawn.flatMap((change) => {
      const d = pathOf(curvesOf(layout, change));
      const step = stepOf(change.difference);
      const sign = step === 0 ? 'same' : step > 0 ? `here d${step}` : `there d${-step}`;
      const mark = `${change.only ? ' only' : ''}${change.key === selection ? ' selected' : ''}`;
      const width = Math.round((1.2 + 7 * Math.abs(change.difference) ** 0.75) * 10) / 10;
      return [
        s('path', { d, class: `change-edge ${sign}${mark}`, 'stroke-width': width, 'data-difference': change.difference, 'data-testid': 'pair-edge' }),
        s('path', { d, class: 'grip', 'data-key': change.key }, s('title', {}, changeWords(change, tokens, names))),
      ];
    });
  }

  /** @param {PairGraphProps} props @param {import('./layout.js').Layout} layout */
  function axes({ tokens, others, nLayers, names }, layout) {
    const bottom = yOf(layout, -1, 'post') + 22;
    const word = (/** @type {string} */ token) => clip(showToken(token), 12);
    const labels = tokens.map((token, pos) => {
      const differs = token !== others[pos];
      return s(
        'g',
        { transform: `translate(${xOf(layout, pos) + 4},${bottom}) rotate(-52)`, class: differs ? 'differs' : null },
        s('title', {}, differs ? `${showToken(token)} in ${names[0]}, ${showToken(others[pos])} in ${names[1]}, position ${pos}` : `${showToken(token)}, position ${pos}`),
        s('text', { 'text-anchor': 'end', class: differs ? 'here' : null }, word(token)),
        differs ? s('text', { 'text-anchor': 'end', y: 13, class: 'there' }, word(others[pos])) : null,
      );
    });
    const layers = Array.from({ length: nLayers + 1 }, (_, i) => s('text', { x: -10, y: (i ? yOf(layout, i - 1, 'post') + layout.dy * 0.29 : yOf(layout, -1, 'post')) + 4, 'text-anchor': 'end' }, i ? `L${i - 1}` : 'emb'));
    return [s('g', { class: 'axis' }, ...layers), s('g', { class: 'axis' }, ...labels)];
  }

  /** @param {PairGraphProps} props */
  function update(props) {
    const { tokens, nLayers, parallel, nodes, names, changes, room } = props;
    const shape = { nTokens: tokens.length, nLayers, parallel };
    const layout = layoutFor({ ...shape, width: room.width - LEFT - 8, height: room.height - BELOW });
    const dots = rowsOf(shape).flatMap(({ layer, point }) => tokens.map((_, pos) => ({ x: xOf(layout, pos), y: yOf(layout, layer, point), on: nodes.has(nodeKey(layer, point, pos)) })));
    const [width, height] = [layout.width + LEFT + 8, layout.height + BELOW];
    attr(el, 'viewBox', `0 0 ${width} ${height}`);
    attr(el, 'width', width);
    attr(el, 'height', height);
    attr(el, 'aria-label', `Difference of the routes of ${names[0]} and ${names[1]}: ${changes.length} edges. The table beside it lists the largest.`);
    fill(
      el,
      s(
        'g',
        { transform: `translate(${LEFT},0)` },
        s('path', { class: 'dots', d: dots.filter(({ on }) => !on).map(({ x, y }) => `M${x},${y}h0`).join('') }),
        ...edges(props, layout),
        ...dots.filter(({ on }) => on).map(({ x, y }) => s('circle', { class: 'pair-node', cx: x, cy: y, r: Math.min(3.5, layout.dx * 0.1) })),
        ...axes(props, layout),
      ),
    );
  }

  return { el, update };
}
