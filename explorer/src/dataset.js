/** The dataset's own figures: how long its prompts are, which groups it has, how often and how surely the model is right. */

import { histogram } from './chart.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { forest } from './forest.js';
import { exact, fraction, integer, plural, showText } from './format.js';
import { estimateOf, intervalWords } from './interval.js';
import { createStatsPage, groupField } from './page-parts.js';
import { answered, factList } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import datasetSql from './sql/dataset.sql?raw';
import histogramsSql from './sql/histograms.sql?raw';
import { format, pageState, promptsState } from './state.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').DataState>} Props */
/** @typedef {import('./rows.js').Row} Row */

const LEAST_BINS = 5; // fewer would look like a block
const NAMES = { dataset: 'stats.dataset', histograms: 'stats.histograms' };

/** Estimates of groups: column, denominator, words. @type {{ column: string, n: string, of: string, title: string, note: string }[]} */
const ESTIMATES = [
  { column: 'accuracy', n: 'n_answers', of: 'prompts', title: 'Accuracy by group', note: 'The answer is the most probable token at the last target. Prompts whose answer is the model’s own prediction do not count.' },
  { column: 'answer_prob', n: 'n_answers', of: 'prompts', title: 'Probability of the answer by group', note: 'Mean over prompts, at the last target.' },
  { column: 'preferred', n: 'n_foils', of: 'prompts with a foil', title: 'Answer preferred to the foil by group', note: 'The answer is more probable than the foil it is contrasted with.' },
];

/** @type {Record<string, string>} */
const QUANTITIES = { n_tokens: 'tokens', answer_prob: 'probability of the answer', answer_rank: 'rank of the answer' };

/** @param {Row} row */
const nameOf = ({ group }) => (group === null ? 'all prompts' : showText(group) || '(empty)');

/** @param {string} column @param {string} n @returns {import('./data-table.js').Column} */
const estimateColumn = (column, n) => ({
  name: column,
  label: column.replace('_', ' '),
  value: (row) => row[column],
  show: (row) => (row[column] === null ? '–' : [fraction(row[column]), h('small', {}, ` of ${integer(row[n])}`)]),
  hint: (row) => `${exact(row[column])}, 95% interval ${intervalWords(estimateOf(row, column), fraction)}, ${plural(row[n], 'prompt')}`,
  also: { [`${column}_low`]: (row) => row[`${column}_low`], [`${column}_high`]: (row) => row[`${column}_high`], [n]: (row) => row[n] },
});

/** @param {string} run @returns {import('./data-table.js').Column[]} */
const columnsFor = (run) => [
  { name: 'group', text: true, value: (row) => row.group, show: (row) => h('a', { href: format(promptsState(run, { group: row.group })) }, nameOf(row)) },
  { name: 'n', label: 'prompts', value: (row) => row.n, show: (row) => integer(row.n) },
  { name: 'n_pairs', label: 'pairs', value: (row) => row.n_pairs, show: (row) => integer(row.n_pairs) },
  { name: 'tokens_median', label: 'tokens, median', value: (row) => row.tokens_median, show: (row) => String(row.tokens_median), hint: (row) => `${row.tokens_least} to ${row.tokens_most}, mean ${exact(row.tokens_mean)}`, also: { tokens_least: (row) => row.tokens_least, tokens_mean: (row) => row.tokens_mean, tokens_most: (row) => row.tokens_most } },
  ...ESTIMATES.map(({ column, n }) => estimateColumn(column, n)),
];

/** @param {Row} all the row of all prompts @param {Props} props */
function summary(all, { index, state }) {
  const rejects = index.counts?.rejects ?? 0;
  return h(
    'div',
    { 'data-testid': 'dataset-summary' },
    factList([
      ['prompts', integer(all.n)],
      ['groups', integer(index.n_groups ?? Object.keys(index.groups ?? {}).length)],
      ['complete pairs', integer(all.n_pairs)],
      ['tokens', `${all.tokens_least} to ${all.tokens_most}, median ${all.tokens_median}`],
      ['accuracy', all.accuracy === null ? 'no answers given' : `${Number((100 * all.accuracy).toPrecision(3))}% of ${plural(all.n_answers, 'prompt')}`, exact(all.accuracy)],
      ['rejected', rejects ? h('a', { href: format(pageState('trust', state.run)) }, plural(rejects, 'row')) : 'none'],
    ]),
  );
}

