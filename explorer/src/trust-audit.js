/** The causal audit on the page of trust: does what routes name hold the answer, more than as much of anything else? */

import { xyChart } from './chart.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { exact, integer, plural, quantity, showText } from './format.js';
import { estimateOf, exactWords, intervalWords } from './interval.js';
import { groupField, selectField } from './page-parts.js';
import { answered, signed } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import curvesSql from './sql/audit_curves.sql?raw';
import { filesOf } from './stats-data.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./page-parts.js').PageProps<import('./state.js').TrustState>} Props */

const NAMES = { curves: 'audit.curves' };
const RATE = 0.05;

/** @type {Record<string, string>} */
const RULES = { route: 'route', random: 'random', attention: 'top attention', direct: 'top direct effect' };

/** @type {Record<string, string>} */
const MEASURED = { logprob: 'log probability of the answer', logit: 'logit of the answer', gap: 'logit of the answer less the foil’s' };

/** @type {Record<string, { title: string, axis: string, means: string }>} */
const MODES = {
  keep: { title: 'Sufficient? Only these are kept', axis: 'part that is there', means: 'All other heads and MLPs are at their mean over the dataset. 1: the set alone gives the whole of the answer; 0: no more than everything at its mean.' },
  remove: { title: 'Necessary? Only these are removed', axis: 'part that goes', means: 'The set is at its mean, all others stay. 1: without it the answer falls as far as with everything at its mean; above 1: further.' },
};

const two = (/** @type {number | null} */ value) => (value === null ? '–' : value.toFixed(2).replace('-', '−'));

/** A threshold as it was set: stored as float32. @param {number} tau */
const shownTau = (tau) => String(Number(tau.toPrecision(4)));

/** In a sentence, whatever the outcome. @param {Row[]} rows of one mode @param {string} mode */
export function verdict(rows, mode) {
  const rivals = ['random', 'attention', 'direct'].map((chosen) => {
    const own = rows.filter((row) => row.chosen === chosen && row.q !== null);
    const [better, worse] = [own.filter((row) => row.q <= RATE && row.advantage > 0), own.filter((row) => row.q <= RATE && row.advantage < 0)];
    const words = [better.length ? `better at ${better.length}` : '', worse.length ? `worse at ${worse.length}` : ''].filter(Boolean).join(', ') || 'not told apart at any';
    return `${RULES[chosen]}: ${words} of ${own.length}`;
  });
  return `The route against as many heads and MLPs by another rule, as what is ${mode === 'keep' ? 'kept' : 'removed'}, thresholds with q ≤ ${RATE}. ${rivals.join('; ')}.`;
}

/** @param {Props} props @param {string} mode @param {Row[]} rows */
function curveFigure({ state, width }, mode, rows) {
  const { title, axis, means } = MODES[mode];
  const order = Object.keys(RULES);
  const drawn = rows.filter((row) => row.part !== null).sort((a, b) => order.indexOf(a.chosen) - order.indexOf(b.chosen) || a.tau - b.tau);
  const columns = ['threshold (doubling)', axis, `${axis}_low`, `${axis}_high`, 'rule', 'tau', 'heads', 'MLPs'];
  const taus = [...new Set(drawn.map((row) => row.tau))];
  const numbers = { columns, rows: drawn.map((row) => [Math.log2(row.tau), row.part, row.part_low, row.part_high, RULES[row.chosen], row.tau, row.n_heads, row.n_mlps]) };
  if (!drawn.length) return h('section', {}, h('h3', {}, title), h('p', { class: 'hint' }, 'For these prompts the answer is no better with everything in its place than with everything at its mean: there is nothing to hold.'));
  const svg = xyChart(numbers, { kind: 'line', labels: [4, 5], x: 0, y: 1, low: 2, high: 3, series: 4 }, Math.min(width, 640), 320, { at: taus.map(Math.log2), names: taus.map(shownTau) });
  const sql = sqlLink(state.run, asked(curvesSql, { measure: state.measure, group: state.group }, NAMES), title);
  return h(
    'section',
    { 'data-testid': `audit-${mode}` },
    h('h3', {}, title),
    h('p', { class: 'quiet' }, means),
    h('figure', { class: 'chart-frame' }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'quiet' }, `of the ${MEASURED[state.measure]}; lines: 95% over prompts`), h('span', { class: 'space' }), figureTools({ name: `audit-${mode}`, svg: () => svg, table: () => numbers, title: () => title, sql })), /** @type {any} */ (svg)),
    h('p', { class: 'quiet', 'data-testid': `verdict-${mode}` }, verdict(rows, mode)),
  );
}

