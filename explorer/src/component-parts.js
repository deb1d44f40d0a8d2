/** What the pages of a head and of a neuron share: where they stand, importance by group, splits by kind, pairs of tokens, examples. */

import { componentAddress, componentName } from './component-names.js';
import { questionOf } from './component-data.js';
import { h } from './dom.js';
import { exampleList } from './example-list.js';
import { figureTools } from './figure.js';
import { forest } from './forest.js';
import { exact, fraction, integer, plural, showText, threshold } from './format.js';
import { estimateOf, exactWords, intervalWords, written } from './interval.js';
import { byThreshold, MEASURES, PART_WORDS, PICKS } from './measures.js';
import { nameWords } from './name-label.js';
import { choiceField, nearestTau, selectField, tauField } from './page-parts.js';
import { answered, factList, tokenMark } from './panel-parts.js';
import { sqlLink } from './sql-link.js';
import { format, pageState } from './state.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').ComponentState>} PageProps */
/** @typedef {import('./component-names.js').Component} Component */
/** @typedef {import('./rows.js').Row} Row */
/** @typedef {PageProps & { of: Component, data: import('./data.js').Data }} Props */

const SPLITS = { position: 'by position', token: 'by sort of token', piece: 'by piece of a word', prediction: 'where the prediction is', extra: 'by', label: 'by' };
const PICK_WORDS = { top: 'largest', decile: 'at each decile', random: 'at random' };

/** Asks a question about the component. @param {Props} props @param {string} name @param {Record<string, string | number>} [more] */
export function askAbout({ index, ask, of, data }, name, more) {
  const { key, sql, tables, values, text } = questionOf(name, of, more);
  return { answer: ask(key, () => data.stats.rows(index, sql, tables, values)), text };
}

/** @param {Props} props */
const groupsQuestion = (props) => askAbout(props, 'groups', { tau: nearestTau(props.stats.taus, props.state.tau) });

/** Where it stands among its like, in a few numbers. @param {Props} props */
export function standing(props) {
  const { state, of } = props;
  const rank = askAbout(props, 'rank').answer;
  const groups = groupsQuestion(props).answer;
  const specific = askAbout(props, 'specific').answer;
  const tau = nearestTau(props.stats.taus, state.tau);
  const many = PART_WORDS[/** @type {import('./measures.js').Part} */ (of.component)];
  const fact = (/** @type {Row} */ row, /** @type {string} */ measure) => /** @type {[string, string, string]} */ ([MEASURES[measure].short, `${written(measure, row[measure])} (${intervalWords(estimateOf(row, measure), (value) => written(measure, value))})`, exactWords(estimateOf(row, measure))]);
  return answered(groups, 'Its importance', (rows) => {
    const all = rows.find((row) => row.group === null);
    if (!all) return [h('p', { class: 'hint', 'data-testid': 'not-listed' }, of.component === 'neuron' ? `${componentName(of)} is not among the neurons that the statistics list: those that carry most overall and in each group. Where it is stored, prompts show it.` : `This model has no ${of.component} ${componentName(of)}.`)];
    const place = rank.value?.[0];
    const facts = factList([
      ['corpus', place ? `#${integer(place.place)} of ${integer(place.n_components)} ${many}` : '…', 'by mean share over positions, all prompts'],
      fact(all, 'mean_share'),
      fact(all, 'target_share'),
      ...(all.effect === null ? [] : [fact(all, 'effect')]),
      [`active above ${tau}`, `${fraction(all.frequency)} (${integer(all.n_active)} of ${plural(all.n, 'prompt')})`, exact(all.frequency)],
    ]);
    facts.dataset.testid = 'standing';
    const groupLinks = (specific.value ?? []).map((row) => h('a', { class: 'pill', href: format(pageState('contrast', state.run, { a: row.a, list: of.component === 'neuron' ? 'neuron' : 'parts' })), title: `active in ${fraction(row.frequency_a)} there, in ${fraction(row.frequency_b)} elsewhere, above ${exact(row.tau)}` }, showText(row.a)));
    return [facts, groupLinks.length ? h('p', { class: 'specific-line' }, 'specific to ', ...groupLinks) : ''];
  }, 2);
}

