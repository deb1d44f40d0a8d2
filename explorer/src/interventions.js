/** What changes when heads, MLPs and neurons are edited: an intervention over the prompts of a run. */

import { editLinks } from './component-link.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { forest } from './forest.js';
import { exact, integer, plural, showText } from './format.js';
import { estimateOf, exactWords, intervalWords } from './interval.js';
import { chosen, interventionsOf, NAMES } from './interventions-data.js';
import { CHANGES } from './measures.js';
import { createStatsPage, groupField, selectField } from './page-parts.js';
import { answered, tokenMark } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import largestSql from './sql/intervention_largest.sql?raw';
import summarySql from './sql/intervention_summary.sql?raw';
import { format, promptsState, promptState } from './state.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').InterventionsState>} Props */
/** @typedef {import('./interventions-data.js').Intervention} Intervention */
/** @typedef {import('./rows.js').Row} Row */

const MEASURED = Object.keys(CHANGES);
const SHOWN = 90; // letters of the end of a prompt's text

/** Why a measure is of no prompt. @type {Record<string, string>} */
const NONE = { accuracy: 'No prompt has an answer of its own, only what the model predicts anyway.' };

/** @param {string} text */
const ending = (text) => (text.length > SHOWN ? `…${showText(text.slice(-SHOWN))}` : showText(text));

/** @param {{ group?: string | null }} row */
const groupName = ({ group = null }) => (group === null ? 'all prompts' : showText(group) || '(empty)');

/** Three digits, of what is near zero its size. @param {number | null} value */
const number = (value) => (value === null ? '–' : (value && Math.abs(value) < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3)))).replaceAll('-', '−'));

/** How a change of a measure is written: divergences and parts of prompts have no sign. @param {string} measure @returns {(value: number | null) => string} */
const changeOf = (measure) => (value) => `${CHANGES[measure].sides && value !== null && value > 0 ? '+' : ''}${number(value)}`;

/** @param {Props} props @param {Intervention} one */
function about({ index }, one) {
  return [
    h('h2', { 'data-testid': 'intervention-name' }, showText(one.name)),
    one.note ? h('p', {}, showText(one.note)) : null,
    h('p', { class: 'edits', 'data-testid': 'edits' }, ...editLinks(index, one.edits)),
    h('p', { class: 'quiet' }, `${plural(one.n_prompts, 'prompt')}, each asked twice at its last target: as the model is, and with these edits in every forward pass.`),
  ];
}

/** The columns of a change, with its sides where it has any. @param {(row: Row) => string} measureOf @returns {import('./data-table.js').Column[]} */
function changeColumns(measureOf) {
  const side = (/** @type {'before' | 'after'} */ name) => ({ name, value: (/** @type {Row} */ row) => row[name], show: (/** @type {Row} */ row) => number(row[name]), hint: (/** @type {Row} */ row) => exact(row[name]) });
  const show = (/** @type {Row} */ row) => changeOf(measureOf(row));
  return [
    side('before'),
    side('after'),
    {
      name: 'change',
      label: 'mean change',
      title: 'mean of after less before and its 95% interval; of divergence and other predictions the mean itself',
      value: (row) => row.change,
      show: (row) => [show(row)(row.change), h('small', { class: 'quiet' }, row.change_low === null ? '' : ` ${intervalWords(estimateOf(row, 'change'), show(row))}`)],
      hint: (row) => exactWords(estimateOf(row, 'change')),
      also: { change_low: (row) => row.change_low, change_high: (row) => row.change_high },
    },
    { name: 'n', label: 'prompts', title: 'prompts that have the measure', value: (row) => row.n, show: (row) => integer(row.n) },
  ];
}

/** All that is measured, for the prompts that are looked at. @param {Props} props @returns {import('./data-table.js').Column[]} */
function overviewColumns({ state }) {
  const { order: _, ...rest } = state;
  return [
    { name: 'measure', text: true, value: (row) => row.measure, show: (row) => h('a', { href: format({ ...rest, order: '', measure: row.measure }), 'aria-current': row.measure === state.measure ? 'true' : null }, CHANGES[row.measure].word), hint: (row) => CHANGES[row.measure].note },
    ...changeColumns((row) => row.measure),
  ];
}

/** @param {Props} props @returns {import('./data-table.js').Column[]} */
function groupColumns({ state }) {
  return [{ name: 'group', text: true, value: (row) => row.group, show: (row) => h('a', { href: format(promptsState(state.run, { group: row.group })) }, groupName(row)) }, ...changeColumns(() => state.measure)];
}

