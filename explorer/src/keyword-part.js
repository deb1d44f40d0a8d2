/** Search by keyword: neurons, and directions of heads, by the tokens that they promote or suppress by their weights alone. */

import { componentLink } from './component-link.js';
import { componentName } from './component-names.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, integer, plural } from './format.js';
import { askedOf } from './keywords.js';
import { choiceField } from './page-parts.js';
import { answered, signed, tokenMark } from './panel-parts.js';
import { asked as written, sqlLink } from './sql-link.js';
import searchSql from './sql/vocab_search.sql?raw';
import { format } from './state.js';
import { hasAtlas, vocabOf } from './vocab-data.js';
import { layersWords, NO_CIRCUIT, noAtlas, tokensColumn, useColumns, useOf, vocabCommand } from './vocab-parts.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').SearchState>} Props */
/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./keywords.js').Match} Match */

const WORDS_SHOWN = 12;
const STORED = '(SELECT n.*, v.token FROM model.neuron_tokens AS n JOIN model.vocab AS v USING (token_id))';

/** @param {Props} props */
function controls({ state, go }) {
  return h(
    'div',
    { class: 'controls-row' },
    choiceField({ label: 'words', value: state.match, options: [['any', 'any of them'], ['all', 'all of them', 'each word among the tokens of the same sign']], onChange: (match) => go({ match: /** @type {any} */ (match) }), testid: 'match' }),
    choiceField({ label: 'tokens', value: state.exact ? 'exact' : 'part', options: [['part', 'that contain them'], ['exact', 'that equal them', 'without case and surrounding spaces']], onChange: (how) => go({ exact: how === 'exact' }), testid: 'exact' }),
    choiceField({ label: 'are', value: state.sign, options: [['either', 'either'], ['promoted', 'promoted'], ['suppressed', 'suppressed']], onChange: (sign) => go({ sign: /** @type {any} */ (sign) }), testid: 'sign' }),
  );
}

/** Which words of the vocabulary were found; each can be asked for alone. @param {Props} props @param {{ matches: Match[], looked: Match[], files: number }} found */
function wordsFound({ state, index, go }, { matches, looked, files }) {
  if (!matches.length) return [h('p', { class: 'empty', 'data-testid': 'no-word' }, `No token ${state.exact ? 'equals' : 'contains'} such a word${state.exact ? '' : ', or none is among the strongest of anything'}.`)];
  const words = [...new Map(matches.map((match) => [match.word, match])).values()];
  const bytes = (vocabOf(index)?.postings.bytes ?? 0) / Math.max(1, vocabOf(index)?.postings.files ?? 1);
  const size = `${(Math.max(1, files * bytes) / 1e6).toFixed(1)} MB`;
  const lacking = looked.length < matches.length;
  return [
    h('p', { class: 'pills words', 'data-testid': 'words-found' }, ...words.slice(0, WORDS_SHOWN).map(({ word, promoted, suppressed }) => h('a', { class: 'pill', href: format({ ...state, q: word, exact: true, full: false }), title: `${plural(promoted, 'neuron')} promote it, ${integer(suppressed)} suppress it` }, tokenMark(word), h('small', {}, ` ${integer(promoted + suppressed)}`))), words.length > WORDS_SHOWN ? h('span', { class: 'quiet' }, ` and ${plural(words.length - WORDS_SHOWN, 'more word')}`) : null),
    ...(lacking ? [h('p', { class: 'hint', 'data-testid': 'not-all' }, `Looked up are ${integer(looked.length)} of ${plural(matches.length, 'word')}, the nearest. `, h('button', { type: 'button', class: 'link', 'data-go': 'full', onclick: () => go({ full: true }) }, `Look all up (${size})`))] : []),
  ];
}

/** @param {Row} row @param {'neuron' | 'head'} component */
const partOf = (row, component) => ({ component, layer: row.layer, expert: row.expert, index: row.index });

/** @param {Props} props @param {import('./data.js').Data} data @param {Row[]} rows @param {'neuron' | 'head'} component @returns {import('./data-table.js').Column[]} */
function columnsOf(props, data, rows, component) {
  const use = useOf(props, data, component, rows);
  return [
    { name: component, text: true, value: (row) => componentName(partOf(row, component)), show: (row) => componentLink(props.index, partOf(row, component), { class: 'found', 'data-testid': `keyword-${component}` }) },
    ...(component === 'head' ? [{ name: 'direction', label: 'direction', title: 'of its OV circuit; 1 is the strongest', value: (/** @type {Row} */ row) => row.direction }] : []),
    { name: 'sign', text: true, title: component === 'neuron' ? 'where its activation is positive; the reverse where it is negative' : 'when it reads the tokens of the same sign', value: (row) => (row.sign > 0 ? 'promotes' : 'suppresses') },
    tokensColumn('tokens', 'tokens that match'),
    { name: 'n_tokens', label: 'of them', title: 'how many of its tokens match', value: (row) => row.n_tokens },
    { name: 'rank', label: 'best rank', title: 'of the strongest that matches, among its tokens of this sign', value: (row) => row.rank, class: 'secondary' },
    { name: 'score', title: 'static score of that token', value: (row) => row.score, show: (row) => signed(row.score), hint: (row) => exact(row.score) },
    ...useColumns(use, props.index, component),
  ];
}

