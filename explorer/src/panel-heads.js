/** The panel's heads: of an edge, of a node, of the whole prompt; and all that is known of the chosen one. */

import { corpusLink } from './corpus-link.js';
import { mapsOf } from './details.js';
import { edgeName, nodeName, shareName } from './describe.js';
import { h } from './dom.js';
import { exact, fraction, threshold } from './format.js';
import { mapFigure } from './map-figure.js';
import { nameWords, noteOf } from './name-label.js';
import { answered, at, bar, factList, heading, namedTokens, signed, writesTable } from './panel-parts.js';
import { figureSql } from './prompt-sql.js';
import { parseNode } from './routes.js';
import { sortable, tableTools } from './table.js';
import { headName, kindOf, parseHead } from './tabs.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./panel.js').Tab} Tab */
/** @typedef {{ layer: number, head: number }} HeadId */
/**
 * One line of a table of heads: the numbers beside its name.
 * @typedef {HeadId & { first: number, cells: { value: number | string | null, show: string | Node[], title?: string }[], under: boolean }} Listed
 */

/** @param {PanelProps} props @param {string} id of a table: heads of the prompt, of a node, of an edge into it */
function headsSql(props, id) {
  const { layer, pos } = props.focus;
  return id === 'prompt' ? figureSql(props, 'components') : figureSql(props, 'heads', { layer, pos });
}

/** @param {PanelProps} props @param {Listed[]} rows @param {string[]} columns @param {HeadId | null} chosen @param {string} id */
function headTable(props, rows, columns, chosen, id) {
  const body = rows.map((row) => {
    const name = headName(row.layer, row.head);
    const on = chosen?.layer === row.layer && chosen.head === row.head;
    const choose = () => props.onGo({ head: name, tab: kindOf(props.selection) === 'attn' ? null : 'heads' });
    return h(
      'tr',
      { class: `pickable${row.under ? ' under' : ''}${on ? ' on' : ''}`, 'data-testid': 'head-row', onclick: choose },
      h('th', { scope: 'row', 'data-value': name }, h('button', { type: 'button', class: 'pick', 'aria-pressed': on ? 'true' : 'false', 'data-go': `head ${name}` }, ...nameWords(props.index, name))),
      h('td', { class: 'bar-cell' }, bar(row.first, 'attn')),
      ...row.cells.map(({ value, show, title }, i) => h('td', { class: typeof show === 'string' ? `num${i ? ' quiet' : ''}` : 'token-cell', title, 'data-value': value ?? '' }, ...(typeof show === 'string' ? [show] : show))),
    );
  });
  const table = h('table', { class: 'heads' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'head'), h('th', { 'aria-hidden': 'true' }), ...columns.map((name) => h('th', { scope: 'col', class: name === 'from' ? null : 'num' }, name)))), h('tbody', {}, ...body));
  return [h('div', { class: 'short' }, sortable(table, { id: `heads-${id}`, sorting: props.sorting })), tableTools(table, { name: 'heads', sql: headsSql(props, id) })];
}

/** @param {number | null} value */
const number = (value) => ({ value, show: fraction(value), title: exact(value) });

/** Heads of one stored attention edge. @param {PanelProps} props @param {import('./routes.js').Part} part @returns {Listed[]} */
function headsOfEdge(props, part) {
  return part.heads.map(({ head, share, attention }) => ({ layer: part.layer, head, first: share, cells: [number(share), number(attention)], under: share <= props.route.tau }));
}

/** Heads that write into a node, summed over the tokens they read. @param {PanelProps} props @param {number} layer @param {number} pos @returns {Listed[]} */
export function headsInto({ data }, layer, pos) {
  /** @type {Map<number, { share: number, src: number, best: number }>} */
  const found = new Map();
  for (const edge of data.edges) {
    if (edge.layer !== layer || edge.dst !== pos || edge.kind !== 'attn' || edge.head < 0) continue;
    const sum = found.get(edge.head) ?? { share: 0, src: edge.src, best: 0 };
    sum.share += edge.share;
    if (edge.share > sum.best) [sum.src, sum.best] = [edge.src, edge.share];
    found.set(edge.head, sum);
  }
  return [...found]
    .sort((a, b) => b[1].share - a[1].share || a[0] - b[0])
    .map(([head, { share, src }]) => ({ layer, head, first: share, cells: [number(share), { value: src, show: at(data.prompt.tokens, src) }], under: false }));
}

