/** How far the numbers can be trusted: what was measured about the measurement, what it means, and when to distrust it. */

import './trust.css';
import { barChart } from './chart.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { exact, integer, plural, showText } from './format.js';
import { createStatsPage } from './page-parts.js';
import { answered } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import fidelitySql from './sql/fidelity.sql?raw';
import rejectsSql from './sql/rejects.sql?raw';
import { createTrustAudit } from './trust-audit.js';
import { CHECKS, FIDELITY, flattened, hashes, runFacts, TOLERANCE } from './trust-words.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').TrustState>} Props */

const NAMES = { fidelity: 'stats.fidelity', rejects: 'rejects' };

/** A number of the guard: small, so as a power of ten. @param {number} value */
const small = (value) => (value === 0 ? '0' : value.toExponential(1).replace('-', '−'));

/** @param {string} testid @param {string[]} heads @param {(string | Node)[][]} rows */
function plainTable(testid, heads, rows) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': heads.join(', ') }, h('table', { class: 'data trust-table', 'data-testid': testid }, h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)))), h('tbody', {}, ...rows.map(([first, ...rest]) => h('tr', {}, h('th', { scope: 'row' }, first), ...rest.map((cell) => h('td', {}, cell)))))));
}

/** @param {any} manifest */
function guardPart(manifest) {
  const dtype = manifest.model?.dtype;
  const errors = Object.entries(manifest.guard ?? {});
  const heading = h('h2', {}, 'The guard');
  if (!errors.length) return [heading, h('p', { class: 'hint' }, 'This run has no errors of a guard: it is unfinished, or was made before there was one. Run it again to have them.')];
  const tolerance = TOLERANCE[dtype];
  const rows = errors.map(([name, error]) => {
    const [what, otherwise] = CHECKS[name] ?? [name, ''];
    const fine = tolerance === undefined || Number(error) <= tolerance;
    return [h('code', {}, name), h('span', { class: `num${fine ? '' : ' missed'}`, title: exact(Number(error)), 'data-check': name, 'data-value': Number(error) }, small(Number(error))), what, otherwise];
  });
  return [
    heading,
    h('p', { class: 'quiet' }, `The run’s first batch was computed twice and compared, before anything was written. Each number is the largest difference, as a part of the largest value${tolerance ? `; for ${dtype} up to ${small(tolerance)} is rounding, and a run with more is refused` : ''}.`),
    plainTable('guard', ['check', 'error', 'compares', 'if it were large'], rows),
  ];
}

/** @param {Props} props @param {string} measure @param {import('./rows.js').Row[]} rows */
function fidelityFigure({ state, width }, measure, rows) {
  const { title, means, distrust } = FIDELITY[measure];
  const bars = rows.map((row) => ({ label: `L${row.layer} ${row.point === 'mid' ? 'attention' : 'MLP'}`, value: row.mean, low: row.q05, high: row.q95, note: `median ${exact(row.q50)}, most ${exact(row.most)}, ${plural(row.n, 'node')}` }));
  const svg = barChart({ bars, name: `${title.toLowerCase()}, mean`, width: Math.min(width, 640), ends: '5% to 95% of nodes' });
  const columns = ['layer', 'point', 'n', 'mean', 'q05', 'q50', 'q95', 'most'];
  const table = () => ({ columns, rows: rows.map((row) => columns.map((name) => row[name])) });
  const sql = sqlLink(state.run, asked(fidelitySql, {}, NAMES), title);
  return h(
    'section',
    { 'data-testid': measure },
    h('h3', {}, title),
    h('p', { class: 'quiet' }, means, ' ', h('b', {}, 'Distrust: '), distrust),
    h('figure', { class: 'chart-frame' }, h('figcaption', { class: 'figure-head' }, h('span', { class: 'quiet' }, 'bar: mean over nodes on routes; line: from 5% to 95% of them'), h('span', { class: 'space' }), figureTools({ name: measure.replace('_', '-'), svg: () => svg, table, sql })), /** @type {any} */ (svg)),
  );
}

