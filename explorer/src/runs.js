/** Two runs of the same prompts: what differs in how they were made, component by component, and prompt by prompt. */

import './trust.css';
import { comparedFiles, comparisonOf, differing } from './compared.js';
import { componentState } from './component-names.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { integer, plural, fraction, showText, showToken } from './format.js';
import { createStatsPage, choiceField, groupField, selectField } from './page-parts.js';
import { answered, factList } from './panel-parts.js';
import { COMPARED, MEASURES } from './measures.js';
import { componentColumns, differenceFigure, promptColumns, promptFigure } from './runs-parts.js';
import { asked, sqlLink } from './sql-link.js';
import componentsSql from './sql/compared_components.sql?raw';
import promptsSql from './sql/compared_prompts.sql?raw';
import { format, pageState } from './state.js';
import { flattened } from './trust-words.js';

/** @typedef {import('./state.js').CompareState} CompareState */
/** @typedef {import('./page-parts.js').PageProps<CompareState>} Props */
/** @typedef {import('./compared.js').Compared} Compared */
/** @typedef {import('./rows.js').Row} Row */

const NAMES = { components: 'compared.components', compared: 'compared.prompts', largest: 'compared.largest', prompts: 'prompts' };

/** @param {Compared} pair @param {string} text @param {string} name */
const link = (pair, text, name) => sqlLink(pair.a, text, name, { with: pair.b });

/** What identifies a run besides its config. @param {import('./data.js').RunIndex} index @returns {[string, string][]} */
const madeOf = ({ manifest }) => [
  ...flattened(manifest.config ?? {}).filter(([key]) => !/^run\.(dir|task|tasks|progress|dry)$/.test(key)),
  ...flattened(manifest.versions ?? {}, 'versions'),
  ['weights hash', String(manifest.weights_hash ?? '–').slice(0, 16)],
];

/** @param {Compared} pair @param {import('./data.js').RunIndex} first @param {import('./data.js').RunIndex} second */
function madePart(pair, first, second) {
  const rows = differing(madeOf(first), madeOf(second));
  return [
    h('h2', {}, 'How they were made'),
    rows.length
      ? h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'What differs between the runs' }, h('table', { class: 'data', 'data-testid': 'config-difference' }, h('thead', {}, h('tr', {}, ...['key', pair.a, pair.b].map((name) => h('th', { scope: 'col' }, showText(name))))), h('tbody', {}, ...rows.map(([key, a, b]) => h('tr', {}, h('th', { scope: 'row' }, key), h('td', {}, h('code', { class: 'value' }, a)), h('td', {}, h('code', { class: 'value' }, b)))))))
      : h('p', { 'data-testid': 'config-difference' }, 'Config, versions and weights are the same: what differs is what the machine does.'),
  ];
}

/** What changed over all prompts. @param {Compared} pair @param {Row[]} rows */
function summary(pair, rows) {
  const right = (/** @type {'a' | 'b'} */ run) => rows.filter((row) => row[`answer_rank_${run}`] === 1).length;
  const changed = rows.filter((row) => row.predicted_a !== row.predicted_b).length;
  const moved = rows.filter((row) => row.distance !== null);
  const same = rows.length > 0 && !changed && rows.every((row) => row.distance === 0 && row.answer_prob_a === row.answer_prob_b);
  return h('div', { 'data-testid': 'compared-summary' }, same ? h('p', { class: 'hint', 'data-testid': 'nothing-differs' }, 'Nothing differs: both runs have the same shares and the same predictions.') : null, factList([
    ['prompts in both', integer(pair.n)],
    ['answer predicted', `${integer(right('a'))} → ${integer(right('b'))}`],
    ['other prediction', `${integer(changed)} of ${plural(rows.length, 'prompt')}`],
    ['mean distance of shares', moved.length ? fraction(moved.reduce((sum, row) => sum + row.distance, 0) / moved.length) : 'models of other shapes'],
  ]));
}

/** @param {Props} props */
function absent({ index, state }) {
  const others = (index.compared ?? []).map(({ a, b }) => h('li', {}, h('a', { href: format(pageState('compare', a, { other: b })) }, `${showText(a)} and ${showText(b)}`)));
  return [
    h('p', { class: 'hint', 'data-testid': 'not-compared' }, `This site holds no comparison of ${showText(state.run)} and ${showText(state.other)}: they have no prompt in common, or are not both in it. `, h('code', {}, 'flowatlas compare A B'), ' compares any two runs on the command line; a site of both compares them by itself.'),
    others.length ? h('ul', {}, ...others) : null,
  ];
}

