/** The panel's first tab: what the model reads at a node and where it comes from; the prediction when nothing is selected. */

import { answerChart } from './answer-chart.js';
import { answerFrom, edgeName, nodeMeaning, nodeName } from './describe.js';
import { h } from './dom.js';
import { exact, fraction, integer, quantity, threshold } from './format.js';
import { nameText, nameWords } from './name-label.js';
import { answered, at, bar, edgeList, factList, heading, namedTokens, tokenMark, writesTable } from './panel-parts.js';
import { figureSql } from './prompt-sql.js';
import { nodeKey } from './routes.js';
import { sortable, tableTools } from './table.js';
import { kindOf } from './tabs.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./panel.js').Tab} Tab */

/** @param {number} rank @param {number | null} before */
function rankChange(rank, before) {
  if (before === null) return h('span', { class: 'change quiet', title: 'no node below' }, '');
  const change = before - rank;
  const title = `rank ${rank} here, ${integer(before)} one node earlier`;
  if (change === 0) return h('span', { class: 'change quiet', title }, '=');
  return h('span', { class: `change ${change > 0 ? 'up' : 'down'}`, title }, `${change > 0 ? '▲' : '▼'}${integer(Math.abs(change))}`);
}

/** @param {import('./data.js').LensRow} row @param {number[]} named */
function lensRow(row, named) {
  return h(
    'tr',
    { 'data-testid': 'lens-row', class: named.includes(row.token_id) ? 'marked' : null },
    h('td', { class: 'num quiet' }, row.rank),
    h('td', { class: 'token-cell', title: `token id ${row.token_id}`, 'data-value': row.token, 'data-text': true }, tokenMark(row.token ?? `#${row.token_id}`, row.special)),
    h('td', { class: 'bar-cell' }, bar(row.prob, 'prob')),
    h('td', { class: 'num', title: exact(row.prob), 'data-value': row.prob }, fraction(row.prob)),
    h('td', { class: 'num quiet', title: exact(row.logit), 'data-value': row.logit }, quantity(row.logit)),
    h('td', { class: 'num', 'data-value': row.prev_rank === null ? '' : row.prev_rank - row.rank }, rankChange(row.rank, row.prev_rank)),
  );
}

/** @param {import('./data.js').LensRow[]} rows @param {PanelProps} props @param {boolean} raw */
function lensTable(rows, props, raw) {
  const { layer, point, pos } = props.focus;
  if (!rows.length && props.data.nodes.has(nodeKey(layer, point, pos))) return [h('p', { class: 'inline-error', role: 'alert' }, 'The lens of this node is missing, though the node is stored: the file may be another run’s. Make the site again with “flowatlas site”.')];
  if (!rows.length) return [h('p', { class: 'quiet' }, 'No lens is stored for this node: it is on no stored route.')];
  const head = (/** @type {string} */ name, /** @type {string} */ title, num = true) => h('th', { scope: 'col', class: num ? 'num' : null, title }, name);
  const named = namedTokens(props);
  const table = h(
    'table',
    { class: 'lens' },
    h('thead', {}, h('tr', {}, head('#', 'rank'), head('token', 'token', false), h('th', { 'aria-hidden': 'true' }), head('prob.', 'probability'), head('logit', 'logit'), head('change', 'change of rank since one node earlier in the residual stream'))),
    h('tbody', {}, ...rows.map((row) => lensRow(row, named))),
  );
  return [sortable(table, { id: 'lens', sorting: props.sorting }), tableTools(table, { name: `lens-${nodeKey(props.focus.layer, props.focus.point, props.focus.pos)}`, sql: figureSql(props, 'lens', { layer, point, pos, raw }) })];
}

/** The lens with and without the final norm, where both are stored. @param {PanelProps} props */
function lensSection(props) {
  const { focus, index, data, source, state, onGo } = props;
  const stored = Boolean(index.manifest?.config?.lens?.raw);
  const raw = stored && state.raw;
  const name = nodeKey(focus.layer, focus.point, focus.pos);
  const answer = props.ask(`lens ${name} ${raw}`, () => source.lens(index, data.prompt.prompt_id, focus, raw));
  const box = h('input', { type: 'checkbox', 'data-testid': 'raw-lens', 'data-go': 'raw', onchange: () => onGo({ raw: !state.raw }) });
  box.checked = raw;
  return [
    heading('Reads as', raw ? 'lens: unembedding alone' : 'lens: final norm, then unembedding'),
    stored ? h('label', { class: 'check' }, box, 'without the final norm') : null,
    ...answered(answer, 'The lens of this node', (rows) => lensTable(rows, props, raw), 10),
  ];
}

/** The answer through the layers of a column. @param {PanelProps} props @param {number} pos @param {string | null} here */
function chartSection(props, pos, here) {
  const { data, index, onSelect } = props;
  const target = data.targets.find((one) => one.target === pos);
  if (!target) return [];
  return [
    heading('Through the layers', `of what follows ${pos === props.route.target ? 'the target' : 'this token'}`),
    props.memo(`answer ${pos} ${here}`, () => answerChart({ sql: figureSql(props, 'answer', { pos }), nodes: data.nodes, target, shape: { nLayers: index.n_layers, parallel: index.parallel }, here, width: props.width, onSelect })),
  ];
}