/** @param {import('./details.js').ComponentRow[]} rows @returns {Listed[]} */
function headsOfPrompt(rows) {
  return rows
    .filter((row) => row.component === 'head')
    .map((row) => ({ layer: row.layer, head: row.index, first: row.target_share, cells: [number(row.target_share), number(row.mean_share), number(row.route_tau)], under: false }));
}

/** The stored edges of a head as cells of its maps. @param {PanelProps} props @param {HeadId} of */
function storedCells({ data }, { layer, head }) {
  return data.edges.filter((edge) => edge.kind === 'attn' && edge.layer === layer && edge.head === head).map(({ dst, src, share, attention }) => ({ dst, src, share, attention }));
}

/** @param {PanelProps} props @param {HeadId} of @param {number} pos */
function mapSection(props, of, pos) {
  const { index, data, source, selection, onGo } = props;
  const name = headName(of.layer, of.head);
  const { stored, floor } = mapsOf(index);
  const edge = kindOf(selection) === 'attn' && Number(selection?.split('.')[0]) === of.layer ? Number(selection?.split('-')[1]) : null;
  const figure = (/** @type {import('./details.js').MapCell[]} */ cells, /** @type {string} */ under) =>
    props.memo(`map ${name} ${pos} ${edge} ${cells.length}`, () =>
      mapFigure({ sql: () => figureSql(props, 'maps', of), cells, tokens: data.prompt.tokens, name, under, chosen: { dst: pos, src: edge }, width: props.width, onCell: (dst, src) => onGo({ sel: `${of.layer}.attn.${dst}-${src}`, head: name, tab: null }) }),
    );
  const answer = props.ask(`map ${name}`, () => source.details.headMap(index, data.prompt.prompt_id, of));
  return answered(answer, `The map of ${name}`, (cells) =>
    cells
      ? [figure(cells, `under the maps’ floor ${threshold(floor)}`)]
      : [
          figure(storedCells(props, of), 'not stored'),
          h('p', { class: 'hint', 'data-testid': 'maps-missing' }, `Only cells on stored routes are shown${stored ? '' : ': this run has no maps. Run it again with '}`, stored ? '' : h('code', {}, 'maps.store=true'), stored ? '' : ' to store every cell.'),
        ],
  );
}

/** @param {PanelProps} props @param {HeadId} of */
function effectSection(props, of) {
  const { index, data, source, route, target } = props;
  const answer = props.ask(`effects ${route.target}`, () => source.details.effects(index, data.prompt.prompt_id, route.target));
  return [
    heading('Direct effect on the logits', 'of what it writes at the target'),
    ...answered(
      answer,
      'The direct effects',
      (rows) => {
        const row = rows.find((one) => one.component === 'head' && one.layer === of.layer && one.index === of.head);
        if (!row) return [h('p', { class: 'quiet' }, 'No direct effect is stored for this target.')];
        const foil = row.effect_foil;
        const facts = factList([
          [`answer ${target ? '' : '?'}`, signed(row.effect_answer), exact(row.effect_answer)],
          ['foil', foil === null ? null : signed(foil), exact(foil)],
          ['answer − foil', foil === null ? null : signed(row.effect_answer - foil), foil === null ? '' : exact(row.effect_answer - foil)],
        ]);
        facts.dataset.testid = 'head-effect';
        return [facts];
      },
      1,
    ),
  ];
}

