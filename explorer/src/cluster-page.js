/** One cluster of neurons: what its members promote together, which they are, and how often they are on routes. */

import { componentLink } from './component-link.js';
import { componentName } from './component-names.js';
import { clusterName, layersOf } from './clusters-page.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, fraction, integer, plural, quantity } from './format.js';
import { createNameEditor } from './name-editor.js';
import { createStatsPage } from './page-parts.js';
import { answered, factList, signed, tokenMark } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import clusterSql from './sql/vocab_cluster.sql?raw';
import tokensSql from './sql/vocab_cluster_tokens.sql?raw';
import membersSql from './sql/vocab_members.sql?raw';
import { format, pageState } from './state.js';
import { hasAtlas } from './vocab-data.js';
import { noAtlas, useColumns, useOf } from './vocab-parts.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').ClusterState>} Props */
/** @typedef {import('./rows.js').Row} Row */

const partOf = (/** @type {Row} */ { layer, expert, index }) => ({ component: 'neuron', layer, expert, index });

/** @param {number} n neurons of the cluster @param {string} run @returns {import('./data-table.js').Column[]} */
const tokenColumns = (n, run) => [
  { name: 'token', text: true, class: 'token-cell', value: (row) => row.token, show: (row) => h('a', { href: format(pageState('search', run, { q: row.token.trim(), exact: true })), title: 'all neurons with this token' }, tokenMark(row.token)) },
  { name: 'n', label: 'neurons', title: 'neurons of the cluster with it among their tokens of this sign', value: (row) => row.n, show: (row) => [integer(row.n), h('small', {}, ` of ${integer(n)}`)] },
  { name: 'score', label: 'mean score', title: 'mean of its static score over these', value: (row) => row.score, show: (row) => signed(row.score), hint: (row) => exact(row.score) },
];

/** To the clusters before and after. @param {string} run @param {number} cluster */
const neighbours = (run, cluster) =>
  h('nav', { class: 'neighbours', 'aria-label': 'Neighbours' }, h('a', { class: 'button', href: format(pageState('clusters', run)) }, 'All clusters'), ...[cluster - 1, cluster + 1].filter((other) => other >= 0).map((other) => h('a', { class: 'button', href: format(pageState('cluster', run, { cluster: other })) }, `${other < cluster ? '‹' : '›'} cluster ${other}`)));

/** @param {import('./pages.js').Options} options */
export function createClusterPage({ data, navigate }) {
  const editor = createNameEditor();
  const members = createDataTable({ id: 'members', name: 'neurons-of-the-cluster' });
  const tokens = { 1: createDataTable({ id: 'shared-promoted', name: 'tokens-promoted', first: 12 }), [-1]: createDataTable({ id: 'shared-suppressed', name: 'tokens-suppressed', first: 12 }) };

  /** @param {Props} props @param {number} n */
  function tokensPart({ index, state, ask, sorting }, n) {
    const values = { cluster: state.cluster };
    const answer = ask(`cluster tokens ${state.cluster}`, () => data.vocab.rows(index, tokensSql, { cluster_tokens: values }, values));
    const sql = () => sqlLink(state.run, asked(tokensSql, values, { cluster_tokens: 'vocab.cluster_tokens' }), 'shared tokens');
    return [
      h('h2', {}, 'Tokens that they share'),
      ...answered(answer, 'Their tokens', (rows) => [h('div', { class: 'halves' }, .../** @type {const} */ ([1, -1]).map((sign) => {
        tokens[sign].update({ rows: rows.filter((row) => row.sign === sign), columns: tokenColumns(n, state.run), sorting, sql: sql(), empty: 'No two of them share one.' });
        return h('section', {}, h('h3', {}, sign > 0 ? 'promoted when positive' : 'suppressed when positive'), tokens[sign].el);
      }))], 8),
    ];
  }

  /** @param {Props} props */
  function membersPart(props) {
    const { index, state, ask, sorting } = props;
    const values = { cluster: state.cluster };
    const answer = ask(`members ${state.cluster}`, () => data.vocab.rows(index, membersSql, { neurons: values }, values, { neurons: 'members' }));
    return [
      h('h2', {}, 'Its neurons'),
      ...answered(answer, 'Its neurons', (rows) => {
        const use = useOf(props, data, 'neuron', rows);
        const used = rows.filter((row) => use(row)).length;
        /** @type {import('./data-table.js').Column[]} */
        const columns = [
          { name: 'neuron', text: true, value: (row) => componentName(partOf(row)), show: (row) => componentLink(index, partOf(row), { 'data-testid': 'member' }) },
          { name: 'cosine', label: 'alike', title: 'cosine with the cluster’s mean', value: (row) => row.cosine, show: (row) => fraction(row.cosine), hint: (row) => exact(row.cosine) },
          { name: 'norm', title: 'length of its value vector', value: (row) => row.norm, show: (row) => quantity(row.norm), hint: (row) => exact(row.norm), class: 'secondary' },
          ...useColumns(use, index, 'neuron'),
        ];
        members.update({ rows, columns, sorting, sql: sqlLink(state.run, asked(membersSql, values, { neurons: 'vocab.neurons' }), 'its neurons') });
        return [index.stats ? h('p', { class: 'quiet', 'data-testid': 'members-used' }, `On routes of this run: ${integer(used)} of ${plural(rows.length, 'neuron')}.`) : '', members.el];
      }, 10),
    ];
  }

  /** @param {Props} props */
  function render(props) {
    const { index, state, ask } = props;
    if (!hasAtlas(index)) return [noAtlas(index)];
    const answer = ask(`cluster ${state.cluster}`, () => data.vocab.rows(index, clusterSql, { clusters: {} }, { cluster: state.cluster }));
    return [
      neighbours(state.run, state.cluster),
      ...answered(answer, 'The cluster', ([found]) => {
        if (!found) return [h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, `This model has no cluster ${state.cluster}: `, h('a', { href: format(pageState('clusters', state.run)) }, 'all there are'))];
        const facts = factList([['neurons', integer(found.n)], ['layers', layersOf(/** @type {any} */ (found))], ['alike', fraction(found.cosine), `mean cosine with the cluster’s mean: ${exact(found.cosine)}`]]);
        return [editor.update(props, clusterName(state.cluster)), facts, ...tokensPart(props, found.n), ...membersPart(props)];
      }, 3),
    ];
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: ({ cluster }) => `Cluster ${cluster}`, lead: 'Neurons whose value vectors point alike, wherever in the model they are.', render });
}