/** @param {[string, string, string][]} facts @param {string} testid @param {string} what */
const factTable = (facts, testid, what) => plainTable(testid, ['name', 'value', what], facts.map(([name, value, words]) => [name, h('code', { class: 'value' }, showText(value)), words]));

/** @param {import('./pages.js').Options} options */
export function createTrust({ data, navigate }) {
  const audit = createTrustAudit({ data });
  const rejected = createDataTable({ id: 'rejects', name: 'rejected-prompts', first: 20 });

  /** @param {Props} props */
  function rejectsPart({ index, ask, sorting, state }) {
    const n = index.counts?.rejects ?? 0;
    const heading = h('h2', {}, 'Rejected prompts');
    if (!n) return [heading, h('p', { 'data-testid': 'no-rejects' }, `None: all ${integer(index.counts?.prompts ?? 0)} rows of the dataset were processed.`)];
    if (index.selection?.left_out.includes('rejects')) return [heading, h('p', { class: 'hint' }, `This site was made without the ${plural(n, 'row')} that ${n === 1 ? 'was' : 'were'} not processed.`)];
    const reasons = Object.entries(index.manifest.counts?.reject_reasons ?? {}).map(([reason, count]) => `${reason}: ${integer(Number(count))}`);
    const answer = ask('rejects', () => data.stats.rows(index, rejectsSql, {}, {}, { rejects: [data.address(index, 'rejects.parquet')] }));
    const columns = ['prompt_id', 'source_id', 'reason', 'detail'].map((name) => ({ name, text: name !== 'prompt_id', value: (/** @type {any} */ row) => row[name], show: (/** @type {any} */ row) => showText(String(row[name])) }));
    return [
      heading,
      h('p', { 'data-testid': 'reject-reasons' }, `${plural(n, 'row')} of the dataset ${n === 1 ? 'was' : 'were'} not processed. ${reasons.join('; ')}.`),
      h('p', { class: 'quiet' }, h('b', {}, 'Distrust: '), 'where one group lost more prompts than another, its statistics are over what was left.'),
      ...answered(answer, 'The rejects', (rows) => {
        rejected.update({ rows, columns, sorting, sql: sqlLink(state.run, asked(rejectsSql, {}, NAMES), 'the rejects') });
        return [rejected.el];
      }),
    ];
  }

  /** @param {Props} props */
  function render(props) {
    const { index, ask } = props;
    const { manifest } = index;
    const answer = ask('fidelity', () => data.stats.rows(index, fidelitySql, { fidelity: {} }));
    const versions = Object.entries(manifest.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(', ');
    return [
      ...guardPart(manifest),
      h('h2', {}, 'What routes leave out'),
      ...answered(answer, 'The distributions', (rows) =>
        rows.length ? [h('div', { class: 'trust-pair' }, ...Object.keys(FIDELITY).map((measure) => fidelityFigure(props, measure, rows.filter((row) => row.measure === measure))))] : [h('p', { class: 'hint' }, 'The statistics of this run do not hold them: ', h('code', {}, 'flowatlas stats'), ' makes them anew.')], 8),
      ...audit(props),
      h('h2', {}, 'The run'),
      factTable(runFacts(index), 'run-facts', 'what it means'),
      h('h2', {}, 'What it was made of'),
      h('p', {}, h('b', {}, 'Versions: '), h('span', { 'data-testid': 'versions' }, versions || '–'), '. Another version of torch or transformers may round otherwise; the guard says whether it does more than that.'),
      factTable(hashes(manifest), 'hashes', 'what it tells'),
      h('details', { class: 'config' }, h('summary', {}, 'The whole config'), h('p', { class: 'quiet' }, 'Give these keys to “flowatlas run” to make the same run again.'), h('pre', { tabindex: '0', 'aria-label': 'config', 'data-testid': 'config' }, flattened(manifest.config ?? {}).map(([key, value]) => `${key}=${value}`).join('\n'))),
      ...rejectsPart(props),
    ];
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: () => 'Trust', lead: 'What was measured about the measurement: what each number means, and when to distrust the rest.', render });
}