/** @param {PanelProps} props @param {HeadId} of @param {number} pos the token that it writes at */
function headDetail(props, of, pos) {
  const { index, data, source } = props;
  const name = headName(of.layer, of.head);
  const writer = { layer: of.layer, component: /** @type {const} */ ('head'), index: of.head, pos };
  const writes = props.ask(`writes ${JSON.stringify(writer)}`, () => source.details.writes(index, data.prompt.prompt_id, writer));
  const components = props.ask('components', () => source.details.components(index, data.prompt.prompt_id));
  const here = headsInto(props, of.layer, pos).find((row) => row.head === of.head);
  const head = h('section', { class: 'chosen', 'aria-label': `Head ${name}`, 'data-testid': 'head-detail' });
  head.append(
    h('h2', {}, ...nameWords(index, name), ' ', h('span', { class: 'at' }, 'writing at '), ...at(data.prompt.tokens, pos)),
    ...noteOf(index, name),
    corpusLink(props, { component: 'head', layer: of.layer, expert: -1, index: of.head }),
    factList([['share at this token', here ? fraction(here.first) : `under ${threshold(index.floor)}, or not stored`, here ? `sum of its stored edges into this token: ${exact(here.first)}` : '']]),
    ...mapSection(props, of, pos),
    heading('Writes', 'logits it adds at this token, before bias'),
    ...answered(writes, `What ${name} writes`, (found) =>
      found.up.length || found.down.length ? [writesTable(found, namedTokens(props))] : [h('p', { class: 'quiet' }, 'Not stored: no edge of this head into this token lies on a stored route.')],
    ),
    ...effectSection(props, of),
    heading('Over the whole prompt', 'without a threshold'),
    ...answered(components, `The shares of ${name} over the prompt`, (rows) => {
      const summary = rows.find((row) => row.component === 'head' && row.layer === of.layer && row.index === of.head);
      if (!summary) return [h('p', { class: 'quiet' }, 'Nothing is stored of this head.')];
      return [
        factList([
          ['mean over tokens', fraction(summary.mean_share), exact(summary.mean_share)],
          ['at the last target', fraction(summary.target_share), exact(summary.target_share)],
          ['on a route below threshold', fraction(summary.route_tau), `an edge of it is on a per-head route of a target as long as the threshold is below ${exact(summary.route_tau)}`],
        ]),
      ];
    }, 1),
  );
  return head;
}

/** What the edge is, above its heads. @param {PanelProps} props @param {import('./routes.js').Part} part */
export function edgeHeader(props, part) {
  const { data, route, index } = props;
  const edge = route.edges.get(part.key);
  const tokens = data.prompt.tokens;
  const ends = part.src === part.dst ? ['at ', ...at(tokens, part.dst)] : [...at(tokens, part.src), ' → ', ...at(tokens, part.dst)];
  const go = (/** @type {string} */ key) => {
    const node = parseNode(key);
    return h('button', { type: 'button', class: 'link', 'data-go': key, onclick: () => props.onSelect(key) }, nodeName(node), ' ', ...at(tokens, node.pos));
  };
  return [
    h('h2', {}, ...nameWords(index, edgeName(part))),
    ...noteOf(index, edgeName(part)),
    h('p', { class: 'ends-line' }, ...ends),
    h('p', { class: 'quiet' }, 'from ', go(part.from), ' into ', go(part.to), edge ? '' : ' · not on this route'),
    factList([
      [edge ? shareName(part.kind, route.mode) : 'stored share', fraction(edge ? edge.shown : part.share), exact(edge ? edge.shown : part.share)],
      ['sum of all heads', part.kind === 'attn' && edge && edge.shown !== part.share ? fraction(part.share) : null, exact(part.share)],
      ['on the route below threshold', edge ? fraction(edge.bottleneck) : null, edge ? `at ${exact(edge.bottleneck)} it leaves the route: the smallest share on its widest way to the target` : ''],
    ]),
  ];
}

/**
 * The head that the state names, else the first; a name that has no place here is said, not replaced in silence.
 * @param {PanelProps} props @param {Listed[]} rows @param {number | null} layer whose heads are shown; null for every layer's
 * @returns {{ chosen: HeadId | null, note: Node[] }}
 */
function chosenOf({ state, index }, rows, layer) {
  const named = state.head === null ? undefined : parseHead(state.head);
  const first = rows[0] ?? null;
  if (!named) return { chosen: first, note: [] };
  const listed = rows.find((row) => row.layer === named.layer && row.head === named.head);
  if (listed) return { chosen: listed, note: [] };
  const instead = first ? ` ${headName(first.layer, first.head)} is shown instead.` : '';
  const say = (/** @type {string} */ why) => [h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, `${why}${instead}`)];
  if (named.layer >= index.n_layers || named.head >= index.n_heads) return { chosen: first, note: say(`This model has no head ${state.head}.`) };
  if (layer !== null && named.layer !== layer) return { chosen: first, note: say(`${state.head} does not write here: this is the attention of layer ${layer}.`) };
  return { chosen: named, note: [h('p', { class: 'quiet', 'data-testid': 'not-here' }, `${state.head} has no stored share here.`)] };
}

