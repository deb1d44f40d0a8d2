/** Heads and neurons by name or by the tokens they promote, and prompts by their text: one field for all of it. */

import { componentLink } from './component-link.js';
import { componentAddress, componentName, componentState, typedComponent } from './component-names.js';
import { h } from './dom.js';
import { clip, exact, fraction, integer, oneLine, plural, showText } from './format.js';
import { createKeywordPart } from './keyword-part.js';
import { noSuchNeuron } from './model-shape.js';
import { nameWords } from './name-label.js';
import { createStatsPage } from './page-parts.js';
import { answered, tokenMark } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import componentsSql from './sql/search_components.sql?raw';
import topSql from './sql/search_top.sql?raw';
import { format, pageState, promptsState, promptState } from './state.js';
import { hasAtlas } from './vocab-data.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').SearchState>} Props */
/** @typedef {import('./rows.js').Row} Row */

const PROMPTS = 12;
const FIRST = 20;

/** @param {Props['index']} index @param {import('./component-names.js').Component} of @param {(Node | string)[]} words @param {string} title */
function componentLine(index, of, words, title) {
  const href = componentAddress(index.id, of) ?? format(pageState('corpus', index.id, { list: of.component === 'mlp' ? 'mlp' : 'attn' }));
  return h('li', {}, h('a', { class: 'found', href, title, 'data-testid': `found-${of.component}` }, h('b', {}, ...nameWords(index, componentName(of))), ...words));
}

/** The component whose name was typed, if the model has it. @param {Props} props */
function namedPart({ index, state }) {
  const of = typedComponent(state.q);
  if (!of) return [];
  const there = of.layer < index.n_layers && (of.component !== 'head' || of.index < index.n_heads);
  if (!there) return [h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, `This model has no ${componentName(of)}: its layers are L0 to L${index.n_layers - 1}, each with ${plural(index.n_heads, 'head')}.`)];
  const refused = of.component === 'neuron' ? noSuchNeuron(index, { layer: of.layer, expert: of.expert, neuron: of.index }) : '';
  if (refused) return [h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, refused)];
  return [h('ul', { class: 'found-list' }, componentLine(index, of, [' ', h('span', { class: 'quiet' }, of.component === 'head' || of.component === 'neuron' ? 'its page over all prompts' : 'in the ranking')], ''))];
}

/** What people called by these words, and the way to all names. @param {Props} props */
function calledPart({ index, state: { q, run } }) {
  const found = index.names.find(q);
  const names = (/** @type {string} */ words) => h('p', {}, h('a', { href: format(pageState('names', run, { q })), 'data-testid': 'all-names' }, words));
  if (!found.length) return q ? [] : [names('Give names to heads, neurons and MLPs')];
  const line = (/** @type {import('./names.js').Entry} */ { name, label, note }) => {
    const of = typedComponent(name);
    const href = (of && componentAddress(run, of)) ?? format(pageState('names', run, { of: name }));
    return h('li', {}, h('a', { class: 'found', href, 'data-testid': 'found-name' }, h('b', {}, name), ' ', h('bdi', { class: 'called' }, showText(label)), note ? h('small', {}, ' ', oneLine(note, 100)) : null));
  };
  return [h('section', { 'aria-label': 'Names' }, h('h2', {}, q ? 'Named with these words' : 'Named'), h('ul', { class: 'found-list' }, ...found.slice(0, FIRST).map(line)), names(found.length > FIRST ? `all ${plural(found.length, 'name')}` : 'all names'))];
}

/** @param {Props} props @param {import('./data.js').Data} data */
function promptsPart({ index, state, ask }, data) {
  const { q, run } = state;
  const answer = ask(`prompts ${q}`, () => data.list(index, { q, group: null, sort: 'id', page: 1 }));
  return h(
    'section',
    { 'aria-label': 'Prompts' },
    h('h2', {}, 'Prompts'),
    ...answered(answer, 'The prompts', ({ rows, total }) => {
      if (!total) return [h('p', { class: 'empty' }, `No prompt contains “${clip(showText(q), 60)}”.`)];
      const lines = rows.slice(0, PROMPTS).map((row) => h('li', {}, h('a', { class: 'found', href: format(promptState(run, row.prompt_id)), 'data-testid': 'prompt-row', 'data-id': row.prompt_id }, h('bdi', {}, clip(showText(row.text), 160)), h('small', {}, row.group === null ? '' : ` ${clip(showText(row.group), 40)}`))));
      return [h('ul', { class: 'found-list' }, ...lines), h('p', {}, h('a', { href: format(promptsState(run, { q })), 'data-testid': 'all-prompts' }, total > PROMPTS ? `all ${plural(total, 'prompt')} with these words` : 'as a list of prompts'))];
    }, 6),
  );
}

/** One line for each component and sign: its best token that matches, and how many more. @param {Row[]} rows @param {(row: Row) => import('./component-names.js').Component} of */
export function bestPerComponent(rows, of) {
  /** @type {Map<string, { row: Row, more: number }>} */
  const best = new Map();
  for (const row of rows) {
    const key = `${componentName(of(row))} ${row.sign}`;
    const found = best.get(key);
    if (found) found.more += 1;
    else best.set(key, { row, more: 0 });
  }
  return [...best.values()];
}