/** @param {Props} props @param {Intervention} one @returns {import('./data-table.js').Column[]} */
function largestColumns({ state }, one) {
  const token = (/** @type {string} */ name) => ({ name, label: name.replace('_', ' '), text: true, value: (/** @type {Row} */ row) => row[name], show: (/** @type {Row} */ row) => tokenMark(row[name]) });
  return [
    { name: 'prompt_id', label: 'prompt', text: true, value: (row) => row.prompt_id, show: (row) => h('a', { href: format(promptState(state.run, row.prompt_id, { tab: 'edits', edit: one.folder })) }, String(row.prompt_id)) },
    { name: 'text', label: 'ends with', text: true, class: 'secondary', value: (row) => row.text, show: (row) => h('bdi', { class: 'ending' }, ending(row.text)), hint: (row) => row.text },
    { ...token('answer'), class: 'secondary' },
    { name: 'change', value: (row) => row.change, show: (row) => changeOf(state.measure)(row.change), hint: (row) => exact(row.change) },
    token('predicted_before'),
    token('predicted_after'),
  ];
}

/** Said where a run has none, with the command that makes one. @param {import('./data.js').RunIndex} index */
export function noInterventions(index) {
  if (index.selection?.left_out.includes('interventions')) return h('p', { class: 'hint', 'data-testid': 'no-interventions' }, 'This site was made without interventions.');
  return h('p', { class: 'hint', 'data-testid': 'no-interventions' }, 'This run has no interventions yet. ', h('code', {}, `flowatlas intervene ${showText(index.title)} L0H0=off`), ' makes one; then make the site again with ', h('code', {}, 'flowatlas site'), '.');
}

/** @param {import('./pages.js').Options} options */
export function createInterventions({ data, navigate }) {
  const overview = createDataTable({ id: 'overview', name: 'what-changes' });
  const groups = createDataTable({ id: 'groups', name: 'change-by-group' });
  const largest = createDataTable({ id: 'largest', name: 'largest-changes', first: 10 });

  /** @param {Props} props @param {Intervention} one @param {Row[]} all */
  function changes(props, one, all) {
    const { state, width, sorting } = props;
    const { title, unit, note } = CHANGES[state.measure];
    const sql = () => sqlLink(state.run, asked(summarySql, { intervention: one.folder }, NAMES), 'the changes');
    const looked = all.filter((row) => row.group === state.group).sort((a, b) => MEASURED.indexOf(a.measure) - MEASURED.indexOf(b.measure));
    overview.update({ rows: looked, columns: overviewColumns(props), sorting, sql: sql(), empty: 'No prompt of this group was asked again.' });
    const rows = all.filter((row) => row.measure === state.measure);
    const marks = rows.map((row) => ({ ...estimateOf(row, 'change'), label: groupName(row), n: row.n, strong: row.group === state.group, href: format(promptsState(state.run, { group: row.group })) }));
    groups.update({ rows, columns: groupColumns(props), sorting, sql: sql() });
    return [
      h('h2', {}, `What changes, ${groupName({ group: state.group })}`),
      overview.el,
      h('h2', {}, title),
      h('p', { class: 'quiet' }, note),
      ...(rows.length ? [forest({ rows: marks, name: 'change', title, unit, of: 'prompts', width: Math.min(width, 720), show: changeOf(state.measure), sql: sql() }), groups.el] : [h('p', { class: 'hint', 'data-testid': 'no-measure' }, NONE[state.measure] ?? 'No prompt has a foil.', ' Choose another measure.')]),
    ];
  }

  /** @param {Props} props @param {Intervention} one */
  function largestPart(props, one) {
    const { state, index, ask, sorting } = props;
    const answer = ask(`largest ${one.folder} ${state.measure} ${state.group}`, () => data.interventions.largest(index, one, state.measure, state.group));
    const sql = sqlLink(state.run, asked(largestSql, { intervention: one.folder, measure: state.measure, group: state.group }, NAMES), 'the largest changes');
    return [
      h('h2', {}, `Largest: ${CHANGES[state.measure].word}, ${groupName({ group: state.group })}`),
      ...answered(answer, 'The largest changes', (rows) => {
        largest.update({ rows, columns: largestColumns(props, one), sorting, sql, empty: 'It changes in no prompt.' });
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
        selectField({ label: 'measure', value: state.measure, options: MEASURED.map((name) => [name, CHANGES[name].word]), onChange: (measure) => go({ measure }), testid: 'measure' }),
        groupField(Object.keys(index.groups ?? {}), state.group, (group) => go({ group })),
      ),
      state.name !== null && state.name !== one.folder ? h('p', { class: 'hint', role: 'status' }, `This site has no intervention ${showText(state.name)}: the first one is shown.`) : null,
      ...about(props, one),
      ...answered(answer, 'The changes', (rows) => changes(props, one, rows), 12),
      ...largestPart(props, one),
    ];
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: () => 'Interventions', lead: 'Heads, MLPs and neurons taken away, turned on, set or scaled: what the model then predicts. An effect here is caused by the edit, with all that later layers make of it.', render });
}
