/** What stands below the console's editor: rows or a chart, why there are none, and the same query for the command line. */

import { chartOf, MOST_BARS } from './chart.js';
import { choose, KINDS, numeric } from './chart-choice.js';
import { asksTwo, forPython, forShell } from './command-line.js';
import { h } from './dom.js';
import { figureTools, flash, toolButton } from './figure.js';
import { integer, plural, showText, size } from './format.js';
import { noStats } from './page-parts.js';
import { resultTable } from './result-table.js';
import { comparedWith, MOST_BYTES } from './sql-plan.js';
import { tableTools } from './table.js';

/** @typedef {import('./sql-plan.js').Plan} Plan */
/** @typedef {import('./console-data.js').Result} Result */
/** @typedef {import('./state.js').SqlState} SqlState */

/** @param {string} label @param {string} text */
function copyable(label, text) {
  const copy = toolButton('Copy', `Copy ${label}`, 'copy-command', async (button) => {
    await navigator.clipboard.writeText(text);
    flash(button, 'copied');
  });
  return h('div', { class: 'command' }, h('p', {}, label, copy), h('pre', { tabindex: '0', 'aria-label': label, 'data-testid': 'sql-command' }, text));
}

/** The same query where there is no limit. @param {import('./data.js').RunIndex} index @param {string} sql @param {boolean} open */
export function commandLines(index, sql, open) {
  return h(
    'details',
    { class: 'commands', open },
    h('summary', {}, 'The same from the command line'),
    h('p', { class: 'quiet' }, `RUN is the folder that “flowatlas run” wrote${asksTwo(index, sql) ? ', COMPARED what “flowatlas compare A B --out COMPARED” did' : ''}. The run’s own files are read, however large.`),
    copyable('DuckDB', forShell(index, sql)),
    asksTwo(index, sql) ? '' : copyable('Python', forPython(sql)),
  );
}

/** @param {Plan} plan */
export function planWords(plan) {
  const files = plan.sources.reduce((sum, one) => sum + one.files.length, 0);
  return files ? `${plural(files, 'file')}, ${size(plan.bytes)}` : 'no file';
}

/** Why tables of a query have no rows here, and which command makes them. @param {import('./data.js').RunIndex} index @param {Plan} plan */
export function missingTables(index, plan) {
  const missing = plan.sources.filter(({ files }) => !files.length).map(({ table }) => table.name);
  const [stats, others] = [missing.filter((name) => name.startsWith('stats.')), missing.filter((name) => !name.startsWith('stats.'))];
  const names = others.flatMap((name, i) => [i ? ', ' : '', h('code', {}, name)]);
  return [
    stats.length ? noStats(index) : null,
    others.length ? h('p', { class: 'hint', 'data-testid': 'sql-missing' }, 'This site has no file of ', ...names, ': the run has stored no such rows, or was made without them.') : null,
  ];
}

/** Which two runs `compared` is about. @param {import('./data.js').RunIndex} index @param {Plan} plan @param {string | null} other */
export function comparedWords(index, plan, other) {
  const pair = plan.sources.some(({ table }) => table.name.startsWith('compared.')) ? comparedWith(index, other) : null;
  return pair ? h('p', { class: 'quiet', 'data-testid': 'sql-pair' }, `compared is ${showText(pair.a)} (a) and ${showText(pair.b)} (b); differences are b less a.`) : null;
}

/** @param {Plan} plan */
export function refusal(plan) {
  const largest = [...plan.sources].sort((a, b) => b.bytes - a.bytes).slice(0, 4);
  return h(
    'div',
    { class: 'refusal', role: 'alert', 'data-testid': 'sql-too-large' },
    h('p', {}, h('b', {}, `This query needs ${size(plan.bytes)}; a page fetches at most ${size(MOST_BYTES)} for one query.`)),
    h('ul', {}, ...largest.map(({ table, bytes, files }) => h('li', {}, h('code', {}, table.name), ` ${size(bytes)} in ${plural(files.length, 'file')}`))),
    h('p', {}, 'Ask about some prompts, for instance ', h('code', {}, 'WHERE prompt_id BETWEEN 0 AND 99'), ', ask the statistics, or take the query to the command line:'),
  );
}

/** @param {Error} error */
export const complaint = (error) => h('div', { class: 'refusal', role: 'alert', 'data-testid': 'sql-error' }, h('pre', {}, error.message));

/** @param {string} label @param {string[]} values @param {string | null} chosen @param {(value: string) => void} onChange */
function picker(label, values, chosen, onChange) {
  const select = h('select', { 'aria-label': label, onchange: () => onChange(select.value) }, ...values.map((value) => h('option', { value }, value)));
  select.value = chosen ?? '';
  return h('label', { class: 'picker' }, `${label} `, select);
}

/**
 * @param {{ index: import('./data.js').RunIndex, result: Result, plan: Plan, seconds: number, state: SqlState, width: number, go: (change: Partial<SqlState>) => void }} props
 * @returns {HTMLElement}
 */
export function resultView({ index, result, plan, seconds, state, width, go }) {
  const spec = choose(result, { kind: state.kind, x: state.x, y: state.y });
  const asChart = state.as === 'chart' && spec !== null;
  const table = resultTable({ index, numbers: result, label: 'Result' });
  const words = [
    `${result.more ? 'The first ' : ''}${plural(result.rows.length, 'row')}${result.more ? ' (there are more: LIMIT and OFFSET reach them)' : ''}`,
    `${seconds.toFixed(2)} s`,
    planWords(plan),
    plan.partly ? 'only the files of the prompts it asks for' : '',
  ];
  const look = (/** @type {'table' | 'chart'} */ as, /** @type {string} */ label) => h('button', { type: 'button', class: 'choice', 'aria-pressed': String((as === 'chart') === asChart), 'data-go': `as ${as}`, 'data-testid': `sql-as-${as}`, disabled: as === 'chart' && spec === null, onclick: () => go({ as }) }, label);
  const chart = asChart && spec ? chartOf(result, spec, width) : null;
  const names = result.columns.filter((_, at) => numeric(result)[at]);
  const controls = asChart && spec
    ? [
        picker('as', KINDS, spec.kind, (kind) => go({ kind: /** @type {any} */ (kind) })),
        spec.kind === 'bar' ? null : picker('across', names, result.columns[spec.x] ?? null, (x) => go({ x })),
        picker(spec.kind === 'bar' ? 'length' : 'up', names, result.columns[spec.y], (y) => go({ y })),
      ]
    : [];
  const cut = asChart && spec?.kind === 'bar' && result.rows.length > MOST_BARS ? h('p', { class: 'quiet' }, `The first ${MOST_BARS} of ${integer(result.rows.length)} rows are drawn.`) : null;
  return h(
    'div',
    {},
    h('p', { class: 'count', role: 'status', 'data-testid': 'sql-status' }, words.filter(Boolean).join(' · ')),
    h('div', { class: 'result-tools' }, h('span', { class: 'choices', role: 'group', 'aria-label': 'Shown as' }, look('table', 'Table'), look('chart', 'Chart')), ...controls, h('span', { class: 'space' }), chart ? figureTools({ name: 'query', svg: () => chart, table: table.numbers }) : tableTools(table.numbers, { name: 'query' })),
    chart ? h('figure', { class: 'chart-frame' }, /** @type {any} */ (chart)) : table.el,
    cut,
  );
}
