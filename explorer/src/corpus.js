/** The corpus: which heads, MLPs and neurons carry the most in a group of prompts, and how sure that is. */

import { componentColumn } from './component-link.js';
import { componentState } from './component-names.js';
import { corpusFigure } from './corpus-figure.js';
import { createCorpusRemovals } from './corpus-removals.js';
import { createDataTable } from './data-table.js';
import { h, refill } from './dom.js';
import { fraction, integer, plural, showText } from './format.js';
import { estimateOf, exactWords, intervalMark, intervalWords, written } from './interval.js';
import { createMemo } from './memo.js';
import { byThreshold, MEASURES, PART_WORDS, PARTS } from './measures.js';
import { rowWords } from './name-label.js';
import { choiceField, createStatsPage, groupField, nearestTau, selectField, tauField } from './page-parts.js';
import { answered } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import partsSql from './sql/corpus_parts.sql?raw';
import stabilitySql from './sql/corpus_stability.sql?raw';
import { stabilityFigure, stabilityWords } from './stability-figure.js';
import { format, pageState } from './state.js';
import { spanOf } from './ticks.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').CorpusState>} Props */
/** @typedef {import('./rows.js').Row} Row */

const NAMES = { importance: 'stats.importance', activity: 'stats.activity', stability: 'stats.stability' };

/** Rank 1 carries most; what has no number has no rank. @param {Row[]} rows @param {string} measure @returns {Map<Row, number>} */
export function ranksOf(rows, measure) {
  const sorted = rows.filter((row) => row[measure] !== null).sort((a, b) => b[measure] - a[measure]);
  let place = 0;
  return new Map(sorted.map((row, i) => {
    if (i === 0 || row[measure] !== sorted[i - 1][measure]) place = i + 1;
    return [row, place];
  }));
}

/** Who stands behind a number. @param {Row} row @param {string} measure @param {number} tau */
function denominator(row, measure, tau) {
  if (byThreshold(measure)) return `${integer(row.n_active)} of ${plural(row.n, 'prompt')} active above ${tau}`;
  return `${plural(row[MEASURES[measure].of], 'prompt')}, on a stored route in ${integer(row.n_stored)}`;
}

/** All that is known of a component, under the heat map. @param {Props['index']} index @param {Row} row @param {string} measure @param {number} tau @param {string} rank */
function wordsOf(index, row, measure, tau, rank) {
  const of = estimateOf(row, measure);
  const range = of.low === null ? '' : ` (95%: ${intervalWords(of, (value) => written(measure, value))})`;
  return [h('b', {}, ...rowWords(index, row)), ` ${MEASURES[measure].short} `, h('b', { title: exactWords(of) }, written(measure, of.value)), `${range} · ${rank}${denominator(row, measure, tau)}`];
}

/** @param {Props} props @param {number} tau @param {Row[]} rows @param {import('./pages.js').Options['navigate']} navigate */
function heat({ index, state, width, go }, tau, rows, navigate) {
  const { measure, group, run } = state;
  const ranks = new Map(PARTS.map((part) => [part, ranksOf(rows.filter((row) => row.component === part), measure)]));
  const rankWords = (/** @type {Row} */ row) => {
    const own = ranks.get(row.component);
    return own?.has(row) ? `#${own.get(row)} of ${own.size} ${PART_WORDS[/** @type {import('./measures.js').Part} */ (row.component)]} · ` : '';
  };
  const where = group === null ? 'all prompts' : showText(group);
  const title = `${MEASURES[measure].name}, ${where}${byThreshold(measure) ? `, threshold ${tau}` : ''}`;
  const open = (/** @type {Row} */ row) => {
    const page = componentState(run, /** @type {any} */ (row));
    if (page) navigate(page);
    else go({ list: row.component });
  };
  return corpusFigure({
    rows,
    nLayers: index.n_layers,
    nHeads: index.n_heads,
    measure,
    words: (row) => wordsOf(index, row, measure, tau, rankWords(row)),
    rest: ['Point at a cell, or walk with the arrow keys, for its number, interval and denominator; Enter or a click opens a head.'],
    width: width > 940 ? width - 400 : width,
    onChoose: open,
    title,
    sql: sqlLink(run, asked(partsSql, { neurons: false, tau, group }, NAMES), title),
  });
}

