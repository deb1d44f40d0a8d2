/** A prompt before and after an intervention: its prediction, answer and foil, the lens layer by layer, what is written next. */

import { editLinks } from './component-link.js';
import { nodeName } from './describe.js';
import { h } from './dom.js';
import { exact, fraction, integer } from './format.js';
import { chosen, interventionsOf } from './interventions-data.js';
import { selectField } from './page-parts.js';
import { answered, bar, factList, heading, signed, tokenMark } from './panel-parts.js';
import { format, pageState } from './state.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./interventions-data.js').BeforeAfter} BeforeAfter */
/** @typedef {import('./rows.js').Row} Row */

const ARROW = ' → ';

/** @param {Row} row @param {'answer' | 'foil'} name @returns {[string, Node | null, string?]} */
function tokenFact(row, name) {
  if (row[name] === null) return [name, null];
  const [before, after] = [row[`${name}_logprob_before`], row[`${name}_logprob_after`]];
  const probs = `${fraction(Math.exp(before))}${ARROW}${fraction(Math.exp(after))}`;
  const ranks = `rank ${integer(row[`${name}_rank_before`])}${ARROW}${integer(row[`${name}_rank_after`])}`;
  return [name, h('span', { 'data-testid': `edited-${name}`, 'data-before': before, 'data-after': after }, tokenMark(row[name]), ` ${probs}, ${ranks}`), `log probability ${exact(before)}${ARROW}${exact(after)} (${signed(after - before)})`];
}

/** @param {Row} row */
function facts(row) {
  const side = (/** @type {'before' | 'after'} */ name) => [tokenMark(row[`predicted_${name}`]), ` ${fraction(row[`predicted_prob_${name}`])}`];
  return factList([
    ['predicted', h('span', { 'data-testid': 'edited-prediction' }, ...side('before'), ARROW, ...side('after'))],
    tokenFact(row, 'answer'),
    tokenFact(row, 'foil'),
    ['divergence', h('span', {}, `${fraction(row.kl)} nats`), `KL of the prediction after from the one before: ${exact(row.kl)} nats`],
  ]);
}

/** The answer in the lens of every node, last layer on top. @param {Row[]} nodes */
function nodeTable(nodes) {
  const cells = (/** @type {Row} */ row, /** @type {'before' | 'after'} */ side) => [
    h('td', { class: 'num', title: `probability ${exact(row[`prob_${side}`])}, rank ${integer(row[`rank_${side}`])}` }, bar(row[`prob_${side}`], side === 'before' ? 'attn' : 'mlp'), ` ${fraction(row[`prob_${side}`])}`),
    h('td', {}, tokenMark(row[`top_${side}`])),
  ];
  const rows = nodes.map((row) => h('tr', { class: row.top_before === row.top_after ? null : 'changed' }, h('th', { scope: 'row' }, nodeName(/** @type {any} */ (row))), ...cells(row, 'before'), ...cells(row, 'after')));
  const heads = ['node', 'answer before', 'top', 'answer after', 'top'].map((head) => h('th', { scope: 'col' }, head));
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'answer in the lens, before and after' }, h('table', { class: 'data edited-nodes', 'data-testid': 'edited-nodes' }, h('thead', {}, h('tr', {}, ...heads)), h('tbody', {}, ...rows)));
}

/** @param {Row | undefined} text */
const written = (text) =>
  text
    ? [heading('Continued greedily', `${integer(text.n_same)} tokens in common`), factList([['before', h('bdi', { class: 'token', 'data-testid': 'text-before' }, text.text_before)], ['after', h('bdi', { class: 'token', 'data-testid': 'text-after' }, text.text_after)]])]
    : [];

/** @type {import('./panel.js').Tab} */
export const editsTab = {
  id: 'edits',
  label: () => 'Edits',
  offered: ({ index }) => interventionsOf(index).length > 0,
  render(props) {
    const { index, data, source, state } = props;
    const one = chosen(index, state.edit);
    const listed = interventionsOf(index).map(({ folder, name }) => /** @type {[string, string]} */ ([folder, name]));
    const answer = props.ask(`edits ${one.folder}`, () => source.interventions.prompt(index, one, data.prompt.prompt_id));
    return [
      h('h2', {}, 'Before and after'),
      selectField({ label: 'intervention', value: one.folder, options: listed, onChange: (edit) => props.onGo({ edit }), testid: 'edit' }),
      h('p', { class: 'edits' }, ...editLinks(state.run, one.edits)),
      ...answered(answer, 'The intervention', (found) =>
        found
          ? [facts(found.prediction), found.prediction.n_edits < one.edits.length ? h('p', { class: 'hint' }, 'Some of the edits name positions that this prompt does not have.') : null, heading('Answer in the lens', 'at the last target'), nodeTable(found.nodes), ...written(found.text)]
          : [h('p', { class: 'hint' }, 'This prompt was not part of it: its shard was not done then.')], 10),
      h('p', {}, h('a', { href: format(pageState('interventions', state.run, { name: one.folder })) }, 'Over all prompts')),
    ];
  },
};
