/** The panel's tabs: overview, node, edge. */

import { answerFrom, edgeName, modeName, nodeMeaning, nodeName, shareName } from './describe.js';
import { h } from './dom.js';
import { clip, exact, fraction, integer, quantity, showToken, threshold } from './format.js';
import { binOf } from './marks.js';
import { parseNode } from './routes.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./routes.js').RouteEdge} RouteEdge */
/** @typedef {import('./panel.js').Tab} Tab */

const LISTED = 12;

/** @param {string} token @param {boolean} [special] */
export function tokenMark(token, special = false) {
  const shown = showToken(token);
  return h('bdi', { class: `token${special ? ' special' : ''}`, title: shown.length > 24 ? clip(shown, 400) : null }, clip(shown, 24));
}

/** @param {string[]} tokens @param {number} pos */
const at = (tokens, pos) => [tokenMark(tokens[pos] ?? '?'), h('span', { class: 'pos' }, pos)];

/** A bar of a share or probability, its number beside it. @param {number} value @param {string} kind */
function bar(value, kind) {
  const inner = h('span', { class: `bar-fill ${kind} b${binOf(value)}` });
  inner.style.inlineSize = `${Math.max(0, Math.min(1, value)) * 100}%`;
  return h('span', { class: 'bar', 'aria-hidden': 'true' }, inner);
}

/** @param {[string, string | Node | null, string?][]} facts name, value, title */
function factList(facts) {
  const shown = facts.filter(([, value]) => value !== null);
  return h('dl', { class: 'facts' }, ...shown.map(([name, value, title]) => h('div', { title: title ?? null }, h('dt', {}, name), h('dd', {}, value))));
}

/** @param {string} title @param {string} [note] */
const heading = (title, note) => h('h3', {}, title, note ? h('small', {}, ` ${note}`) : null);

/**
 * A line that goes to an edge or node.
 * @param {RouteEdge} edge @param {string} go the key it selects @param {(Node | string)[]} words @param {PanelProps} props
 */
function edgeLine(edge, go, words, props) {
  const kind = edge.kind === 'mlp' ? 'mlp' : 'attn';
  return h(
    'li',
    {},
    h(
      'button',
      { type: 'button', class: 'line', 'data-go': go, title: `share ${exact(edge.shown)}`, onclick: () => props.onSelect(go) },
      h('span', { class: `swatch ${kind} b${binOf(edge.shown)}`, 'aria-hidden': 'true' }),
      h('span', { class: 'words' }, ...words),
      bar(edge.shown, kind),
      h('span', { class: 'num' }, fraction(edge.shown)),
    ),
  );
}

/** @param {string} title @param {RouteEdge[]} edges @param {PanelProps} props @param {(edge: RouteEdge) => (Node | string)[]} words */
function edgeList(title, edges, props, words) {
  if (!edges.length) return [];
  const sorted = [...edges].sort((a, b) => b.shown - a.shown);
  const more = sorted.length - LISTED;
  return [
    heading(title, `${edges.length}, share ${modeName(props.route.mode)}`),
    h('ul', { class: 'lines' }, ...sorted.slice(0, LISTED).map((edge) => edgeLine(edge, edge.key, words(edge), props))),
    more > 0 ? h('p', { class: 'quiet' }, `and ${more} smaller`) : '',
  ].filter((part) => part instanceof Node);
}

/** @param {number} rank @param {number | null} before */
function rankChange(rank, before) {
  if (before === null) return h('span', { class: 'change quiet', title: 'no node below' }, '');
  const change = before - rank;
  const title = `rank ${rank} here, ${integer(before)} one node earlier`;
  if (change === 0) return h('span', { class: 'change quiet', title }, '=');
  return h('span', { class: `change ${change > 0 ? 'up' : 'down'}`, title }, `${change > 0 ? '▲' : '▼'}${integer(Math.abs(change))}`);
}

/** @param {import('./data.js').LensRow} row */
function lensRow(row) {
  return h(
    'tr',
    { 'data-testid': 'lens-row' },
    h('td', { class: 'num quiet' }, row.rank),
    h('td', { class: 'token-cell', title: `token id ${row.token_id}` }, tokenMark(row.token ?? `#${row.token_id}`, row.special)),
    h('td', { class: 'bar-cell' }, bar(row.prob, 'prob')),
    h('td', { class: 'num', title: exact(row.prob) }, fraction(row.prob)),
    h('td', { class: 'num quiet', title: exact(row.logit) }, quantity(row.logit)),
    h('td', { class: 'num' }, rankChange(row.rank, row.prev_rank)),
  );
}