/** @param {PanelProps} props */
function renderEdge(props) {
  const { graph, index, selection } = props;
  const part = graph.parts.find((one) => one.key === selection);
  const rows = part ? headsOfEdge(props, part) : [];
  const { chosen, note } = chosenOf(props, rows, props.focus.layer);
  const listed = part?.heads.reduce((sum, head) => sum + head.share, 0) ?? 0;
  const floor = threshold(index.floor);
  const top = part
    ? [
        ...edgeHeader(props, part),
        ...note,
        heading('Heads', 'share of the node after attention; attention weight'),
        ...(rows.length ? headTable(props, rows, ['share', 'attention'], chosen, 'edge') : [h('p', { class: 'quiet' }, `No head of this edge has a share above the floor ${floor}.`)]),
        ...(part.share - listed > 5e-4 ? [h('p', { class: 'quiet' }, `Heads under the floor add up to ${fraction(part.share - listed)}.`)] : []),
      ]
    : [h('h2', {}, 'Not stored'), h('p', {}, `The edge ${selection} has no share above the floor ${floor}, or the node it enters is on no stored route.`)];
  return chosen ? [...top, headDetail(props, chosen, props.focus.pos)] : top;
}

/** @param {PanelProps} props */
function renderNode(props) {
  const { focus, data, index } = props;
  if (focus.layer < 0) return [h('h2', {}, 'Heads'), h('p', {}, 'The embedding comes before the first block: no head writes into it.')];
  const rows = headsInto(props, focus.layer, focus.pos);
  const { chosen, note } = chosenOf(props, rows, focus.layer);
  const title = h('h2', {}, ...nameWords(index, `L${focus.layer} attention`), ' ', h('span', { class: 'at' }, 'at '), ...at(data.prompt.tokens, focus.pos));
  if (!rows.length) return [title, h('p', { class: 'quiet' }, 'No head is stored here: the node after attention is on no stored route.'), ...note, ...(chosen ? [headDetail(props, chosen, focus.pos)] : [])];
  const { stored, floor } = mapsOf(index);
  const smaller = `Sums of stored edges, each above the floor ${threshold(index.floor)}${stored && floor < index.floor ? `; a row of the maps below holds smaller ones too, down to ${threshold(floor)}` : ''}.`;
  return [title, ...note, heading('Heads', 'share of this node, summed over the tokens they read; the token they read most'), ...headTable(props, rows, ['share', 'from'], chosen, 'node'), h('p', { class: 'quiet' }, smaller), ...(chosen ? [headDetail(props, chosen, focus.pos)] : [])];
}

/** @param {PanelProps} props */
function renderPrompt(props) {
  const { index, data, source, route } = props;
  const answer = props.ask('components', () => source.details.components(index, data.prompt.prompt_id));
  return [
    h('h2', {}, 'All heads of this prompt'),
    h('p', { class: 'quiet' }, 'Shares without any threshold: at the last target, and averaged over positions; the threshold up to which the head is on a route.'),
    ...answered(answer, 'The heads of this prompt', (found) => {
      const rows = headsOfPrompt(found);
      const { chosen, note } = chosenOf(props, rows, null);
      if (!chosen) return [h('p', { class: 'quiet' }, 'No head is stored for this prompt.')];
      return [...note, ...headTable(props, rows, ['target', 'mean', 'up to'], chosen, 'prompt'), headDetail(props, chosen, route.target)];
    }, 12),
  ];
}

/** @type {Tab} */
export const headsTab = {
  id: 'heads',
  label: () => 'Heads',
  render(props) {
    const kind = kindOf(props.selection);
    if (kind === null) return renderPrompt(props);
    return kind === 'attn' ? renderEdge(props) : renderNode(props);
  },
};