/** @param {Props} props @param {import('./data.js').Data} data */
function stability({ index, stats, state, ask }, data) {
  const { list, group, run } = state;
  const values = { component: list, group };
  const answer = ask(`stability ${list} ${group}`, () => data.stats.rows(index, stabilitySql, { stability: { component: list, group } }, values));
  const title = `Rank correlation of ${PART_WORDS[list]} between thresholds`;
  return [
    h('h2', {}, 'Does the threshold matter?'),
    ...answered(answer, 'The stability of the ranking', (rows) => [
      h('p', { class: 'quiet', 'data-testid': 'stability-words' }, stabilityWords(/** @type {any} */ (rows), stats.taus)),
      rows.length ? stabilityFigure({ rows: /** @type {any} */ (rows), taus: stats.taus, title, sql: sqlLink(run, asked(stabilitySql, values, NAMES), title) }) : '',
    ], 4),
  ];
}

/** @param {string} measure @param {[number, number]} span @param {import('./measures.js').Part} part @returns {import('./data-table.js').Column[]} */
function measureColumns(measure, span, part) {
  const of = (/** @type {Row} */ row) => estimateOf(row, measure);
  return [
    { name: measure, label: MEASURES[measure].short, title: MEASURES[measure].name, value: (row) => row[measure], show: (row) => written(measure, row[measure]), hint: (row) => exactWords(of(row)) },
    {
      name: `${measure}_low`,
      label: '95% interval',
      class: 'interval-cell',
      value: (row) => row[`${measure}_low`] ?? null,
      show: (row) => [intervalMark(of(row), span, { kind: part === 'mlp' || part === 'neuron' ? 'mlp' : 'attn' }), h('span', { class: 'quiet ends-words' }, intervalWords(of(row), (value) => written(measure, value)))],
      hint: (row) => exactWords(of(row)),
      also: { [`${measure}_high`]: (row) => row[`${measure}_high`] ?? null },
    },
  ];
}

/** How often it is on a route above the threshold. @param {number} tau @returns {import('./data-table.js').Column} */
const frequencyColumn = (tau) => ({
  name: 'frequency',
  label: `active > ${tau}`,
  title: `share of prompts in which it is on a route above ${tau}, and of how many`,
  value: (row) => row.frequency,
  show: (row) => [fraction(row.frequency), h('small', {}, ` ${integer(row.n_active)}/${integer(row.n)}`)],
  also: { n_active: (row) => row.n_active, n: (row) => row.n },
});

/** A further measure, left out where there is no room. @param {string} measure @returns {import('./data-table.js').Column} */
const otherColumn = (measure) => ({
  name: measure,
  label: MEASURES[measure].short,
  title: MEASURES[measure].name,
  class: 'secondary',
  value: (row) => row[measure],
  show: (row) => written(measure, row[measure]),
  hint: (row) => exactWords(estimateOf(row, measure)),
});

/** @param {Props} props @param {number} tau @param {Row[]} rows @returns {import('./data-table.js').Column[]} */
function columnsOf({ index, state: { measure, list } }, tau, rows) {
  const ranks = ranksOf(rows, measure);
  const span = spanOf(rows.flatMap((row) => [row[measure], row[`${measure}_low`], row[`${measure}_high`]]));
  const { of } = MEASURES[measure];
  return [
    componentColumn(index),
    { name: 'rank', label: '#', title: 'rank by the chosen measure', value: (row) => ranks.get(row) ?? null, show: (row) => String(ranks.get(row) ?? '–') },
    ...measureColumns(measure, span, list),
    { name: of, label: 'of', title: 'prompts behind the mean', value: (row) => row[of], show: (row) => integer(row[of]) },
    ...(byThreshold(measure) ? [] : [frequencyColumn(tau)]),
    otherColumn(measure === 'mean_share' ? 'target_share' : 'mean_share'),
    ...(measure === 'effect' ? [] : [otherColumn('effect')]),
  ];
}

