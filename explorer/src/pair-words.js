/** The comparison in words: shares that are there or not, differences with their sign, routes that an edge is on. */

import { edgeEnds, edgeName } from './describe.js';
import { h } from './dom.js';
import { exact, fraction, threshold } from './format.js';
import { nameText, nameWords } from './name-label.js';
import { headName } from './tabs.js';

/** @typedef {import('./pair.js').Change} Change */
/** @typedef {import('./pair.js').Share} Share */
/** @typedef {{ names: [string, string], tokens: string[], floor: number, index: import('./name-label.js').Labelled }} Words `names` are what the two prompts are called */

/** A difference with its sign. @param {number} value */
export const signed = (value) => (Math.abs(value) < 5e-5 ? '0' : `${value > 0 ? '+' : '−'}${fraction(Math.abs(value))}`);

/** @param {Share} share @param {number} floor */
export const shareText = (share, floor) => (typeof share === 'number' ? fraction(share) : share === 'floor' ? `< ${threshold(floor)}` : 'not stored');

/** @param {Share} share @param {number} floor */
export function shareTitle(share, floor) {
  if (typeof share === 'number') return exact(share);
  return share === 'floor' ? `under the floor ${threshold(floor)}, so not stored` : 'the node that this edge enters is on no stored route of this prompt';
}

/** A bound where one of the two has no number. @param {{ difference: number, exact: boolean }} change */
export const differenceText = ({ difference, exact: known }) => (known ? signed(difference) : `${difference < 0 ? '≥' : '≤'} ${signed(difference)}`);

/** @param {Change} change @param {[string, string]} names */
export const routeWords = ({ only }, names) => (only === null ? 'on both routes' : `on the ${only === 'here' ? names[0] : names[1]} route only`);

/** @param {Change} change @param {Words} words */
export function changeWords(change, { names, tokens, floor, index }) {
  const [here, there] = [change.here, change.there].map((share) => (typeof share === 'number' ? exact(share) : shareText(share, floor)));
  return `${nameText(index, edgeName(change))}, ${edgeEnds(change, tokens)}: ${names[0]} ${here}, ${names[1]} ${there}, difference ${differenceText(change)}; ${routeWords(change, names)}`;
}

/** Cells of both shares and their difference. @param {{ here: Share, there: Share, difference: number, exact: boolean }} of @param {number} floor */
export function shareCells(of, floor) {
  const cell = (/** @type {Share} */ share) => h('td', { class: `num${typeof share === 'number' ? '' : ' quiet'}`, 'data-value': typeof share === 'number' ? share : '', title: shareTitle(share, floor) }, shareText(share, floor));
  const title = of.exact ? exact(of.difference) : 'a bound: one of the two shares has no stored number';
  return [cell(of.here), cell(of.there), h('td', { class: `num ${of.difference >= 0 ? 'here' : 'there'}`, 'data-value': of.difference, title }, differenceText(of))];
}

/** What hovering an edge shows. @param {Change} change @param {Words} words */
export function changePreview(change, { names, tokens, floor, index }) {
  const row = (/** @type {string} */ name, /** @type {string} */ value, /** @type {string} */ look = '') => [h('dt', {}, name), h('dd', { class: look }, value)];
  const full = (/** @type {Share} */ share) => (typeof share === 'number' ? exact(share) : shareText(share, floor));
  return [
    h('p', { class: 'name' }, ...nameWords(index, edgeName(change)), ' ', h('b', {}, edgeEnds(change, tokens))),
    h(
      'dl',
      {},
      row(names[0], full(change.here), 'here'),
      row(names[1], full(change.there), 'there'),
      row('difference', change.exact ? exact(change.difference) : differenceText(change)),
      change.heads.slice(0, 3).flatMap((head) => row(nameText(index, headName(change.layer, head.head)), `${shareText(head.here, floor)} / ${shareText(head.there, floor)}`)),
    ),
    h('p', { class: 'quiet' }, routeWords(change, names)),
  ];
}
