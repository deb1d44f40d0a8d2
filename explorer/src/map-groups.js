/** Beside the map: its clusters, which make a group when ticked, and what the shapes stand for. */

import { h } from './dom.js';
import { integer, plural, showText } from './format.js';
import { COLOURS, legendMark, SHAPE_COUNT } from './map-marks.js';

/** @typedef {import('./map-plot.js').Point} Point */

/** How many of each, most first. @template T @param {T[]} values @returns {[T, number][]} */
export function counted(values) {
  /** @type {Map<T, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** What a set of prompts is mostly made of. @param {Point[]} points */
export function mostly(points) {
  const groups = counted(points.map(({ group }) => group)).slice(0, 2);
  return groups.map(([group, n]) => `${group === null ? 'no group' : showText(group)} ${Math.round((100 * n) / points.length)}%`).join(', ');
}

/** A shape for each group, the largest groups first; more groups than shapes share the last one. @param {Point[]} points @returns {Map<string | null, number>} */
export function shapesFor(points) {
  return new Map(counted(points.map(({ group }) => group)).map(([group], i) => [group, Math.min(i, SHAPE_COUNT - 1)]));
}

/** @param {{ points: Point[], ticked: number[], onTick: (clusters: number[]) => void }} props */
export function clusterList({ points, ticked, onTick }) {
  const clusters = [...new Set(points.map(({ cluster }) => cluster))].sort((a, b) => a - b);
  const items = clusters.map((cluster) => {
    const own = points.filter((point) => point.cluster === cluster);
    const on = ticked.includes(cluster);
    const box = h('input', { type: 'checkbox', checked: on, 'data-go': `cluster ${cluster}`, 'data-testid': 'cluster', onchange: () => onTick(on ? ticked.filter((one) => one !== cluster) : [...ticked, cluster].sort((a, b) => a - b)) });
    return h('li', {}, h('label', {}, box, /** @type {any} */ (legendMark({ colour: cluster })), h('span', {}, `cluster ${cluster}`), h('span', { class: 'num' }, integer(own.length)), h('small', {}, mostly(own))));
  });
  const shared = clusters.length > COLOURS ? h('p', { class: 'quiet' }, 'Clusters far down the list share colours.') : null;
  return h('section', { class: 'clusters' }, h('h2', {}, 'Clusters'), h('p', { class: 'quiet' }, 'Tick some, or draw a line around points (Lasso, or Shift and drag), to compare that group with all other prompts.'), h('ul', {}, ...items), shared);
}

/** @param {Point[]} points @param {Map<string | null, number>} shapes */
export function shapeList(points, shapes) {
  const listed = counted(points.map(({ group }) => group));
  if (listed.length < 2) return null;
  const items = listed.map(([group, n]) => h('li', { class: 'shape-line' }, /** @type {any} */ (legendMark({ shape: shapes.get(group) ?? 0 })), h('span', {}, group === null ? 'no group' : showText(group)), h('span', { class: 'num', title: plural(n, 'prompt') }, integer(n))));
  const shared = listed.length > SHAPE_COUNT ? h('p', { class: 'quiet' }, `The groups from the ${SHAPE_COUNT}th on share its shape.`) : null;
  return h('section', { class: 'clusters' }, h('h2', {}, 'Groups'), h('ul', {}, ...items), shared);
}
