/** Groups or pairs compared: which components matter for one and not for the other. */

import { componentColumn, componentLink } from './component-link.js';
import { componentState } from './component-names.js';
import { chosenContrast, turnedRow } from './contrast-rows.js';
import { createDataTable } from './data-table.js';
import { h, refill } from './dom.js';
import { exact, fraction, integer, plural, quantity, showText } from './format.js';
import { estimateOf, exactWords, intervalMark, intervalWords, written } from './interval.js';
import { createMemo } from './memo.js';
import { COMPARED, MEASURES } from './measures.js';
import { rowText, rowWords } from './name-label.js';
import { choiceField, createStatsPage, halfOf, selectField } from './page-parts.js';
import { answered, signed } from './panel-parts.js';
import { signedShare } from './signed.js';
import { asked, sqlLink } from './sql-link.js';
import choicesSql from './sql/contrast_choices.sql?raw';
import contrastSql from './sql/contrast.sql?raw';
import specificSql from './sql/contrast_specific.sql?raw';
import { format, pageState } from './state.js';
import { spanOf } from './ticks.js';
import { RATE, volcano } from './volcano.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').ContrastState>} Props */
/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./contrast-rows.js').Choice} Choice */
/** @typedef {{ choice: Choice, turned: boolean, exact: boolean, sides: [string, string], rows: Row[] }} Shown `sides`: b, then a */

const CHIPS = 12;
const PARTS_OF = { parts: ['head', 'mlp', 'attn'], neuron: 'neuron' };
const NAMES = { contrasts: 'stats.contrasts' };

/** @param {Choice[]} choices @param {Props} props */
function controls(choices, { state, go }) {
  const own = choices.filter((one) => one.contrast === state.by);
  const found = chosenContrast(choices, state);
  const now = found && (found.turned ? { a: found.choice.b, b: found.choice.a } : found.choice);
  const words = (/** @type {(string | null)[]} */ names) => [...new Set(names)].map((name) => /** @type {[string, string]} */ ([name ?? '', name === null ? 'all pairs' : showText(name)]));
  const groups = state.by === 'groups' ? words(own.flatMap((one) => [one.a, one.b])) : words(own.map((one) => one.a));
  const start = { a: null, b: null, group: null, specific: false, order: '', find: '' };
  return h(
    'div',
    { class: 'controls-row' },
    choiceField({ label: 'compare', value: state.by, options: [['rest', 'a group with the rest'], ['groups', 'two groups'], ['roles', 'pairs']], onChange: (by) => go({ ...start, by: /** @type {any} */ (by) }), testid: 'by' }),
    now && state.by !== 'roles' ? selectField({ label: 'group', value: now.a ?? '', options: groups, onChange: (a) => go({ a, b: state.by === 'groups' && a === now.b ? now.a : state.by === 'groups' ? now.b : null, order: '' }), testid: 'a' }) : null,
    now && state.by === 'groups' ? selectField({ label: 'with', value: now.b ?? '', options: groups.filter(([name]) => name !== now.a), onChange: (b) => go({ a: now.a, b, order: '' }), testid: 'b' }) : null,
    now && state.by === 'roles' ? selectField({ label: 'prompts', value: state.group ?? '', options: words(own.filter((one) => one.a === now.a && one.b === now.b).map((one) => one.group)), onChange: (group) => go({ a: now.a, b: now.b, group: group || null }), testid: 'pairs-group' }) : null,
    selectField({ label: 'measure', value: state.measure, options: COMPARED.map((id) => [id, MEASURES[id].name]), onChange: (measure) => go({ measure }), testid: 'measure' }),
    choiceField({ label: 'of', value: state.list, options: [['parts', 'heads and MLPs'], ['neuron', 'neurons']], onChange: (list) => go({ list: /** @type {any} */ (list), order: '', find: '' }), testid: 'list' }),
    choiceField({ label: 'upwards', value: state.y, options: [['q', 'q', 'corrected for the number of components (Benjamini-Hochberg)'], ['p', 'p', 'of one component by itself']], onChange: (y) => go({ y: /** @type {any} */ (y) }), testid: 'y' }),
  );
}

