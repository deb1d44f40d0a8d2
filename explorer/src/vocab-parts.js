/** What the pages of the vocabulary share: tokens in a row, columns that say how often a neuron or head is on a route, what is said without an atlas. */

import { h } from './dom.js';
import { exampleState } from './example-list.js';
import { clip, exact, fraction, integer, plural, showText } from './format.js';
import { tokenMark } from './panel-parts.js';
import headsSql from './sql/vocab_use_heads.sql?raw';
import neuronsSql from './sql/vocab_use_neurons.sql?raw';
import { format } from './state.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./data-table.js').Column} Column */

const SHOWN = 4;

/** @param {string[] | null} tokens the strongest first @param {number} [most] */
export function tokensLine(tokens, most = SHOWN) {
  const all = tokens ?? [];
  const more = all.length - most;
  return all.length ? h('span', { class: 'tokens-line' }, ...all.slice(0, most).flatMap((token) => [tokenMark(token), ' ']), more > 0 ? h('small', {}, `+${more}`) : null) : h('span', { class: 'quiet' }, '–');
}

/** A column of tokens; files have them with spaces between. @param {string} name @param {string} label @param {number} [most] @returns {Column} */
export const tokensColumn = (name, label, most) => ({ name, label, text: true, value: (row) => (row[name] ?? []).join(' '), show: (row) => tokensLine(row[name], most) });

/** Why heads of some families have no rows in an atlas. */
export const NO_CIRCUIT = 'The values of this family’s heads pass a norm of their own, so there is no linear circuit from what they read to what they write.';

/** Some layers in words. @param {number[]} layers ascending */
export function layersWords(layers) {
  const [first, last] = [layers[0], layers[layers.length - 1]];
  const whole = layers.length > 2 && last - first === layers.length - 1;
  return whole ? `L${first} to L${last}` : layers.map((layer) => `L${layer}`).join(', ');
}

/** The command that makes a run's atlas. @param {import('./data.js').RunIndex} index */
export const vocabCommand = (index) => h('code', {}, `flowatlas vocab ${showText(clip(index.title, 60))}`);

/** Said where a site has no atlas of a run's model, with the command that makes one. @param {import('./data.js').RunIndex} index */
export function noAtlas(index) {
  if (index.selection?.left_out.includes('vocab')) return h('p', { class: 'hint', 'data-testid': 'left-out' }, 'This site was made without the vocabulary of the model.');
  return h('p', { class: 'hint', 'data-testid': 'no-atlas' }, 'This run has no atlas of its model’s vocabulary yet. ', vocabCommand(index), ' makes it, once for each model; then make the site again with ', h('code', {}, 'flowatlas site'), '.');
}

/** @param {Row} row */
const keyOf = ({ layer, expert, index }) => `${layer} ${expert} ${index}`;

/**
 * How often each of some neurons or heads is on routes of this run, as a lookup; empty until it has come, or where there are no statistics.
 * @param {{ index: import('./data.js').RunIndex, ask: import('./resources.js').Ask }} props @param {import('./data.js').Data} data
 * @param {'neuron' | 'head'} component @param {Row[]} rows of them
 * @returns {(row: Row) => Row | undefined}
 */
export function useOf({ index, ask }, data, component, rows) {
  const layers = [...new Set(rows.map((row) => row.layer))].sort((a, b) => a - b);
  if (!layers.length || !index.stats) return () => undefined;
  const [sql, tables] = component === 'neuron' ? [neuronsSql, { activations: { layer: layers } }] : [headsSql, { importance: { component: 'head', group: null }, examples: { component: 'head', layer: layers } }];
  const answer = ask(`use ${component} ${layers}`, () => data.stats.rows(index, sql, tables, { layers }));
  const found = new Map((answer.value ?? []).map((row) => [keyOf(row), row]));
  return (row) => found.get(keyOf(row));
}

/** Columns of how often, and where most. @param {(row: Row) => Row | undefined} use as `useOf` @param {import('./data.js').RunIndex} index @param {'neuron' | 'head'} component @returns {Column[]} */
export function useColumns(use, index, component) {
  /** @type {Column} */
  const often = { name: 'n_prompts', label: 'on routes', title: 'prompts in which it is stored on a route', value: (row) => use(row)?.n_prompts ?? 0, show: (row) => integer(use(row)?.n_prompts ?? 0), hint: (row) => oftenWords(use(row)) };
  /** @type {Column} */
  const share = { name: 'share', label: 'mean share', title: component === 'neuron' ? 'mean share where it is stored' : 'mean share over all prompts', value: (row) => use(row)?.share ?? null, show: (row) => fraction(use(row)?.share ?? null), hint: (row) => exact(use(row)?.share ?? null), class: 'secondary' };
  /** @type {Column} */
  const where = { name: 'prompt_id', label: 'most at', title: 'prompt and position where its share is largest', value: (row) => use(row)?.prompt_id ?? null, show: (row) => placeLink(index, { component, layer: row.layer, expert: row.expert, index: row.index }, use(row)), also: { pos: (row) => use(row)?.dst ?? null } };
  return [often, share, where];
}

/** @param {Row | undefined} found */
function oftenWords(found) {
  if (!found) return 'stored in no prompt';
  return found.n_all === undefined ? `stored at ${plural(found.n, 'position')} of ${plural(found.n_prompts, 'prompt')}` : `stored in ${integer(found.n_prompts)} of ${plural(found.n_all, 'prompt')}`;
}

/** To the place where the share of a head or neuron is largest. @param {import('./data.js').RunIndex} index @param {import('./component-names.js').Component} of @param {Row | undefined} found */
export function placeLink(index, of, found) {
  if (!found) return h('span', { class: 'quiet' }, '–');
  if (found.prompt_id === null) return h('span', { class: 'quiet' }, 'in a prompt left out here');
  const to = exampleState(index.id, of, /** @type {any} */ (found), index.targets === 'all');
  return h('a', { href: format(to), 'data-testid': 'most-at' }, `prompt ${integer(found.prompt_id)}`, h('small', {}, ` token ${found.dst}`));
}
