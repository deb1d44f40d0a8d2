/** A prompt before and after an intervention: its prediction, answer and foil, the lens layer by layer, what is written next. */

import { editLinks } from './component-link.js';
import { nodeName } from './describe.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { exact, fraction, integer, plural, quantity, showText } from './format.js';
import { chosen, interventionsOf, NAMES } from './interventions-data.js';
import { selectField } from './page-parts.js';
import { answered, factList, heading, signed, tokenMark } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import nodesSql from './sql/intervention_nodes.sql?raw';
import { format, pageState } from './state.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./interventions-data.js').BeforeAfter} BeforeAfter */
/** @typedef {import('./rows.js').Row} Row */

const ARROW = ' → ';

/** @param {number} before @param {number} after */
const both = (before, after) => `${quantity(before)}${ARROW}${quantity(after)} (${signed(after - before)})`;

/** @param {Row} row @param {'answer' | 'foil'} name @returns {[string, Node | string | null, string?][]} */
function tokenFacts(row, name) {
  if (row[name] === null) return [];
  const [before, after] = [row[`${name}_logprob_before`], row[`${name}_logprob_after`]];
  const [logit, then] = [row[`${name}_logit_before`], row[`${name}_logit_after`]];
  const probs = `${fraction(Math.exp(before))}${ARROW}${fraction(Math.exp(after))}`;
  const ranks = `rank ${integer(row[`${name}_rank_before`])}${ARROW}${integer(row[`${name}_rank_after`])}`;
  const own = name === 'answer' && row.answer_from === 'prediction' ? ' (the prediction before)' : '';
  return [
    [name, h('span', { 'data-testid': `edited-${name}`, 'data-before': before, 'data-after': after }, tokenMark(row[name]), `${own} ${probs}, ${ranks}`)],
    ['log probability', both(before, after), `of the ${name}: ${exact(before)}${ARROW}${exact(after)} nats`],
    ['logit', h('span', { 'data-testid': `edited-${name}-logit`, 'data-before': logit, 'data-after': then }, both(logit, then)), `of the ${name}: ${exact(logit)}${ARROW}${exact(then)}`],
  ];
}

/** @param {Row} row */
function facts(row) {
  const side = (/** @type {typeof SIDES[number]} */ name) => [tokenMark(row[`predicted_${name}`]), ` ${fraction(row[`predicted_prob_${name}`])}`];
  const gap = (/** @type {typeof SIDES[number]} */ name) => row[`answer_logit_${name}`] - row[`foil_logit_${name}`];
  return factList([
    ['predicted', h('span', { 'data-testid': 'edited-prediction' }, ...side('before'), ARROW, ...side('after'))],
    ...tokenFacts(row, 'answer'),
    ...tokenFacts(row, 'foil'),
    ['answer less foil', row.foil === null ? null : both(gap('before'), gap('after')), 'of their logits'],
    ['divergence', h('span', {}, `${fraction(row.kl)} nats`), `KL of the prediction after from the one before: ${exact(row.kl)} nats`],
  ]);
}

/** Columns of the table and of its file. @param {Row[]} nodes */
function numbersOf(nodes) {
  const columns = ['layer', 'point', ...['before', 'after'].flatMap((side) => ['prob', 'rank', 'foil', 'entropy', 'top'].map((name) => `${name}_${side}`))];
  return { columns, rows: nodes.map((row) => columns.map((name) => row[name])) };
}

const SIDES = /** @type {const} */ (['before', 'after']);

/** What the table shows of each side of a node. @type {Record<string, (row: Row, side: typeof SIDES[number]) => HTMLElement>} */
const CELLS = {
  answer: (row, side) => h('td', { class: 'num', title: `probability ${exact(row[`prob_${side}`])}, rank ${integer(row[`rank_${side}`])}; entropy ${exact(row[`entropy_${side}`])} nats` }, fraction(row[`prob_${side}`])),
  likeliest: (row, side) => h('td', {}, tokenMark(row[`top_${side}`])),
  foil: (row, side) => h('td', { class: 'num', title: exact(row[`foil_${side}`]) }, fraction(row[`foil_${side}`])),
};

/** The lens of every node, last layer on top: the sides of each number beside each other. @param {Row[]} nodes @param {HTMLAnchorElement} sql */
function nodeTable(nodes, sql) {
  const shown = Object.entries(CELLS).filter(([name]) => name !== 'foil' || nodes.some((row) => row.foil_before !== null));
  const rows = nodes.map((row) => h('tr', { class: row.top_before === row.top_after ? null : 'changed' }, h('th', { scope: 'row' }, nodeName(/** @type {any} */ (row))), ...shown.flatMap(([, cell]) => SIDES.map((side) => cell(row, side)))));
  const names = shown.map(([name]) => h('th', { scope: 'colgroup', colspan: 2 }, name));
  const sides = shown.flatMap(() => SIDES.map((side) => h('th', { scope: 'col' }, side)));
  const table = h('table', { class: 'data edited-nodes', 'data-testid': 'edited-nodes' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col', rowspan: 2 }, 'node'), ...names), h('tr', {}, ...sides)), h('tbody', {}, ...rows));
  return h('div', {}, h('div', { class: 'table-top' }, h('span', { class: 'space' }), figureTools({ name: 'lens-before-and-after', table: () => numbersOf(nodes), sql })), h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'the lens, before and after' }, table));
}

/** @param {Row | undefined} text */
const written = (text) =>
  text
    ? [heading('Continued greedily', `${plural(text.n_same, 'token')} in common`), factList([['before', h('bdi', { class: 'token', 'data-testid': 'text-before' }, text.text_before)], ['after', h('bdi', { class: 'token', 'data-testid': 'text-after' }, text.text_after)]])]
    : [];

/** @type {import('./panel.js').Tab} */
export const editsTab = {
  id: 'edits',
  label: () => 'Edits',
  offered: ({ index }) => interventionsOf(index).length > 0,
  render(props) {
    const { index, data, source, state } = props;
    const one = chosen(index, state.edit);
    const listed = interventionsOf(index).map(({ folder, name }) => /** @type {[string, string]} */ ([folder, showText(name)]));
    const sql = sqlLink(index.id, asked(nodesSql, { id: data.prompt.prompt_id, intervention: one.folder }, NAMES), 'the lens');
    const answer = props.ask(`edits ${one.folder}`, () => source.interventions.prompt(index, one, data.prompt.prompt_id));
    return [
      h('h2', {}, 'Before and after'),
      h('div', { class: 'before-after' }, selectField({ label: 'intervention', value: one.folder, options: listed, onChange: (edit) => props.onGo({ edit }), testid: 'edit' })),
      h('p', { class: 'edits' }, ...editLinks(index, one.edits)),
      ...(one.note ? [h('p', { class: 'quiet' }, showText(one.note))] : []),
      ...answered(answer, 'The intervention', (found) =>
        found
          ? [facts(found.prediction), found.prediction.n_edits < one.edits.length ? h('p', { class: 'hint' }, 'Some of the edits name positions that this prompt does not have.') : null, heading('The lens, layer by layer', 'at the last target'), nodeTable(found.nodes, sql), ...written(found.text)]
          : [h('p', { class: 'hint' }, 'This prompt was not part of it: its shard was not done then.')], 10),
      h('p', {}, h('a', { href: format(pageState('interventions', state.run, { name: one.folder })) }, 'Over all prompts')),
    ];
  },
};