/** @param {import('./pages.js').Options} options */
export function createCorpus({ data, navigate }) {
  /** @type {Props | null} */
  let now = null;
  const ranking = createDataTable({ id: 'ranking', name: 'ranking', onFind: (find) => now?.go({ find }, true) });
  const memo = createMemo();
  const removals = createCorpusRemovals({ data });
  // These stay where they are: a reader who walks the cells keeps the place while other parts arrive.
  const heatPart = h('section', {});
  const stabilityPart = h('section', { class: 'stability-part' });
  const figures = h('div', { class: 'beside' }, heatPart, stabilityPart);

  /** @param {Props} props */
  function controls({ stats, state, go }, tau = 0) {
    return h(
      'div',
      { class: 'controls-row' },
      selectField({ label: 'measure', value: state.measure, options: Object.entries(MEASURES).map(([id, { name }]) => [id, name]), onChange: (measure) => go({ measure }), testid: 'measure' }),
      groupField(stats.groups, state.group, (group) => go({ group })),
      tauField(stats.taus, tau, (next) => go({ tau: next })),
      h('a', { class: 'button', href: format(pageState('contrast', state.run, { a: state.group })), 'data-testid': 'to-contrast' }, state.group === null ? 'Compare groups' : 'Compare with other prompts'),
    );
  }

  /** @param {Props} props @param {number} tau @param {boolean} neurons */
  function askParts({ index, state: { group }, ask }, tau, neurons) {
    const wanted = { group, component: neurons ? 'neuron' : ['head', 'mlp', 'attn'] };
    return ask(`parts ${neurons} ${tau} ${group}`, () => data.stats.rows(index, partsSql, { importance: wanted, activity: wanted }, { neurons, tau, group }));
  }

  /** @param {Props} props @param {number} tau */
  function rankingPart(props, tau) {
    const { state, go, sorting } = props;
    const neurons = state.list === 'neuron';
    const answer = askParts(props, tau, neurons);
    const lists = choiceField({ label: 'ranking of', value: state.list, options: PARTS.map((part) => [part, PART_WORDS[part]]), onChange: (list) => go({ list: /** @type {any} */ (list), order: '', find: '' }), testid: 'list' });
    const note = neurons ? 'Listed are the neurons that carry most overall and in each group. Neurons are stored where they are among the top of an MLP, so their means are lower bounds; effects are means over the prompts in which they are stored at the target.' : state.list === 'attn' ? 'An attention block’s shares and effects are the sums of its heads’.' : '';
    return [
      h('h2', {}, 'Ranking'),
      lists,
      note ? h('p', { class: 'quiet' }, note) : '',
      ...answered(answer, 'The ranking', (all) => {
        const rows = all.filter((row) => row.component === state.list);
        const ranks = ranksOf(rows, state.measure);
        const first = [...rows].sort((a, b) => (ranks.get(a) ?? Infinity) - (ranks.get(b) ?? Infinity));
        const sql = sqlLink(state.run, asked(partsSql, { neurons, tau, group: state.group }, NAMES), 'the ranking');
        ranking.update({ rows: first, columns: columnsOf(props, tau, rows), sorting, find: state.find, sql, empty: 'No component of this sort is stored for these prompts.' });
        return [ranking.el];
      }, 10),
    ];
  }

  /** @param {Props} props */
  function render(props) {
    now = props;
    const tau = nearestTau(props.stats.taus, props.state.tau);
    const parts = askParts(props, tau, false);
    memo.turn();
    const { run, group, measure } = props.state;
    const figure = (/** @type {Row[]} */ rows) => memo.get(JSON.stringify([run, group, measure, tau, props.width]), () => heat(props, tau, rows, navigate));
    refill(heatPart, () => answered(parts, 'The importance of heads', (rows) => (rows.length ? [figure(rows)] : [h('p', { class: 'empty' }, `No prompt is in the group “${showText(group ?? '')}”.`)]), 10));
    refill(stabilityPart, () => stability(props, data));
    return [controls(props, tau), figures, ...rankingPart(props, tau), ...removals(props)];
  }

  return createStatsPage({ data, navigate, heading: () => 'Corpus', lead: 'Which heads, MLPs and neurons carry the most over all prompts, and how sure that is.', render });
}