/** @param {Props} props */
export function groupsPart(props) {
  const { state, stats, width, of, go } = props;
  const tau = nearestTau(stats.taus, state.tau);
  const { answer, text } = groupsQuestion(props);
  const { measure } = state;
  return [
    h('h2', {}, 'Importance by group'),
    h('div', { class: 'controls-row' }, selectField({ label: 'measure', value: measure, options: Object.entries(MEASURES).map(([id, { name }]) => [id, name]), onChange: (next) => go({ measure: next }), testid: 'measure' }), byThreshold(measure) ? tauField(stats.taus, tau, (next) => go({ tau: next })) : null),
    ...answered(answer, 'Its importance by group', (rows) => {
      const title = `${componentName(of)}: ${MEASURES[measure].name}${byThreshold(measure) ? `, threshold ${tau}` : ''}`;
      const shown = rows.filter((row) => row[measure] !== null).map((row) => ({ ...estimateOf(row, measure), label: row.group === null ? 'all prompts' : showText(row.group), n: row[MEASURES[measure].of], strong: row.group === null, href: format(pageState('corpus', state.run, { group: row.group, measure })) }));
      if (!shown.length) return [h('p', { class: 'empty' }, rows.length ? `No prompt has ${MEASURES[measure].signed ? 'an effect of it stored' : 'it active above this threshold'}.` : of.component === 'neuron' ? 'It is not among the listed neurons.' : 'Nothing is stored.')];
      return [forest({ rows: shown, name: 'by-group', title, unit: MEASURES[measure].unit, of: 'prompts', width: Math.min(width, 860), show: (value) => written(measure, value), kind: MEASURES[measure].signed ? 'signed' : of.component === 'head' ? '' : 'mlp', sql: sqlLink(state.run, text, title) })];
    }, 8),
  ];
}

/** @param {Props} props */
export function kindsPart(props) {
  const { state, width, of } = props;
  const { answer, text } = askAbout(props, 'kinds');
  const columns = width > 900 ? 2 : 1;
  return [
    h('h2', {}, 'By kind of token and prompt'),
    ...answered(answer, 'Its share by kind', (rows) => {
      if (!rows.length) return [h('p', { class: 'empty' }, 'Splits are made of heads and MLPs whose nodes are stored on routes.')];
      const splits = [...new Set(rows.map((row) => `${row.split} ${row.key ?? ''}`))].map((split) => rows.filter((row) => `${row.split} ${row.key ?? ''}` === split));
      return [
        h('p', { class: 'quiet' }, 'Position, sort, piece and labels of tokens are of the token that is written to, over stored nodes, where an edge under the floor counts 0; the others are of the prompt.'),
        h('div', { class: 'small-multiples' }, ...splits.map((own) => kindFigure(own, { width: Math.min(620, (width - (columns - 1) * 32) / columns), of, sql: sqlLink(state.run, text, `${componentName(of)} by kind`) }))),
      ];
    }, 6),
  ];
}

/** @param {Row[]} rows of one split @param {{ width: number, of: Component, sql: HTMLAnchorElement }} props */
function kindFigure(rows, { width, of, sql }) {
  const { split, key } = rows[0];
  const title = key === null ? SPLITS[/** @type {keyof typeof SPLITS} */ (split)] : `by ${showText(key)}`;
  const ofPrompts = split === 'prediction' || split === 'extra';
  const sorted = split === 'position' ? [...rows].sort((a, b) => Number.parseInt(a.value, 10) - Number.parseInt(b.value, 10)) : rows;
  return forest({ rows: sorted.map((row) => ({ ...estimateOf({ ...row, value: row.share, value_low: row.share_low, value_high: row.share_high }, 'value'), label: showText(row.value), n: row.n })), name: `kind-${split}${key === null ? '' : `-${key}`}`, title, unit: 'share', of: ofPrompts ? 'prompts' : 'nodes', width, show: fraction, kind: of.component === 'head' ? '' : 'mlp', sql });
}