/** A probability of a test. @param {number | null} value */
const chance = (value) => (value !== null && value <= 1.01e-30 ? '≤1e−30' : fraction(value));

/** @param {Props['index']} index @param {Row} row @param {string} measure @param {Shown} shown */
function wordsOf(index, row, measure, { sides }) {
  const of = estimateOf(row, 'difference');
  const show = (/** @type {number | null} */ value) => signed(value);
  const small = (/** @type {number | null} */ value) => (MEASURES[measure].signed ? show(value) : signedShare(value));
  return [
    h('b', {}, ...rowWords(index, row)),
    ` ${MEASURES[measure].short}: ${sides[1]} `, h('b', {}, written(measure, row.mean_a)), `, ${sides[0]} `, h('b', {}, written(measure, row.mean_b)),
    ', difference ', h('b', { title: exactWords(of) }, small(of.value)), ` (95%: ${intervalWords(of, small)}) · q ${chance(row.q)}, p ${chance(row.p)}, standardised ${quantity(row.standardised)} · ${integer(row.n_a)} against ${plural(row.n_b, 'prompt')}`,
  ]; // prettier-ignore
}

/** @param {Props} props @param {Shown} shown @returns {import('./data-table.js').Column[]} */
function columnsOf({ index, state: { measure } }, { sides, rows }) {
  const show = MEASURES[measure].signed ? signed : signedShare;
  const span = spanOf(rows.flatMap((row) => [row.difference_low, row.difference_high, row.difference]));
  const mean = (/** @type {'a' | 'b'} */ side, /** @type {string} */ label) => ({ name: `mean_${side}`, label, class: 'secondary', title: `mean in ${label}`, value: (/** @type {Row} */ row) => row[`mean_${side}`], show: (/** @type {Row} */ row) => written(measure, row[`mean_${side}`]), hint: (/** @type {Row} */ row) => exact(row[`mean_${side}`]) });
  return [
    componentColumn(index),
    { name: 'difference', value: (row) => row.difference, show: (row) => show(row.difference), hint: (row) => exactWords(estimateOf(row, 'difference')) },
    { name: 'difference_low', label: '95% interval', class: 'interval-cell', value: (row) => row.difference_low, show: (row) => intervalMark(estimateOf(row, 'difference'), span, { kind: 'signed' }), hint: (row) => exactWords(estimateOf(row, 'difference')), also: { difference_high: (row) => row.difference_high } },
    { name: 'q', title: 'share of false findings among those with a q as small: Benjamini-Hochberg', value: (row) => row.q, show: (row) => chance(row.q), hint: (row) => exact(row.q) },
    { name: 'p', class: 'secondary', value: (row) => row.p, show: (row) => chance(row.p), hint: (row) => exact(row.p) },
    { name: 'standardised', label: 'std. effect', class: 'secondary', title: 'Hedges’ g; of pairs the mean difference over its standard deviation', value: (row) => row.standardised, show: (row) => quantity(row.standardised) },
    mean('a', sides[1]),
    mean('b', sides[0]),
    { name: 'frequency_a', label: 'active', class: 'secondary', title: `how often on a route, in ${sides[1]} and in ${sides[0]}, at the threshold where they differ most`, value: (row) => row.frequency_a, show: (row) => `${fraction(row.frequency_a)} / ${fraction(row.frequency_b)}`, hint: (row) => `above ${exact(row.tau)}`, also: { frequency_b: (row) => row.frequency_b, tau: (row) => row.tau } },
    { name: 'specific', label: '○', title: 'specific: active in the first and hardly in the rest', value: (row) => Number(row.specific), show: (row) => (row.specific ? 'specific' : '') },
  ];
}