/**
 * @param {Props} props @param {import('./data.js').Data} data @param {ReturnType<typeof createDataTable>} table @param {'neuron' | 'head'} component
 * @param {boolean} words whether to say which words were found
 */
function tablePart(props, data, table, component, words) {
  const { index, state, ask, sorting } = props;
  const asked = askedOf(state);
  const most = state.full ? Infinity : undefined;
  const answer = ask(`keywords ${component} ${JSON.stringify(asked)} ${state.full}`, () => data.vocab.search(index, asked, component, most));
  const atlas = hasAtlas(index);
  const text = written(searchSql, { typed: asked.typed, exact: asked.exact, every: asked.every, sign: asked.sign, n: asked.typed.length }, { neuron_tokens: atlas ? 'vocab.neuron_tokens' : STORED });
  return answered(answer, 'What has such tokens', (found) => {
    if (words && !found.matches.length) return wordsFound(props, found);
    const { rows } = found;
    const all = rows[0]?.n_found ?? 0;
    table.update({ rows, columns: columnsOf(props, data, rows, component), sorting, sql: component === 'neuron' ? sqlLink(state.run, text, 'neurons by keyword') : undefined, empty: component === 'neuron' ? 'No neuron has such tokens among its strongest.' : 'No direction of a head has such tokens among its strongest.' });
    return [
      ...(words ? wordsFound(props, found) : []),
      all > rows.length ? h('p', { class: 'quiet' }, `The first ${integer(rows.length)} of ${integer(all)}.`) : '',
      table.el,
    ];
  }, 6);
}

/** Whose tokens are searched, and whose cannot be. @param {import('./data.js').RunIndex} index @param {import('./vocab-data.js').VocabIndex} vocab */
function neuronsIntro(index, vocab) {
  const whole = index.manifest?.model?.without_neurons ?? [];
  const lacking = whole.length ? `The MLPs of ${layersWords(whole)} are one part each, whose neurons cannot be told apart.` : '';
  if (!vocab.n_neurons) return h('p', { class: 'hint', 'data-testid': 'no-neurons' }, lacking || 'No neuron is stored.');
  const which = hasAtlas(index) ? [`Of all ${plural(vocab.n_neurons, 'neuron')} of the model: the ${integer(vocab.settings?.top_k ?? 0)} tokens of each sign that a neuron moves most by its weights alone.`] : [`Of the ${plural(vocab.n_neurons, 'neuron')} that this run stored. `, vocabCommand(index), ' and a new site: of all of the model’s.'];
  return h('p', { class: 'quiet' }, ...which, lacking && ` ${lacking}`);
}

/** The same of heads. @param {import('./data.js').RunIndex} index @param {import('./vocab-data.js').VocabIndex} vocab */
function headsIntro(index, vocab) {
  const without = vocab.without_heads ?? [];
  if (without.length >= index.n_layers) return h('p', { class: 'hint', 'data-testid': 'no-circuit' }, NO_CIRCUIT);
  return h('p', { class: 'quiet' }, `By what the strongest directions of their OV circuits write.${without.length ? ` None of ${layersWords(without)}: ${NO_CIRCUIT}` : ''}`);
}

/** The part of the search page that is about keywords. @param {import('./data.js').Data} data */
export function createKeywordPart(data) {
  const neurons = createDataTable({ id: 'keyword-neurons', name: 'neurons-by-keyword', first: 12 });
  const heads = createDataTable({ id: 'keyword-heads', name: 'heads-by-keyword', first: 8 });

  /** @param {Props} props */
  return function keywordPart(props) {
    const { index } = props;
    const vocab = vocabOf(index);
    if (!vocab) return h('section', {}, h('h2', {}, 'Neurons by keyword'), noAtlas(index));
    const atlas = hasAtlas(index);
    const [anyNeuron, anyHead] = [vocab.n_neurons > 0, atlas && (vocab.without_heads ?? []).length < index.n_layers];
    return h(
      'section',
      { 'aria-label': 'By keyword', 'data-testid': 'by-keyword' },
      h('h2', {}, 'Neurons by keyword'),
      neuronsIntro(index, vocab),
      anyNeuron || anyHead ? controls(props) : '',
      ...(anyNeuron ? tablePart(props, data, neurons, 'neuron', true) : []),
      ...(atlas ? [h('h2', {}, 'Heads by keyword'), headsIntro(index, vocab)] : []),
      ...(anyHead ? tablePart(props, data, heads, 'head', !anyNeuron) : []),
    );
  };
}
