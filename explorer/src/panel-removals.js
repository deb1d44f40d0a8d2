/** In the panel of effects: what removing heads and MLPs does to this prompt's answer, beside what they carry. */

import { h } from './dom.js';
import { exact, fraction, quantity } from './format.js';
import { nameWords } from './name-label.js';
import { answered, heading, signed } from './panel-parts.js';
import { figureSql } from './prompt-sql.js';
import { effectAgainstShare, REMOVAL_WORDS, removalField } from './removal-words.js';
import { nodeKey } from './routes.js';
import { headName } from './tabs.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./details.js').KnockoutRow} KnockoutRow */

const LISTED = 10;

/** @param {KnockoutRow} row */
const nameOf = ({ component, layer, index }) => (component === 'head' ? headName(layer, index) : `L${layer} MLP`);

/** The state that shows a component at the target. @param {PanelProps} props @param {KnockoutRow} row */
function goTo({ index, onGo }, { component, layer, index: head, target }) {
  if (component === 'mlp') onGo({ sel: `${layer}.mlp.${target}`, tab: null, neuron: null });
  else onGo({ sel: nodeKey(layer, index.parallel ? 'post' : 'mid', target), tab: 'heads', head: headName(layer, head) });
}

/** @param {PanelProps} props @param {KnockoutRow[]} rows */
function lostMost(props, rows) {
  const line = (/** @type {KnockoutRow} */ row) =>
    h(
      'tr',
      { 'data-testid': 'removal-row' },
      h('th', { scope: 'row' }, h('button', { type: 'button', class: 'pick', 'data-go': `removed ${nameOf(row)}`, onclick: () => goTo(props, row) }, ...nameWords(props.index, nameOf(row)))),
      h('td', { class: 'num', 'data-value': row.effect_answer, title: exact(row.effect_answer) }, signed(row.effect_answer)),
      h('td', { class: 'num', title: `${exact(row.effect_logprob)} nats` }, signed(row.effect_logprob)),
      h('td', { class: 'num', title: `Kullback-Leibler divergence ${exact(row.divergence)} nats` }, `#${row.answer_rank}`),
      h('td', { class: 'num', title: exact(row.mean_share) }, fraction(row.mean_share)),
    );
  const heads = [['', 'head or MLP'], ['logit', 'the answer’s logit less what it is without the component'], ['log p', 'the answer’s log probability less that, nats'], ['rank', 'the answer’s rank without the component'], ['share', 'mean share over positions']];
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Removed heads and MLPs' }, h('table', { class: 'data' }, h('thead', {}, h('tr', {}, ...heads.map(([words, title]) => h('th', { scope: 'col', class: words ? 'num' : null, title }, words || 'without')))), h('tbody', {}, ...rows.slice(0, LISTED).map(line))));
}

/** @param {PanelProps} props @param {KnockoutRow[]} rows */
function show(props, rows) {
  const { removal } = props.state;
  if (!rows.length) return [h('p', { class: 'quiet' }, 'This prompt is not among those from which components were removed.')];
  const title = 'Effect against share';
  const figure = () =>
    effectAgainstShare({
      rows,
      x: { column: 'mean_share', name: 'mean share over positions' },
      y: { column: 'effect_answer', name: 'lost of the answer’s logit' },
      width: props.width,
      height: 240,
      name: 'effect-against-share',
      title,
      sql: figureSql(props, 'knockouts', { removal }),
    });
  const least = Math.min(...rows.map((row) => row.effect_answer));
  return [
    props.memo(`removals ${removal}`, figure),
    lostMost(props, rows),
    h('p', { class: 'quiet' }, `${rows.length} heads and MLPs were removed, one at a time, at all positions. `, least < 0 ? `Below 0: without it the answer’s logit is larger, by ${quantity(-least)} at most.` : 'None of them stands against the answer.'),
  ];
}

/** The part of the tab; none where the run removed nothing. @param {PanelProps} props */
export function removalsPart(props) {
  const { index, data, source, state } = props;
  if (!index.tables?.knockouts?.rows) return [];
  const { removal } = state;
  const answer = props.ask(`knockouts ${removal}`, () => source.details.knockouts(index, data.prompt.prompt_id, removal));
  return [
    heading('When it is removed', 'what the answer of the last target loses in all'),
    removalField(removal, (next) => props.onGo({ removal: next })),
    h('p', { class: 'quiet' }, REMOVAL_WORDS[removal][1], '.'),
    ...answered(answer, 'The knock-outs', (rows) => show(props, rows), 6),
  ];
}