/** @param {PanelProps} props */
function lensTable({ lens, onRetry }) {
  if (lens instanceof Error) {
    return h('p', { class: 'inline-error', role: 'alert' }, 'The lens of this node could not be read. ', h('button', { type: 'button', class: 'link', onclick: onRetry }, 'Retry'), h('small', {}, lens.message));
  }
  if (lens === null) {
    return h('div', { class: 'skeleton-rows', 'aria-label': 'loading' }, ...Array.from({ length: 10 }, () => h('span', { class: 'skeleton' })));
  }
  if (!lens.length) return h('p', { class: 'quiet' }, 'No lens is stored for this node: it is on no stored route.');
  const head = (/** @type {string} */ name, /** @type {string} */ title, num = true) => h('th', { scope: 'col', class: num ? 'num' : null, title }, name);
  return h(
    'table',
    { class: 'lens' },
    h('thead', {}, h('tr', {}, head('#', 'rank'), head('token', 'token', false), h('th', { 'aria-hidden': 'true' }), head('prob.', 'probability'), head('logit', 'logit'), head('change', 'change of rank since one node earlier in the residual stream'))),
    h('tbody', {}, ...lens.map(lensRow)),
  );
}

/** @type {Tab} */
export const nodeTab = {
  id: 'node',
  label: 'Node',
  applies: ({ selection }) => selection !== null && /\.(mid|post)\./.test(selection),
  render(props) {
    const { data, route, index } = props;
    const key = /** @type {string} */ (props.selection);
    const node = parseNode(key);
    const tokens = data.prompt.tokens;
    const stored = data.nodes.get(key);
    const kept = route.kept.get(key);
    const edges = [...route.edges.values()];
    const facts = /** @type {[string, string | null, string?][]} */ ([
      ['answer rank', stored?.answer_rank ? integer(stored.answer_rank) : null, 'rank of this column’s answer in the lens'],
      ['foil rank', stored?.foil_rank ? integer(stored.foil_rank) : null, 'rank of this column’s foil in the lens'],
      ['norm', stored ? quantity(stored.norm) : null, stored ? exact(stored.norm) : ''],
      ['entropy', stored ? `${quantity(stored.entropy)} nats` : null, stored ? `entropy of the lens: ${exact(stored.entropy)} nats` : ''],
      ['bias share', stored && node.layer >= 0 ? fraction(stored.bias_share) : null, 'share that the bias would take as a part; it is none'],
      ['on the route', kept === undefined ? null : fraction(Math.min(1, kept)), `share of this node that is on the route: ${exact(kept)}`],
      ['not stored', stored && node.layer >= 0 ? fraction(Math.max(0, 1 - stored.stored_share)) : null, `share of parts under the floor ${threshold(index.floor)}`],
    ]);
    return [
      h('h2', {}, nodeName(node), ' ', h('span', { class: 'at' }, 'at '), ...at(tokens, node.pos)),
      h('p', { class: 'quiet' }, nodeMeaning(node, index.parallel), route.nodes.has(key) ? '' : ' · not on this route'),
      factList(facts),
      heading('Reads as', 'lens: final norm, then unembedding'),
      lensTable(props),
      ...edgeList('Comes from', edges.filter((edge) => edge.to === key), props, (edge) => [edgeName(edge), edge.kind === 'attn' ? ' from ' : '', ...(edge.kind === 'attn' ? at(tokens, edge.src) : [])]),
      ...edgeList('Goes to', edges.filter((edge) => edge.from === key), props, (edge) => [edgeName(edge), edge.kind === 'attn' ? ' to ' : '', ...(edge.kind === 'attn' ? at(tokens, edge.dst) : [])]),
    ];
  },
};

/** @param {PanelProps} props @param {import('./routes.js').Part} part */
function headTable(props, part) {
  if (!part.heads.length) return h('p', { class: 'quiet' }, `No head of this edge has a share above the floor ${threshold(props.index.floor)}.`);
  const { tau } = props.route;
  const rows = part.heads.map((head) =>
    h(
      'tr',
      { class: head.share > tau ? null : 'under', 'data-testid': 'head-row' },
      h('th', { scope: 'row' }, `L${part.layer}H${head.head}`),
      h('td', { class: 'bar-cell' }, bar(head.share, 'attn')),
      h('td', { class: 'num', title: exact(head.share) }, fraction(head.share)),
      h('td', { class: 'num quiet', title: exact(head.attention) }, fraction(head.attention)),
    ),
  );
  return h(
    'table',
    { class: 'heads' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'head'), h('th', { 'aria-hidden': 'true' }), h('th', { scope: 'col', class: 'num' }, 'share'), h('th', { scope: 'col', class: 'num' }, 'attention'))),
    h('tbody', {}, ...rows),
  );
}