/** What the blocks that wrote into a node promote. @param {PanelProps} props */
function writersSection(props) {
  const { focus, index, data, source } = props;
  if (focus.layer < 0) return [];
  const blocks = /** @type {('attn' | 'mlp')[]} */ (index.parallel ? ['attn', 'mlp'] : focus.point === 'mid' ? ['attn'] : ['mlp']);
  return blocks.flatMap((component) => {
    const of = { layer: focus.layer, component, index: 0, pos: focus.pos };
    const answer = props.ask(`writes ${JSON.stringify(of)}`, () => source.details.writes(index, data.prompt.prompt_id, of));
    const name = `L${focus.layer} ${component === 'attn' ? 'attention' : 'MLP'}`;
    return [heading(`Written by ${nameText(index, name)}`, 'logits it adds, before bias'), ...answered(answer, `What ${name} writes`, (writes) => [writesTable(writes, namedTokens(props))])];
  });
}

/** @param {PanelProps} props */
function facts({ focus, data, route, index }) {
  const key = nodeKey(focus.layer, focus.point, focus.pos);
  const stored = data.nodes.get(key);
  const kept = route.kept.get(key);
  const inner = focus.layer >= 0;
  return factList([
    ['norm', stored ? quantity(stored.norm) : null, stored ? exact(stored.norm) : ''],
    ['entropy', stored ? `${quantity(stored.entropy)} nats` : null, stored ? `entropy of the lens: ${exact(stored.entropy)} nats` : ''],
    ['bias share', stored && inner ? fraction(stored.bias_share) : null, `share that the bias would take as a part; it is none: ${exact(stored?.bias_share)}`],
    ['kept on the route', kept === undefined ? null : fraction(Math.min(1, kept)), `share of this node that is on the route: ${exact(kept)}`],
    ['dropped', stored && inner ? fraction(Math.max(0, 1 - stored.stored_share)) : null, `share of parts under the floor ${threshold(index.floor)}, which are not stored: ${stored ? exact(Math.max(0, 1 - stored.stored_share)) : ''}`],
    ['answer rank', stored?.answer_rank ? integer(stored.answer_rank) : null, 'rank of this column’s answer in the lens'],
    ['foil rank', stored?.foil_rank ? integer(stored.foil_rank) : null, 'rank of this column’s foil in the lens'],
  ]);
}

/** @param {PanelProps} props */
function renderNode(props) {
  const { data, route, index, focus } = props;
  const key = nodeKey(focus.layer, focus.point, focus.pos);
  const tokens = data.prompt.tokens;
  const edges = [...route.edges.values()];
  const words = (/** @type {string} */ way, /** @type {'src' | 'dst'} */ end) => (/** @type {import('./routes.js').RouteEdge} */ edge) =>
    edge.kind === 'attn' ? [...nameWords(index, edgeName(edge)), way, ...at(tokens, edge[end])] : nameWords(index, edgeName(edge));
  return [
    h('h2', {}, nodeName(focus), ' ', h('span', { class: 'at' }, 'at '), ...at(tokens, focus.pos)),
    h('p', { class: 'quiet' }, nodeMeaning(focus, index.parallel), route.nodes.has(key) ? '' : ' · not on this route'),
    facts(props),
    ...lensSection(props),
    ...chartSection(props, focus.pos, key),
    ...writersSection(props),
    ...edgeList('Comes from', edges.filter((edge) => edge.to === key), props, words(' from ', 'src')),
    ...edgeList('Goes to', edges.filter((edge) => edge.from === key), props, words(' to ', 'dst')),
  ];
}

/** @param {string} name @param {string | null} token @param {number | null} prob @param {number | null} rank */
function outcomeRow(name, token, prob, rank) {
  return h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, tokenMark(token ?? '?')), h('td', { class: 'num', title: exact(prob) }, fraction(prob)), h('td', { class: 'num' }, rank === null ? '–' : integer(rank)));
}

/** @param {import('./data.js').Target} target */
function outcomes(target) {
  const head = h('thead', {}, h('tr', {}, h('td', {}), h('th', { scope: 'col' }, 'token'), h('th', { scope: 'col', class: 'num' }, 'prob.'), h('th', { scope: 'col', class: 'num' }, 'rank')));
  return h(
    'table',
    { class: 'outcomes' },
    head,
    h(
      'tbody',
      {},
      outcomeRow('prediction', target.predicted, target.predicted_prob, 1),
      outcomeRow('answer', target.answer, target.answer_prob, target.answer_rank),
      target.foil_id === null ? null : outcomeRow('foil', target.foil, target.foil_prob, target.foil_rank),
    ),
  );
}

/** Nothing is selected: the prediction, and where to begin. @param {PanelProps} props */
function renderOverview(props) {
  const { route, data, target } = props;
  const tokens = data.prompt.tokens;
  const between = [...route.edges.values()].filter((edge) => edge.kind === 'attn' && edge.src !== edge.dst);
  const hint = between.length
    ? 'Click a node to read what the model thinks there, an edge to see its heads, or a square to see the neurons of an MLP. Lower the threshold for more of the route.'
    : 'Nothing comes from other tokens at this threshold. Lower it with the slider, or press −.';
  return [
    h('h2', {}, 'Prediction after ', ...at(tokens, route.target)),
    target ? outcomes(target) : h('p', {}, 'This target was not stored.'),
    target ? h('p', { class: 'quiet' }, answerFrom(target.answer_from)) : null,
    h('p', { class: 'hint' }, hint),
    ...chartSection(props, route.target, null),
    ...edgeList('Strongest attention between tokens', between, props, (edge) => [`L${edge.layer} `, ...at(tokens, edge.src), ' → ', ...at(tokens, edge.dst)]),
  ];
}

/** @param {(Node | null)[]} parts */
const present = (parts) => /** @type {Node[]} */ (parts.filter((part) => part !== null));

/** @type {Tab} */
export const nodeTab = {
  id: 'node',
  label: ({ selection }) => (selection === null ? 'Overview' : 'Node'),
  render: (props) => present(kindOf(props.selection) === null ? renderOverview(props) : renderNode(props)),
};