/** @param {import('./pages.js').Options} options */
export function createRuns({ data, navigate }) {
  /** @type {Props | null} */
  let now = null;
  const table = createDataTable({ id: 'compared', name: 'components-in-two-runs', first: 25, onFind: (find) => now?.go({ find }, true) });
  const list = createDataTable({ id: 'compared-prompts', name: 'prompts-in-two-runs', first: 25 });

  /** @param {Compared} pair @param {Props} props */
  function componentsPart(pair, { index, state, ask, go, width, sorting, stats }) {
    const neurons = state.list === 'neuron';
    const heading = h('h2', {}, 'Components');
    if (!pair.same_shape) return [heading, h('p', { class: 'hint' }, 'The models have other shapes, so that no component of one is a component of the other. What was predicted is compared below.')];
    const values = { measure: state.measure, group: state.group, neurons };
    const files = { components: comparedFiles(pair, 'components').map((path) => data.address(index, path)) };
    const answer = ask(`compared ${JSON.stringify([pair.a, pair.b, values])}`, () => data.stats.rows(index, componentsSql, {}, values, files));
    const title = `${MEASURES[state.measure].name}: ${showText(pair.b)} less ${showText(pair.a)}`;
    const sql = () => link(pair, asked(componentsSql, values, NAMES), title);
    const open = (/** @type {Row} */ row) => {
      const page = componentState(pair.a, /** @type {any} */ (row));
      if (page) navigate(page);
    };
    return [
      heading,
      h(
        'div',
        { class: 'controls-row' },
        selectField({ label: 'measure', value: state.measure, options: COMPARED.map((id) => [id, MEASURES[id].name]), onChange: (measure) => go({ measure }), testid: 'measure' }),
        groupField(stats?.groups ?? [], state.group, (group) => go({ group })),
        choiceField({ label: 'of', value: state.list, options: [['parts', 'heads and MLPs'], ['neuron', 'neurons']], onChange: (next) => go({ list: /** @type {any} */ (next), order: '', find: '' }), testid: 'list' }),
      ),
      ...answered(answer, 'The comparison of components', (rows) => {
        table.update({ rows, columns: componentColumns(index, state, pair, rows), sorting, find: state.find, sql: sql(), empty: 'Nothing is stored for this choice.' });
        const figure = neurons || !rows.length ? null : differenceFigure({ rows, index, state, pair, width, title, sql: sql(), onChoose: open });
        return [h('div', { class: figure ? 'halves' : null }, figure ? h('section', {}, figure) : null, h('section', {}, table.el))];
      }, 10),
    ];
  }

  /** @param {Compared} pair @param {Props} props @param {Row[]} rows */
  function promptsPart(pair, { width, sorting }, rows) {
    const title = 'How far its shares moved, and what became of the answer';
    const sql = () => link(pair, asked(promptsSql, {}, NAMES), title);
    list.update({ rows, columns: promptColumns(pair, showToken), sorting, sql: sql() });
    return [h('h2', {}, 'Prompts'), pair.same_shape ? promptFigure({ rows, width, title, sql: sql() }) : null, list.el];
  }

  /** @param {Props} props */
  function render(props) {
    now = props;
    const { index, state, ask } = props;
    const pair = comparisonOf(index.compared, state.run, state.other);
    if (!pair) return absent(props);
    const both = ask(`runs ${pair.a} ${pair.b}`, () => Promise.all([data.run(pair.a), data.run(pair.b)]));
    const turned = pair.a !== state.run ? h('p', { class: 'quiet' }, `Differences are ${showText(pair.b)} less ${showText(pair.a)}.`) : null;
    return [
      turned,
      ...answered(both, 'The runs', ([first, second]) => {
        const file = (/** @type {string} */ name) => comparedFiles(pair, name).map((path) => data.address(index, path));
        const files = { compared: file('prompts'), largest: file('largest'), prompts: data.listing.files(first) };
        const prompts = ask(`compared prompts ${pair.a} ${pair.b}`, () => data.stats.rows(index, promptsSql, {}, {}, files));
        return [
          ...answered(prompts, 'The prompts of both runs', (rows) => [summary(pair, rows)], 2),
          ...madePart(pair, first, second),
          ...componentsPart(pair, { ...props, index: first }),
          ...answered(prompts, 'The prompts of both runs', (rows) => promptsPart(pair, props, rows), 8),
        ];
      }, 12),
    ];
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: ({ run, other }) => `${showText(run)} and ${showText(other)}`, lead: 'The same prompts in two runs: checkpoints, base and instruct, dtypes, other floors.', render });
}