/** @returns {import('./data-table.js').Column[]} */
function columnsOf() {
  const estimate = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ title, /** @type {(value: number | null) => string} */ show) => ({
    name,
    label,
    title,
    value: (/** @type {Row} */ row) => row[name],
    show: (/** @type {Row} */ row) => [show(row[name]), h('small', { class: 'quiet' }, row[`${name}_low`] === null ? '' : ` ${intervalWords(estimateOf(row, name), show)}`)],
    hint: (/** @type {Row} */ row) => exactWords(estimateOf(row, name)),
    also: { [`${name}_low`]: (/** @type {Row} */ row) => row[`${name}_low`], [`${name}_high`]: (/** @type {Row} */ row) => row[`${name}_high`] },
  });
  const plain = (/** @type {string} */ name, /** @type {string} */ label, /** @type {(value: any) => string} */ show, secondary = false) => ({ name, label, class: secondary ? 'secondary' : undefined, value: (/** @type {Row} */ row) => row[name], show: (/** @type {Row} */ row) => (row[name] === null ? '–' : show(row[name])), hint: (/** @type {Row} */ row) => exact(row[name]) });
  return [
    { name: 'mode', label: 'the set is', text: true, value: (row) => (row.mode === 'keep' ? 'kept' : 'removed') },
    { name: 'chosen', label: 'chosen by', text: true, value: (row) => RULES[row.chosen] },
    plain('tau', 'threshold', shownTau),
    plain('n_heads', 'heads', (value) => value.toFixed(1)),
    plain('n_mlps', 'MLPs', (value) => value.toFixed(1)),
    estimate('part', 'part', 'of the way between everything at its mean and everything in its place', two),
    estimate('advantage', 'route is better by', 'mean over prompts, in units of the measure; null for the route itself', signed),
    plain('q', 'q', (value) => (value < 0.001 ? '< 0.001' : quantity(value))),
    plain('n', 'of', integer, true),
  ];
}

/** @param {{ data: import('./data.js').Data }} options */
export function createTrustAudit({ data }) {
  const table = createDataTable({ id: 'audit', name: 'audit', first: 16 });

  /** @param {Props} props @param {Row[]} rows */
  function figures(props, rows) {
    const { state, sorting } = props;
    if (!rows.length) return [h('p', { class: 'empty' }, state.measure === 'gap' ? 'No prompt here has a foil.' : `No audited prompt is in the group “${showText(state.group ?? '')}”.`)];
    table.update({ rows, columns: columnsOf(), sorting, sql: sqlLink(state.run, asked(curvesSql, { measure: state.measure, group: state.group }, NAMES), 'the audit') });
    const of = (/** @type {string} */ mode) => curveFigure(props, mode, rows.filter((row) => row.mode === mode));
    return [h('div', { class: 'trust-pair' }, of('keep'), of('remove')), h('details', {}, h('summary', {}, 'All numbers of the audit'), table.el)];
  }

  /** @param {Props} props */
  return function part(props) {
    const { index, stats, state, ask, go } = props;
    const { audit } = index;
    const title = h('h2', {}, 'Do routes hold what matters?');
    if (!audit) return [title, h('p', { class: 'hint', 'data-testid': 'no-audit' }, 'This run was not audited. ', h('code', {}, `flowatlas audit ${showText(index.title)}`), ' keeps and removes what is on its routes; then make the site again.')];
    const { group, measure } = state;
    const files = filesOf(audit, 'curves', { group }).map(({ file }) => data.address(index, file));
    const answer = ask(`audit ${group} ${measure}`, () => data.stats.rows(index, curvesSql, {}, { measure, group }, { curves: files }));
    return [
      title,
      h('p', { class: 'quiet' }, `Of ${plural(audit.n_prompts, 'prompt')} the heads and MLPs on the route of the last token were kept alone, and removed alone, and so were as many heads and as many MLPs chosen by other rules. `, h('b', {}, 'Distrust: '), 'where the curves of route and random lie together, routes name no more than chance. Heads by attention come with the route’s own MLPs.'),
      h('div', { class: 'controls-row' }, selectField({ label: 'measure', value: measure, options: Object.entries(MEASURED), onChange: (next) => go({ measure: /** @type {any} */ (next) }), testid: 'audit-measure' }), groupField(stats?.groups ?? [], group, (next) => go({ group: next }))),
      ...answered(answer, 'The audit', (rows) => figures(props, rows), 8),
    ];
  };
}
