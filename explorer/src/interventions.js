/** What changes when heads, MLPs and neurons are edited: an intervention over the prompts of a run. */

import { editLinks } from './component-link.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { forest } from './forest.js';
import { exact, fraction, integer, plural, showText } from './format.js';
import { estimateOf, intervalWords } from './interval.js';
import { chosen, interventionsOf } from './interventions-data.js';
import { CHANGES, LARGEST } from './measures.js';
import { choiceField, createStatsPage, groupField, selectField } from './page-parts.js';
import { answered, signed, tokenMark } from './panel-parts.js';
import { format, promptsState, promptState } from './state.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').InterventionsState>} Props */
/** @typedef {import('./interventions-data.js').Intervention} Intervention */
/** @typedef {import('./rows.js').Row} Row */

/** @param {Row} row */
const groupName = ({ group }) => (group === null ? 'all prompts' : showText(group) || '(empty)');

/** How a change of a measure is written: divergences and parts of prompts have no sign. @param {string} measure */
const changeOf = (measure) => (CHANGES[measure].sides ? signed : fraction);

/** @param {Props} props @param {Intervention} one */
function about({ state }, one) {
  return [
    h('h2', { 'data-testid': 'intervention-name' }, showText(one.name)),
    one.note ? h('p', {}, showText(one.note)) : null,
    h('p', { class: 'edits', 'data-testid': 'edits' }, ...editLinks(state.run, one.edits)),
    h('p', { class: 'quiet' }, `${plural(one.n_prompts, 'prompt')}, each asked twice at its last target: as the model is, and with these edits in every forward pass.`),
  ];
}

/** @param {string} measure @returns {import('./data-table.js').Column[]} */
function summaryColumns(measure) {
  const show = changeOf(measure);
  const side = (/** @type {'before' | 'after'} */ name) => ({ name, value: (/** @type {Row} */ row) => row[name], show: (/** @type {Row} */ row) => (row[name] === null ? '–' : Number(row[name].toPrecision(3)).toString()), hint: (/** @type {Row} */ row) => exact(row[name]) });
  return [
    { name: 'group', text: true, value: (row) => row.group, show: groupName },
    { name: 'n', label: 'prompts', value: (row) => row.n, show: (row) => integer(row.n) },
    ...(CHANGES[measure].sides ? [side('before'), side('after')] : []),
    {
      name: 'change',
      label: CHANGES[measure].sides ? 'change' : 'mean',
      value: (row) => row.change,
      show: (row) => show(row.change),
      hint: (row) => `${exact(row.change)}, 95% interval ${intervalWords(estimateOf(row, 'change'), show)}`,
      also: { change_low: (row) => row.change_low, change_high: (row) => row.change_high },
    },
  ];
}

/** @param {Props} props @param {Intervention} one @returns {import('./data-table.js').Column[]} */
function largestColumns({ state }, one) {
  const token = (/** @type {'before' | 'after'} */ side) => ({ name: `predicted_${side}`, label: `predicted ${side}`, text: true, value: (/** @type {Row} */ row) => row[`predicted_${side}`], show: (/** @type {Row} */ row) => tokenMark(row[`predicted_${side}`]) });
  return [
    { name: 'prompt_id', label: 'prompt', text: true, value: (row) => row.prompt_id, show: (row) => h('a', { href: format(promptState(state.run, row.prompt_id, { tab: 'edits', edit: one.folder })) }, String(row.prompt_id)) },
    { name: 'change', value: (row) => row.change, show: (row) => changeOf(state.measure)(row.change), hint: (row) => exact(row.change) },
    token('before'),
    token('after'),
  ];
}

/** Said where a run has none, with the command that makes one. @param {import('./data.js').RunIndex} index */
export function noInterventions(index) {
  return h('p', { class: 'hint', 'data-testid': 'no-interventions' }, 'This run has no interventions yet. ', h('code', {}, `flowatlas intervene ${showText(index.title)} L0H0=off`), ' makes one; then make the site again with ', h('code', {}, 'flowatlas site'), '.');
}

/** @param {import('./pages.js').Options} options */
export function createInterventions({ data, navigate }) {
  const groups = createDataTable({ id: 'groups', name: 'change-by-group' });
  const largest = createDataTable({ id: 'largest', name: 'largest-changes', first: 10 });

  /** @param {Props} props @param {Row[]} all */
  function changes(props, all) {
    const { state, width, sorting } = props;
    const { title, unit, note } = CHANGES[state.measure];
    const rows = all.filter((row) => row.measure === state.measure);
    if (!rows.length) return [h('p', { class: 'hint', 'data-testid': 'no-measure' }, 'No prompt has a foil, so there is no answer less foil. Choose another measure.')];
    const marks = rows.map((row) => ({ ...estimateOf(row, 'change'), label: groupName(row), n: row.n, strong: row.group === null, href: format(promptsState(state.run, { group: row.group })) }));
    groups.update({ rows, columns: summaryColumns(state.measure), sorting });
    return [forest({ rows: marks, name: 'change', title, unit, of: 'prompts', width: Math.min(width, 720), show: changeOf(state.measure) }), h('p', { class: 'quiet' }, note), groups.el];
  }

  /** @param {Props} props @param {Intervention} one */
  function largestPart(props, one) {
    const { state, index, ask, sorting } = props;
    if (!LARGEST.includes(state.measure)) return [];
    const answer = ask(`largest ${one.folder} ${state.measure} ${state.group}`, () => data.interventions.largest(index, one, state.measure, state.group));
    return [
      h('h2', {}, 'Largest changes'),
      ...answered(answer, 'The largest changes', (rows) => {
        largest.update({ rows, columns: largestColumns(props, one), sorting, empty: 'No prompt of this group has the measure.' });
        return [largest.el];
      }),
    ];
  }

  /** @param {Props} props */
  function render(props) {
    const { index, state, ask, go } = props;
    const one = chosen(index, state.name);
    if (!one) return [noInterventions(index)];
    const listed = interventionsOf(index).map(({ folder, name }) => /** @type {[string, string]} */ ([folder, showText(name)]));
    const answer = ask(`summary ${one.folder}`, () => data.interventions.summary(index, one));
    return [
      h(
        'div',
        { class: 'controls-row' },
        selectField({ label: 'intervention', value: one.folder, options: listed, onChange: (name) => go({ name }), testid: 'intervention' }),
        choiceField({ label: 'measure', value: state.measure, options: Object.entries(CHANGES).map(([name, { word, note }]) => [name, word, note]), onChange: (measure) => go({ measure }), testid: 'measure' }),
        groupField(Object.keys(index.groups ?? {}), state.group, (group) => go({ group })),
      ),
      state.name !== null && state.name !== one.folder ? h('p', { class: 'hint', role: 'status' }, `This site has no intervention ${showText(state.name)}: the first one is shown.`) : null,
      ...about(props, one),
      ...answered(answer, 'The changes', (rows) => changes(props, rows)),
      ...largestPart(props, one),
    ];
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: () => 'Interventions', lead: 'Heads, MLPs and neurons taken away, turned on, set or scaled: what the model then predicts. An effect here is caused by the edit, with all that later layers make of it.', render });
}
