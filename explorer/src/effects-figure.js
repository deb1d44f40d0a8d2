/** Layer by component: direct effects on a logit as a heat map with a neutral zero, blue up and orange down. */

import { h, s } from './dom.js';
import { figureTools } from './figure.js';
import { exact } from './format.js';
import { binFor, every, followCell } from './heat.js';
import { headName } from './tabs.js';

const LEFT = 34;
const TOP = 22;
const WIDEST = 34; // of a cell

/** @typedef {{ layer: number, component: 'head' | 'mlp' | 'embed' | 'bias', index: number, value: number }} Effect */

/** @param {import('./details.js').EffectRow[]} rows @param {import('./tabs.js').Outcome} of @returns {Effect[]} */
export function effectsOf(rows, of) {
  return rows.map(({ layer, component, index, effect_answer: answer, effect_foil: foil }) => ({
    layer,
    component,
    index,
    value: of === 'answer' ? answer : of === 'foil' ? (foil ?? 0) : answer - (foil ?? 0),
  }));
}

/** @param {Effect} effect */
export function effectLabel({ layer, component, index }) {
  if (component === 'head') return headName(layer, index);
  if (component === 'embed') return 'embedding';
  return `L${layer} ${component === 'mlp' ? 'MLP' : 'attention bias'}`;
}

/**
 * @param {{ sql: HTMLAnchorElement, effects: Effect[], words: (effect: Effect) => (Node | string)[], nLayers: number, nHeads: number, name: string, width: number,
 *   onChoose: (effect: Effect) => void }} props `words` name a component, `name` is what the effects are on
 * @returns {HTMLElement}
 */
export function effectsFigure({ sql, effects, words, nLayers, nHeads, name, width, onChoose }) {
  const columns = nHeads + 2;
  const cell = Math.min(WIDEST, (width - LEFT - 4) / columns);
  const tall = Math.min(26, Math.max(9, cell));
  const rows = nLayers + 1;
  const height = TOP + rows * tall + 6;
  const largest = Math.max(1e-9, ...effects.map((effect) => Math.abs(effect.value)));
  const columnOf = (/** @type {Effect} */ { component, index }) => (component === 'head' ? index : component === 'mlp' ? nHeads : component === 'bias' ? nHeads + 1 : 0);
  const rowOf = (/** @type {Effect} */ { layer }) => nLayers - 1 - layer; // the last layer on top, the embedding at the bottom
  const spanOf = (/** @type {Effect} */ { component }) => (component === 'embed' ? columns : 1);
  const placed = new Map(effects.map((effect) => [`${rowOf(effect)} ${effect.component === 'embed' ? 0 : columnOf(effect)}`, effect]));
  const boxes = effects.map((effect) =>
    s('rect', {
      class: `effect ${effect.value < 0 ? 'minus' : 'plus'} b${binFor(effect.value, largest)}`,
      x: LEFT + columnOf(effect) * cell,
      y: TOP + rowOf(effect) * tall,
      width: Math.max(1, spanOf(effect) * cell - 1),
      height: Math.max(1, tall - 1),
      'data-effect': effectLabel(effect),
      'data-value': exact(effect.value),
    }),
  );
  const step = every(cell, nHeads > 10 ? 20 : 15);
  const heads = Array.from({ length: nHeads }, (_, head) => head).filter((head) => head % step === 0);
  const labels = [
    ...heads.map((head) => s('text', { class: 'tick', x: LEFT + (head + 0.5) * cell, y: TOP - 6, 'text-anchor': 'middle' }, cell > 20 ? `H${head}` : String(head))),
    s('text', { class: 'tick', x: LEFT + (nHeads + 0.5) * cell, y: TOP - 6, 'text-anchor': 'middle' }, cell > 24 ? 'MLP' : 'M'),
    s('text', { class: 'tick', x: LEFT + (nHeads + 1.5) * cell, y: TOP - 6, 'text-anchor': 'middle' }, cell > 24 ? 'bias' : 'b'),
    ...Array.from({ length: rows }, (_, row) => row)
      .filter((row) => row === rows - 1 || (nLayers - 1 - row) % every(tall, 11) === 0)
      .map((row) => s('text', { class: 'tick', x: LEFT - 5, y: TOP + (row + 0.5) * tall + 3.5, 'text-anchor': 'end' }, row === rows - 1 ? 'emb' : `L${nLayers - 1 - row}`)),
  ];
  const cursor = s('rect', { class: 'cursor', height: tall, visibility: 'hidden' });
  const used = LEFT + columns * cell + 2;
  const svg = s(
    'svg',
    { class: 'effects', viewBox: `0 0 ${used} ${height}`, width: used, height, role: 'application', tabindex: '0', 'data-go': 'effects', 'aria-roledescription': 'heat map', 'aria-label': `Direct effect of each component on the ${name}, layers upwards, heads then MLP and bias across. Arrow keys read the cells, Enter opens the component. The largest are listed below.` },
    ...boxes,
    ...labels,
    cursor,
  );
  const rest = 'Point at a cell for its number; click to open the head or MLP.';
  const readout = h('output', { class: 'readout', 'data-testid': 'effect-readout' }, rest);
  const find = (/** @type {number} */ row, /** @type {number} */ column) => placed.get(`${row} ${row === rows - 1 ? 0 : column}`) ?? null;
  followCell(/** @type {any} */ (svg), {
    cellAt: (x, y) => find(Math.floor((y - TOP) / tall), Math.floor((x - LEFT) / cell)),
    step: (from, dx, dy) => (from ? find(rowOf(from) + dy, columnOf(from) + dx) : find(0, 0)),
    show(effect) {
      cursor.setAttribute('visibility', effect ? 'visible' : 'hidden');
      if (!effect) return readout.replaceChildren(rest);
      cursor.setAttribute('x', String(LEFT + columnOf(effect) * cell - 0.5));
      cursor.setAttribute('y', String(TOP + rowOf(effect) * tall - 0.5));
      cursor.setAttribute('width', String(spanOf(effect) * cell));
      readout.replaceChildren(...words(effect), ': ', h('b', {}, exact(effect.value)), ' logits');
    },
    choose: onChoose,
  });
  const scale = h('span', { class: 'scale', 'aria-hidden': 'true' }, h('span', { class: 'num' }, `−${largest.toPrecision(2)}`), h('i', {}), h('span', { class: 'num' }, `+${largest.toPrecision(2)}`), ' logits');
  const table = () => ({ columns: ['layer', 'component', 'index', `effect on ${name}`], rows: effects.map((effect) => [effect.layer, effect.component, effect.index, effect.value]) });
  return h('figure', { class: 'small-figure', 'data-testid': 'effects-map' }, h('figcaption', {}, scale, h('span', { class: 'space' }), figureTools({ name: `effects-${name.replace(' − ', '-minus-')}`, svg: () => svg, table, sql })), /** @type {any} */ (svg), readout);
}
