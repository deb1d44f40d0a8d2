/** Clusters of neurons: which value vectors point alike, and what they promote together. */

import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, fraction, integer, plural } from './format.js';
import { nameWords } from './name-label.js';
import { createStatsPage } from './page-parts.js';
import { answered } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import clustersSql from './sql/vocab_clusters.sql?raw';
import useSql from './sql/vocab_use_clusters.sql?raw';
import { format, pageState } from './state.js';
import { hasAtlas, vocabFiles } from './vocab-data.js';
import { noAtlas, tokensColumn } from './vocab-parts.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').ClustersState>} Props */

/** @param {{ layer_least: number, layer_most: number }} row */
export const layersOf = ({ layer_least, layer_most }) => (layer_least === layer_most ? `L${layer_least}` : `L${layer_least} to L${layer_most}`);

/** Its name in names.yaml, and on the pages. @param {number} cluster */
export const clusterName = (cluster) => `cluster ${cluster}`;

/**
 * How often the neurons of each cluster are on routes of this run, as a lookup; empty until it has come.
 * @param {Props} props @param {import('./data.js').Data} data @returns {(row: import('./rows.js').Row) => import('./rows.js').Row | undefined}
 */
function useOf({ index, ask }, data) {
  if (!index.stats) return () => undefined;
  const members = vocabFiles(index, 'members').map(({ file }) => data.address(index, file));
  const answer = ask('use of clusters', () => data.stats.rows(index, useSql, { activations: {} }, {}, { neurons: members }));
  const found = new Map((answer.value ?? []).map((row) => [row.cluster, row]));
  return (row) => found.get(row.cluster);
}

/** @param {import('./data.js').RunIndex} index @param {ReturnType<typeof useOf>} use @returns {import('./data-table.js').Column[]} */
const columnsOf = (index, use) => [
  { name: 'cluster', text: true, value: (row) => row.cluster, show: (row) => h('a', { href: format(pageState('cluster', index.id, { cluster: row.cluster })), 'data-testid': 'to-cluster' }, ...nameWords(index, clusterName(row.cluster))) },
  { name: 'n', label: 'neurons', value: (row) => row.n, show: (row) => integer(row.n) },
  { name: 'layer_least', label: 'layers', title: 'lowest and highest of their blocks', value: (row) => row.layer_least, show: (row) => layersOf(/** @type {any} */ (row)), also: { layer_most: (row) => row.layer_most } },
  { name: 'cosine', label: 'alike', title: 'mean cosine of their value vectors with the cluster’s mean: 1 where all are parallel', value: (row) => row.cosine, show: (row) => fraction(row.cosine), hint: (row) => exact(row.cosine) },
  ...(index.stats ? [/** @type {import('./data-table.js').Column} */ ({ name: 'n_places', label: 'on routes', title: 'positions of prompts at which one of its neurons is stored on a route, added up over its neurons', value: (row) => use(row)?.n_places ?? 0, show: (row) => integer(use(row)?.n_places ?? 0), hint: (row) => `${integer(use(row)?.n_used ?? 0)} of its ${plural(row.n, 'neuron')}`, also: { n_used: (row) => use(row)?.n_used ?? 0 } })] : []),
  tokensColumn('promoted', 'promote', 6),
  tokensColumn('suppressed', 'suppress', 6),
];

/** @param {import('./pages.js').Options} options */
export function createClustersPage({ data, navigate }) {
  /** @type {Props | null} */
  let now = null;
  const table = createDataTable({ id: 'clusters', name: 'clusters-of-neurons', onFind: (find) => now?.go({ find }, true) });

  /** @param {Props} props */
  function render(props) {
    now = props;
    const { index, state, ask, sorting } = props;
    if (!hasAtlas(index)) return [noAtlas(index)];
    const answer = ask('clusters', () => data.vocab.rows(index, clustersSql, { clusters: {} }, {}));
    return answered(answer, 'The clusters', (rows) => {
      table.update({ rows, columns: columnsOf(index, useOf(props, data)), sorting, find: state.find, sql: sqlLink(state.run, asked(clustersSql, {}, { clusters: 'vocab.clusters' }), 'the clusters'), empty: 'This model has no neurons that can be told apart.' });
      const { clustering } = index.vocab ?? {};
      return [clustering ? h('p', { class: 'quiet' }, 'Clustering ', h('code', { 'data-testid': 'clustering' }, clustering), `: ${plural(rows.length, 'cluster')}. Numbers are of this one only, and so are names (names.yaml).`) : '', table.el];
    }, 12);
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: () => 'Clusters of neurons', lead: 'Neurons whose value vectors point alike, by k-means over the whole model, with the tokens that most of them promote and suppress.', render });
}
