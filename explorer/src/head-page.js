/** One head over the corpus: what it carries for whom, whence it reads, what it moves and promotes, and where to see it at work. */

import { askAbout, examplesPart, groupsPart, kindsPart, neighbours, pairsPart, standing } from './component-parts.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, fraction, integer } from './format.js';
import { createHeadWeights } from './head-weights.js';
import { estimateOf, exactWords, intervalMark } from './interval.js';
import { createMemo } from './memo.js';
import { createNameEditor } from './name-editor.js';
import { choiceField, createStatsPage, halfOf } from './page-parts.js';
import { answered } from './panel-parts.js';
import { promotedLists } from './promoted.js';
import { sqlLink } from './sql-link.js';
import { parseHead } from './tabs.js';

/** @typedef {import('./component-parts.js').Props} Props */
/** @typedef {import('./rows.js').Row} Row */

/** @param {'contribution' | 'attention'} what @returns {import('./data-table.js').Column[]} */
function scoreColumns(what) {
  const of = (/** @type {Row} */ row) => estimateOf(row, what);
  return [
    { name: what, label: what === 'contribution' ? 'by contribution' : 'by attention', value: (row) => row[what], show: (row) => fraction(row[what]), hint: (row) => exactWords(of(row)), also: { [`${what}_low`]: (row) => row[`${what}_low`], [`${what}_high`]: (row) => row[`${what}_high`] } },
    { name: `${what}_chance`, label: 'chance', class: 'score-cell', title: 'the score were it spread evenly over all earlier positions', value: (row) => row[`${what}_chance`], show: (row) => [intervalMark(of(row), [0, 1], { kind: what === 'contribution' ? '' : 'prob', chance: row[`${what}_chance`] }), h('span', { class: 'quiet num' }, fraction(row[`${what}_chance`]))], hint: (row) => `chance ${exact(row[`${what}_chance`])}` },
  ];
}

/** @type {import('./data-table.js').Column[]} */
const ROLE_COLUMNS = [
  { name: 'role', label: 'reads from', text: true, value: (row) => row.role },
  ...scoreColumns('contribution'),
  ...scoreColumns('attention'),
  { name: 'n_role', label: 'edges', title: 'edges from such a source, of all edges into positions that have one', value: (row) => row.n_role, show: (row) => [integer(row.n_role), h('small', {}, ` of ${integer(row.n_edges)}`)], also: { n_edges: (row) => row.n_edges, n_all: (row) => row.n_all } },
];

/** @param {Props} props @param {ReturnType<typeof createDataTable>} table */
function rolesPart(props, table) {
  const { state, index, go, sorting } = props;
  const { answer, text } = askAbout(props, 'roles', { source: state.source });
  const stored = Boolean(index.maps?.stored);
  return [
    h('h2', {}, 'Roles'),
    h('p', { class: 'quiet' }, 'Of what it carries into positions that have such a source, the part that comes from it; the orange tick is what an even spread would give. A score means something far above its chance and over many edges.'),
    h('div', { class: 'controls-row' }, choiceField({ label: 'counted over', value: state.source, options: stored ? [['edges', 'edges on routes'], ['maps', 'whole maps']] : [['edges', 'edges on routes']], onChange: (source) => go({ source: /** @type {any} */ (source) }), testid: 'source' })),
    ...answered(answer, 'Its roles', (rows) => {
      table.update({ rows, columns: ROLE_COLUMNS, sorting, sql: sqlLink(state.run, text, 'its roles'), empty: state.source === 'maps' ? 'This run stores no maps: maps.store=true does.' : 'No edge of it is stored.' });
      return [table.el];
    }, 7),
  ];
}

/** The role that stands out most, in a line. @param {Props} props */
function strongestRole(props) {
  const rows = askAbout(props, 'roles', { source: 'edges' }).answer.value ?? [];
  const [best] = [...rows].filter((row) => row.contribution !== null).sort((a, b) => b.contribution - b.contribution_chance - (a.contribution - a.contribution_chance));
  if (!best || !(best.contribution > 2 * best.contribution_chance)) return [];
  return [h('p', { class: 'quiet', 'data-testid': 'strongest-role' }, 'reads above all from: ', h('b', {}, best.role), `, ${fraction(best.contribution)} of what it carries where there is one, by chance ${fraction(best.contribution_chance)}`)];
}

/** @param {Props} props */
function promotedPart(props) {
  const { answer, text } = askAbout(props, 'promoted');
  return [h('h2', {}, 'Promoted over the corpus'), ...answered(answer, 'What it promotes', (rows) => [promotedLists(rows, { sql: sqlLink(props.state.run, text, 'what it promotes') })], 8)];
}

/** @param {import('./pages.js').Options} options */
export function createHeadPage({ data, navigate }) {
  const roles = createDataTable({ id: 'roles', name: 'roles' });
  const moves = createDataTable({ id: 'moves', name: 'token-pairs-moved', first: 10 });
  const writes = createDataTable({ id: 'writes', name: 'token-pairs-written', first: 10 });
  const weights = createHeadWeights();
  const memo = createMemo();
  const editor = createNameEditor();

  /** @param {import('./component-parts.js').PageProps} page */
  function render(page) {
    const { layer, head } = /** @type {{ layer: number, head: number }} */ (parseHead(page.state.name));
    const props = { ...page, data, of: { component: 'head', layer, expert: -1, index: head } };
    memo.turn();
    const inModel = layer < page.index.n_layers && head < page.index.n_heads;
    const place = neighbours(props, page.index.n_heads);
    if (!inModel) return [h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, `This model has no head ${page.state.name}: its layers are L0 to L${page.index.n_layers - 1}, its heads H0 to H${page.index.n_heads - 1}.`)];
    return [
      editor.update(page, page.state.name),
      place,
      ...standing(props),
      ...strongestRole(props),
      h('div', { class: 'halves' }, h('section', {}, ...groupsPart({ ...props, width: halfOf(props.width) })), h('section', {}, ...rolesPart(props, roles))),
      h('h2', {}, 'Tokens that it moves'),
      h('div', { class: 'halves' }, pairsPart(props, moves, 'moves', 'From a token to a token'), pairsPart(props, writes, 'writes', 'From a token, and what it promotes there')),
      ...promotedPart(props),
      ...weights(props),
      ...kindsPart(props),
      ...examplesPart(props, memo.get),
    ];
  }

  return createStatsPage({ data, navigate, heading: ({ name }) => `Head ${name}`, lead: 'What this head does over all prompts.', render });
}