/** @param {Row[]} rows @param {typeof ESTIMATES[number]} estimate @param {Props} props */
function estimateFigure(rows, { column, n, of, title, note }, { state, width }) {
  const shown = rows.filter((row) => row[column] !== null && row[n] > 0);
  if (!shown.length) return null;
  const marks = shown.map((row) => ({ ...estimateOf(row, column), label: nameOf(row), n: row[n], strong: row.group === null, href: format(promptsState(state.run, { group: row.group })) }));
  const figure = forest({ rows: marks, name: column.replace('_', '-'), title, unit: column, of, width: width > 920 ? (width - 40) / 2 : width, show: fraction, span: [0, 1], sql: sqlLink(state.run, asked(datasetSql, {}, NAMES), title) });
  return h('div', {}, figure, h('p', { class: 'quiet' }, note));
}

/** @param {Row[]} rows @param {string} quantity @param {Props} props */
function spreadFigure(rows, quantity, { state, width }) {
  const bins = rows.filter((row) => row.quantity === quantity);
  const filled = bins.filter(({ n }) => n > 0);
  if (!filled.length) return null;
  const last = Math.max(bins.indexOf(filled[filled.length - 1]), Math.min(bins.length, LEAST_BINS) - 1);
  // Of a bin without an upper end, and of ranks, which spread over powers of ten, the place says which it is.
  const even = quantity === 'answer_rank' ? bins.slice(0, last + 1).map(({ n }, i) => ({ low: i, high: i + 1, n })) : bins.slice(0, last + 1).map(({ low, high, n }) => ({ low, high: high ?? low + 1, n }));
  const labels = quantity === 'answer_rank' ? bins.slice(0, last + 1).map(({ low, high }) => (high === null ? `${low}+` : high - low <= 1 ? String(low) : `${low}–${high - 1}`)) : null;
  const svg = histogram({ columns: even, labels, name: QUANTITIES[quantity], unit: 'prompts', width: width > 920 ? (width - 40) / 2 : width });
  const title = `Prompts by ${QUANTITIES[quantity]}`;
  const table = () => ({ columns: ['low', 'high', 'n'], rows: bins.map(({ low, high, n }) => [low, high, n]) });
  const sql = sqlLink(state.run, asked(histogramsSql, { group: state.group }, NAMES), title);
  return h('figure', { class: 'chart-frame', 'data-testid': `spread-${quantity}` }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'figure-title' }, title), h('span', { class: 'space' }), figureTools({ name: `prompts-by-${quantity.replace('_', '-')}`, svg: () => svg, table, sql })), /** @type {any} */ (svg));
}

/** @param {import('./pages.js').Options} options */
export function createDataset({ data, navigate }) {
  const groups = createDataTable({ id: 'groups', name: 'groups-of-prompts' });

  /** @param {Props} props */
  function render(props) {
    const { index, stats, state, ask, go, sorting } = props;
    const known = ask('dataset', () => data.stats.rows(index, datasetSql, { dataset: {} }));
    const spread = ask(`histograms ${state.group}`, () => data.stats.rows(index, histogramsSql, { histograms: {} }, { group: state.group }));
    return answered(known, 'The figures of the dataset', (rows) => {
      if (!rows.length) return [h('p', { class: 'hint' }, 'The statistics of this run were made before there were figures of the dataset: ', h('code', {}, 'flowatlas stats'), ' makes them anew.')];
      groups.update({ rows, columns: columnsFor(state.run), sorting, sql: sqlLink(state.run, asked(datasetSql, {}, NAMES), 'the groups') });
      return [
        summary(rows[0], props),
        h('h2', {}, 'Is the model right?'),
        h('div', { class: 'figure-grid' }, ...ESTIMATES.map((estimate) => estimateFigure(rows, estimate, props))),
        h('h2', {}, 'How the prompts spread'),
        h('div', { class: 'controls-row' }, groupField(stats.groups, state.group, (group) => go({ group }, true))),
        ...answered(spread, 'The histograms', (bins) => [h('div', { class: 'figure-grid' }, ...Object.keys(QUANTITIES).map((quantity) => spreadFigure(bins, quantity, props)))], 6),
        h('h2', {}, 'Groups'),
        groups.el,
      ];
    }, 10);
  }

  return createStatsPage({ data, navigate, heading: () => 'Data', lead: 'The dataset itself: how long its prompts are, which groups it has, and how often and how surely the model is right.', render });
}