/** Components that only one group uses, group by group. @param {Props} props @param {import('./data.js').Data} data */
function specificPart({ index, state, ask }, data) {
  const { measure, list, run } = state;
  const values = { measure, neurons: list === 'neuron' };
  const answer = ask(`specific ${measure} ${list}`, () => data.stats.rows(index, specificSql, { contrasts: { contrast: 'rest', component: PARTS_OF[list] } }, values));
  return h(
    'section',
    { 'data-testid': 'specific' },
    h('h2', {}, 'Specific to a group'),
    h('p', { class: 'quiet' }, 'Active in at least a fifth of the group’s prompts and five times as often as elsewhere, with a difference that stays under a false discovery rate of 5%. ', sqlLink(run, asked(specificSql, values, NAMES), 'what is specific to groups')),
    ...answered(answer, 'What is specific to groups', (rows) => {
      const groups = [...new Set(rows.map((row) => row.a))];
      if (!groups.length) return [h('p', { class: 'empty' }, `No ${list === 'neuron' ? 'neuron' : 'head or MLP'} is specific to one group by this measure.`)];
      return [h('dl', { class: 'specific' }, ...groups.map((group) => specificLine(index, state, group, rows.filter((row) => row.a === group))))];
    }, 4),
  );
}

/** @param {Props['index']} index @param {import('./state.js').ContrastState} state @param {string} group @param {Row[]} rows */
function specificLine(index, state, group, rows) {
  const run = index.id;
  const chip = (/** @type {Row} */ row) => componentLink(index, row, { class: 'pill', title: `active in ${fraction(row.frequency_a)} of ${showText(group)}, in ${fraction(row.frequency_b)} elsewhere, above ${exact(row.tau)}` });
  const more = rows.length > CHIPS ? h('a', { href: format(pageState('contrast', run, { a: group, measure: state.measure, list: state.list, specific: true })) }, `all ${integer(rows.length)}`) : null;
  return h('div', {}, h('dt', {}, h('a', { href: format(pageState('contrast', run, { a: group, measure: state.measure, list: state.list })) }, showText(group)), ' ', h('small', {}, integer(rows.length))), h('dd', {}, ...rows.slice(0, CHIPS).map(chip), more));
}