/** @type {Tab} */
export const edgeTab = {
  id: 'edge',
  label: 'Edge',
  applies: ({ selection }) => selection !== null && !/\.(mid|post)\./.test(selection),
  render(props) {
    const { data, route, graph, index } = props;
    const part = graph.parts.find((one) => one.key === props.selection);
    if (!part) return [h('h2', {}, 'Not stored'), h('p', {}, `The edge ${props.selection} has no share above the floor ${threshold(index.floor)}, or the node it enters is on no stored route.`)];
    const edge = route.edges.get(part.key);
    const tokens = data.prompt.tokens;
    const listed = part.heads.reduce((sum, head) => sum + head.share, 0);
    const ends = part.src === part.dst ? ['at ', ...at(tokens, part.dst)] : [...at(tokens, part.src), ' → ', ...at(tokens, part.dst)];
    const go = (/** @type {string} */ key) => {
      const node = parseNode(key);
      return h('button', { type: 'button', class: 'link', 'data-go': key, onclick: () => props.onSelect(key) }, nodeName(node), ' ', ...at(tokens, node.pos));
    };
    return [
      h('h2', {}, edgeName(part)),
      h('p', { class: 'ends-line' }, ...ends),
      h('p', { class: 'quiet' }, 'from ', go(part.from), ' into ', go(part.to), edge ? '' : ' · not on this route'),
      factList([
        [shareName(part.kind, route.mode), edge ? fraction(edge.shown) : '–', edge ? exact(edge.shown) : ''],
        ['sum of all heads', part.kind === 'attn' && edge?.shown !== part.share ? fraction(part.share) : null, exact(part.share)],
        ['on the route up to', edge ? fraction(edge.bottleneck) : null, edge ? `the edge leaves the route at tau = ${exact(edge.bottleneck)}` : ''],
      ]),
      ...(part.kind === 'attn'
        ? [
            heading('Heads', 'share of the node after attention; attention weight'),
            headTable(props, part),
            h('p', { class: 'quiet' }, part.share - listed > 5e-4 ? `Heads under the floor add up to ${fraction(part.share - listed)}.` : ''),
          ]
        : []),
    ];
  },
};

/** @param {string} name @param {string | null} token @param {number | null} prob @param {number | null} rank */
function outcomeRow(name, token, prob, rank) {
  return h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, tokenMark(token ?? '?')), h('td', { class: 'num', title: exact(prob) }, fraction(prob)), h('td', { class: 'num' }, rank === null ? '–' : integer(rank)));
}

/** @type {Tab} */
export const overviewTab = {
  id: 'overview',
  label: 'Overview',
  applies: ({ selection }) => selection === null,
  render(props) {
    const { route, data, target } = props;
    const tokens = data.prompt.tokens;
    const between = [...route.edges.values()].filter((edge) => edge.kind === 'attn' && edge.src !== edge.dst);
    const hint = between.length
      ? 'Click a node to read what the model thinks there, or an edge to see its heads. Lower the threshold for more of the route.'
      : 'Nothing comes from other tokens at this threshold. Lower it with the slider, or press −.';
    return [
      h('h2', {}, 'Prediction after ', ...at(tokens, route.target)),
      target
        ? h(
            'table',
            { class: 'outcomes' },
            h('thead', {}, h('tr', {}, h('td', {}), h('th', { scope: 'col' }, 'token'), h('th', { scope: 'col', class: 'num' }, 'prob.'), h('th', { scope: 'col', class: 'num' }, 'rank'))),
            h(
              'tbody',
              {},
              outcomeRow('prediction', target.predicted, target.predicted_prob, 1),
              outcomeRow('answer', target.answer, target.answer_prob, target.answer_rank),
              target.foil_id === null ? null : outcomeRow('foil', target.foil, target.foil_prob, target.foil_rank),
            ),
          )
        : h('p', {}, 'This target was not stored.'),
      target ? h('p', { class: 'quiet' }, answerFrom(target.answer_from)) : h('span'),
      h('p', { class: 'hint' }, hint),
      ...edgeList('Strongest attention between tokens', between, props, (edge) => [`L${edge.layer} `, ...at(tokens, edge.src), ' → ', ...at(tokens, edge.dst)]),
    ];
  },
};