/** A table of pairs of tokens. @param {Props} props @param {ReturnType<typeof import('./data-table.js').createDataTable>} table @param {'moves' | 'writes' | 'fires'} pair @param {string} lead */
export function pairsPart(props, table, pair, lead) {
  const { state, sorting } = props;
  const { answer, text } = askAbout(props, 'pairs', { pair });
  const token = (/** @type {'source' | 'to'} */ side, /** @type {string} */ label) => ({ name: side, label, text: true, class: 'token-cell', value: (/** @type {Row} */ row) => row[side], show: (/** @type {Row} */ row) => tokenMark(row[side] ?? '?') });
  /** @type {import('./data-table.js').Column[]} */
  const columns = [
    token('source', pair === 'fires' ? 'token' : 'from'),
    ...(pair === 'fires' ? [] : [token('to', pair === 'moves' ? 'to' : 'promotes there')]),
    { name: 'part', label: 'of its share', title: 'part of all its share', value: (row) => row.part, show: (row) => fraction(row.part), hint: (row) => exact(row.part) },
    { name: 'share', label: 'mean share', value: (row) => row.share, show: (row) => fraction(row.share), hint: (row) => exact(row.share) },
    ...(pair === 'moves' ? [{ name: 'attention', value: (/** @type {Row} */ row) => row.attention, show: (/** @type {Row} */ row) => fraction(row.attention), hint: (/** @type {Row} */ row) => exact(row.attention) }] : []),
    ...(pair === 'writes' ? [{ name: 'score', label: 'logits', title: 'mean logits that it adds', value: (/** @type {Row} */ row) => row.score, show: (/** @type {Row} */ row) => written('effect', row.score), hint: (/** @type {Row} */ row) => exact(row.score) }] : []),
    { name: 'n', label: pair === 'moves' ? 'edges' : 'positions', value: (row) => row.n, show: (row) => integer(row.n) },
    { name: 'n_prompts', label: 'prompts', value: (row) => row.n_prompts, show: (row) => integer(row.n_prompts) },
  ];
  return h('section', {}, h('h3', {}, lead), ...answered(answer, 'Its tokens', (rows) => {
    table.update({ rows, columns, sorting, sql: sqlLink(state.run, text, lead), empty: 'No pair is stored.' });
    return [table.el];
  }, 5));
}

/** @param {Row[]} rows @returns {import('./figure.js').Numbers} */
function examplesTable(rows) {
  const columns = ['choice', 'place', 'prompt_id', 'dst', 'src', 'share'];
  return { columns, rows: rows.map((row) => columns.map((name) => row[name])) };
}

/** @param {Props} props @param {(key: string, make: () => Element) => Element} memo keeps a list as it is while nothing of it changes */
export function examplesPart(props, memo) {
  const { state, index, of, data, go } = props;
  const { answer, text } = askAbout(props, 'examples', { choice: state.pick });
  return [
    h('h2', {}, 'Examples'),
    h('div', { class: 'controls-row' }, choiceField({ label: 'prompts', value: state.pick, options: PICKS.map((pick) => [pick, PICK_WORDS[pick]]), onChange: (pick) => go({ pick: /** @type {any} */ (pick) }), testid: 'pick' }), figureTools({ name: `examples-${componentName(of)}-${state.pick}`, table: () => examplesTable(answer.value ?? []), sql: sqlLink(state.run, text, 'these examples') })),
    ...answered(answer, 'Its examples', (rows) => {
      if (!rows.length) return [h('p', { class: 'empty' }, state.pick === 'decile' ? 'It is stored in too few prompts for deciles.' : of.component !== 'neuron' ? `It is stored in no prompt: its share is under the floor ${threshold(index.floor)} everywhere.` : 'The statistics list no examples of it: it is not among the most important neurons. The table neurons has the places where it is stored.')];
      const examples = /** @type {import('./example-list.js').Example[]} */ (/** @type {unknown} */ (rows));
      return [
        h('p', { class: 'quiet' }, `Each of the ${plural(rows[0].n_prompts, 'prompt')} in which it is stored stands for its largest share there; ${state.pick === 'decile' ? 'these lie at each tenth of their order' : state.pick === 'top' ? 'these are the largest' : 'these were drawn'}. The small route is that of the last target${of.component !== 'neuron' ? ', with the edge in question on top' : ''}.`),
        memo(`examples ${state.run} ${componentName(of)} ${state.pick}`, () => exampleList({ of, run: state.run, index, examples, load: (id) => data.prompt(index, id) })),
      ];
    }, 6),
  ];
}

/** To its neighbours: in the layer, and in the layers above and below. @param {Props} props @param {number | null} inside how many of them a layer has, where that is known */
export function neighbours({ index, of }, inside) {
  const to = (/** @type {string} */ label, /** @type {number} */ layer, /** @type {number} */ number) => {
    const there = layer >= 0 && layer < index.n_layers && number >= 0 && (inside === null || number < inside);
    const next = { ...of, layer, index: number };
    return there ? h('a', { class: 'button', href: componentAddress(index.id, next) ?? '' }, h('span', { 'aria-hidden': 'true' }, label), ' ', ...nameWords(index, componentName(next))) : null;
  };
  return h('nav', { class: 'neighbours', 'aria-label': 'Neighbours' }, to('‹', of.layer, of.index - 1), to('›', of.layer, of.index + 1), to('↑', of.layer + 1, of.index), to('↓', of.layer - 1, of.index));
}