/** @param {Row} row @param {number} more */
const tokenWords = (row, more) => [h('span', { class: 'quiet' }, row.sign > 0 ? ' promotes ' : ' suppresses '), tokenMark(row.token), more ? h('small', {}, ` and ${integer(more)} more`) : ''];

/** @param {Props} props @param {import('./data.js').Data} data */
function headsPart({ index, state, ask }, data) {
  const { q, run } = state;
  const answer = ask(`components ${q}`, () => data.stats.rows(index, componentsSql, { promoted: {} }, { q }));
  return h(
    'section',
    { 'aria-label': 'Heads and blocks by token' },
    h('h2', {}, 'Heads and blocks by token'),
    ...answered(answer, 'The heads by token', (rows) => {
      const of = (/** @type {Row} */ row) => ({ component: row.component, layer: row.layer, expert: -1, index: row.index });
      const lines = bestPerComponent(rows, of).slice(0, FIRST).map(({ row, more }) =>
        componentLine(index, of(row), [...tokenWords(row, more), h('span', { class: 'num quiet' }, ` ${fraction(row.n / row.n_all)}`)], `among its stored tokens at ${integer(row.n)} of ${plural(row.n_all, 'position')}, in ${plural(row.n_prompts, 'prompt')}; ${exact(row.score)} logits there on average`));
      return [lines.length ? h('ul', { class: 'found-list' }, ...lines) : h('p', { class: 'empty' }, 'None is known for such a token: listed are the 20 tokens of each sign that a component promotes most often.'), sqlLink(run, asked(componentsSql, { q }, { promoted: 'stats.promoted' }), 'heads by token')];
    }, 6),
  );
}

/** Where to begin when nothing is asked yet. @param {Props} props @param {import('./data.js').Data} data @param {'head' | 'neuron'} component */
function topPart({ index, state, ask }, data, component) {
  const answer = ask(`top ${component}`, () => data.stats.rows(index, topSql, { importance: { component, group: null } }, { component }));
  return h(
    'section',
    {},
    h('h2', {}, component === 'head' ? 'Heads that carry most' : 'Neurons that carry most'),
    ...answered(answer, 'The largest', (rows) => [
      h('p', { class: 'pills' }, ...rows.map((row) => componentLink(index, row, { class: 'pill', title: `mean share ${exact(row.mean_share)}` }))),
      h('p', {}, h('a', { href: format(pageState('corpus', state.run, { list: component })) }, 'the whole ranking')),
    ], 3),
  );
}

/** To the clusters of neurons, where there are any. @param {Props} props */
function clustersLink({ index, state }) {
  return hasAtlas(index) ? h('p', {}, h('a', { href: format(pageState('clusters', state.run)), 'data-testid': 'to-clusters' }, 'Neurons by what they promote: clusters')) : '';
}

/** @param {import('./pages.js').Options} options */
export function createSearch({ data, navigate }) {
  const field = h('input', { type: 'search', class: 'big-search', placeholder: 'L1H2, 1.2, L3N44, a token, words of a prompt', 'aria-label': 'Search heads, neurons, tokens and prompts', maxlength: 500, spellcheck: 'false', autocomplete: 'off', 'data-testid': 'component-search' });
  /** @type {Props | null} */
  let now = null;
  let typing = 0;
  const keywordPart = createKeywordPart(data);

  field.addEventListener('input', () => {
    clearTimeout(typing);
    const q = field.value.trim();
    typing = window.setTimeout(() => {
      typing = 0;
      now?.go({ q, full: false }, true);
    }, 180);
  });
  field.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') step(event, 1);
    const of = event.key === 'Enter' ? typedComponent(field.value) : null;
    const page = of && now && componentState(now.state.run, of);
    if (page) navigate(page);
  });

  /** Along what was found. @param {KeyboardEvent} event @param {number} by */
  function step(event, by) {
    const links = /** @type {HTMLElement[]} */ ([...view.el.querySelectorAll('.found, .pills:not(.words) .pill')]);
    const at = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (by < 0 && at <= 0) field.focus();
    else links[Math.min(links.length - 1, at + by)]?.focus();
    event.preventDefault();
  }

  /** @param {Props} props */
  function render(props) {
    now = props;
    if (document.activeElement !== field && !typing) field.value = props.state.q; // what is being typed is not in the address yet
    const { q } = props.state;
    if (!q) return [field, h('p', { class: 'quiet' }, 'A head as L1H2, L1.H2, 1.2 or 1:2; a neuron as L3N44; a token for what promotes it; any words for the prompts that have them.'), topPart(props, data, 'head'), topPart(props, data, 'neuron'), ...calledPart(props), clustersLink(props)];
    return [field, ...namedPart(props), ...calledPart(props), keywordPart(props), h('div', { class: 'columns' }, promptsPart(props, data), headsPart(props, data))];
  }

  const view = createStatsPage({ data, navigate, heading: () => 'Components', lead: 'Heads and neurons by name or by the tokens they promote, and prompts by their text.', render });
  view.el.addEventListener('keydown', (event) => {
    if (event.target !== field && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) step(event, event.key === 'ArrowDown' ? 1 : -1);
  });
  return {
    ...view,
    search: () => field.focus(),
    /** @param {string} key @param {KeyboardEvent} event */
    onKey(key, event) {
      if (key !== 'ArrowDown') return false;
      step(event, 1);
      return true;
    },
  };
}