/** @param {import('./pages.js').Options} options */
export function createContrast({ data, navigate }) {
  /** @type {Props | null} */
  let now = null;
  const table = createDataTable({ id: 'contrast', name: 'contrast', first: 25, onFind: (find) => now?.go({ find }, true) });
  const memo = createMemo();
  // These stay where they are: a reader who walks the marks keeps the place while other parts arrive.
  const plotPart = h('section', {});
  const tablePart = h('section', {});
  const halves = h('div', { class: 'halves' }, plotPart, tablePart);

  /** @param {Props} props @param {Shown} shown @param {() => HTMLAnchorElement} sql */
  function drawPlot({ index, state, width }, shown, sql) {
    const { sides, rows, choice, turned } = shown;
    const { measure } = state;
    if (!rows.some((row) => row.q !== null)) {
      const why = measure === 'effect' ? 'effects are stored where every prompt has an answer, and not for neurons' : 'there are fewer than two prompts on a side';
      return refill(plotPart, () => [h('p', { class: 'empty' }, `Nothing can be tested: ${why}.`)]);
    }
    const open = (/** @type {Row} */ row) => {
      const page = componentState(state.run, /** @type {any} */ (row));
      if (page) navigate(page);
    };
    const title = `${MEASURES[measure].name}: ${sides[1]} against ${sides[0]}`;
    const plot = () => volcano({ rows, y: state.y, width: halfOf(width), title, unit: MEASURES[measure].unit, sides, sql: sql(), words: (row) => wordsOf(index, row, measure, shown), call: (row) => rowText(index, row), onChoose: open });
    refill(plotPart, () => [memo.get(JSON.stringify([state.run, choice, turned, measure, state.list, state.y, width]), plot)]);
  }

  /** @param {Props} props @param {Shown} shown @param {() => HTMLAnchorElement} sql */
  function drawTable(props, shown, sql) {
    const { state, sorting, go } = props;
    const rows = state.specific ? shown.rows.filter((row) => row.specific) : shown.rows;
    table.update({ rows, columns: columnsOf(props, shown), sorting, find: state.find, sql: sql(), empty: 'Nothing here is specific to this group.' });
    const only = h('input', { type: 'checkbox', checked: state.specific, 'data-go': 'specific', onchange: () => go({ specific: !state.specific }) });
    refill(tablePart, () => [shown.choice.contrast === 'rest' ? h('label', { class: 'check' }, only, ` only what is specific to ${shown.sides[1]}`) : null, table.el]);
  }

  /** How many prompts stand on each side, and how much differs. @param {Props} props @param {Shown} shown */
  function countWords({ state }, { choice, rows, turned }) {
    const [first, second] = turned ? [choice.n_b, choice.n_a] : [choice.n_a, choice.n_b];
    const counted = choice.contrast === 'roles' ? plural(first, 'pair') : `${plural(first, 'prompt')} against ${integer(second)}`;
    const found = rows.filter((row) => row.q !== null && row.q <= RATE).length;
    return `${counted}. ${integer(found)} of ${integer(rows.length)} ${state.list === 'neuron' ? 'neurons' : 'heads, MLPs and attention blocks'} differ at a false discovery rate of 5%.`;
  }

  /** @param {Props} props @param {Shown} shown @param {() => HTMLAnchorElement} sql */
  function comparison(props, shown, sql) {
    drawPlot(props, shown, sql);
    drawTable(props, shown, sql);
    return [h('p', { class: 'quiet', 'data-testid': 'contrast-words' }, countWords(props, shown)), halves];
  }

  /** @param {Props} props @param {Choice[]} choices */
  function compared(props, choices) {
    const { index, state, ask } = props;
    const found = chosenContrast(choices, state);
    if (!found) return [h('p', { class: 'empty', 'data-testid': 'no-contrast' }, state.by === 'roles' ? 'This dataset has no pairs: columns pair_id and role make them.' : 'This dataset has no groups to compare: a column group makes them.')];
    const { choice, turned, exact: asWanted } = found;
    const neurons = state.list === 'neuron';
    const values = { by: choice.contrast, a: choice.a, b: choice.b, group: choice.group, measure: state.measure, neurons };
    const answer = ask(`contrast ${JSON.stringify(values)}`, () => data.stats.rows(index, contrastSql, { contrasts: { contrast: choice.contrast, a: choice.a, component: PARTS_OF[state.list] } }, values));
    const names = [showText(choice.a), choice.b === null ? 'the rest' : showText(choice.b)];
    const sides = /** @type {[string, string]} */ (turned ? names : [names[1], names[0]]);
    const sql = () => sqlLink(state.run, asked(contrastSql, values, NAMES), `${sides[1]} against ${sides[0]}`);
    return [
      asWanted ? '' : h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, `That comparison is not stored; ${sides[1]} against ${sides[0]} is shown instead.`),
      ...answered(answer, 'The comparison', (rows) => (rows.length ? comparison(props, { ...found, sides, rows: turned ? rows.map(turnedRow) : rows }, sql) : [h('p', { class: 'empty' }, neurons && choice.contrast === 'groups' ? 'Neurons are compared between two of the six largest groups only, with the rest, and in pairs.' : 'Nothing is stored for this comparison.')]), 10),
    ];
  }

  /** @param {Props} props */
  function render(props) {
    now = props;
    memo.turn();
    const choices = props.ask('choices', () => /** @type {Promise<Choice[]>} */ (data.stats.rows(props.index, choicesSql, { contrasts: { component: 'head' } })));
    return [...answered(choices, 'The comparisons', (found) => [controls(found, props), ...compared(props, found)], 10), specificPart(props, data)];
  }

  return createStatsPage({ data, navigate, heading: () => 'Contrasts', lead: 'Which components matter for one set of prompts and not for another.', render });
}
