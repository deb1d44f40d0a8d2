/**
 * The prediction as it is made (LM-Debugger's view): down one token's column, what the model reads at every node and
 * which heads and neurons stand between two of them. The last layer is on top, as on the graph.
 */

import { nodeName } from './describe.js';
import { h } from './dom.js';
import { exact, fraction, quantity } from './format.js';
import { rowsOf } from './layout.js';
import { nameWords } from './name-label.js';
import { neuronRank, noStrength, rankChooser } from './neuron-rank.js';
import { headsInto } from './panel-heads.js';
import { answered, at, tokenMark } from './panel-parts.js';
import { BLOCK_LEVEL, isBlockLevel } from './places.js';
import { nodeKey } from './routes.js';
import { headName, neuronName } from './tabs.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./details.js').Trace} Trace */
/** @typedef {import('./panel.js').Tab} Tab */

const HEADS = 3;

/** The column that is read: the selected token's, else the target's. @param {PanelProps} props */
const columnOf = ({ selection, focus, route }) => (selection === null ? route.target : focus.pos);

/** What that column explains, where it is a stored target. @param {PanelProps} props */
const targetOf = (props) => props.data.targets.find((one) => one.target === columnOf(props));

/** @param {PanelProps} props @param {import('./details.js').TraceToken} row */
function tokenChip(props, row) {
  const target = targetOf(props);
  const named = row.token_id === target?.answer_id ? 'answer' : row.token_id === target?.foil_id ? 'foil' : null;
  const mark = tokenMark(row.token ?? `#${row.token_id}`, row.special);
  return h(
    'span',
    { class: `trace-token${named ? ` ${named}` : ''}`, title: `rank ${row.rank}, probability ${exact(row.prob)}, logit ${exact(row.logit)}${named ? `: the ${named}` : ''}` },
    mark,
    named ? h('span', { class: 'sr' }, ` (${named})`) : null,
    h('span', { class: `num${row.rank === 1 ? '' : ' quiet'}` }, fraction(row.prob)),
  );
}

/** A head or neuron between two nodes. @param {PanelProps} props @param {string} name @param {{ share: number, strength?: number }} size @param {{ token: string | null, token_id: number | null, special: boolean } | undefined} top @param {string} kind @param {() => void} go */
function part({ index }, name, { share, strength }, top, kind, go) {
  return h(
    'button',
    { type: 'button', class: `trace-part ${kind}`, 'data-go': `trace ${name}`, title: `${strength === undefined ? '' : `|activation| × norm ${exact(strength)}, `}share ${exact(share)}${top ? '; the token it promotes most' : ''}`, onclick: go },
    h('b', {}, ...nameWords(index, name)),
    h('span', { class: 'num' }, strength === undefined ? fraction(share) : quantity(strength)),
    top && top.token_id !== null ? tokenMark(top.token ?? `#${top.token_id}`, top.special) : null,
  );
}

/** @param {PanelProps} props @param {Trace} trace @param {number} layer */
function headParts(props, trace, layer) {
  const pos = columnOf(props);
  const sel = nodeKey(layer, props.index.parallel ? 'post' : 'mid', pos);
  return headsInto(props, layer, pos)
    .slice(0, HEADS)
    .map(({ head, first }) => {
      const name = headName(layer, head);
      const top = trace.writes.find((row) => row.component === 'head' && row.layer === layer && row.index === head);
      return part(props, name, { share: first }, top, 'attn', () => props.onGo({ sel, tab: 'heads', head: name }));
    });
}

/** @param {PanelProps} props @param {Trace} trace @param {number} layer */
function neuronParts(props, trace, layer) {
  const pos = columnOf(props);
  return (trace.neurons ?? [])
    .filter((row) => row.layer === layer)
    .map((row) => part(props, neuronName(row), row, row, 'mlp', () => props.onGo({ sel: `${layer}.mlp.${pos}`, tab: null, neuron: neuronName(row) })));
}

/** @param {PanelProps} props @param {Trace} trace @param {number} layer */
function noNeurons(props, trace, layer) {
  if (isBlockLevel(props.index, layer)) return BLOCK_LEVEL;
  if (trace.neurons && neuronRank(props) === 'strength') return noStrength(props, columnOf(props)) ?? 'no neuron writes anything here';
  return trace.neurons ? 'no neurons stored: not on a stored route' : 'the neurons’ tokens come when the run is complete';
}

/** The block that writes into a node. @param {PanelProps} props @param {Trace} trace @param {number} layer @param {'attn' | 'mlp'} component */
function blockRow(props, trace, layer, component) {
  const pos = columnOf(props);
  const parts = component === 'attn' ? headParts(props, trace, layer) : neuronParts(props, trace, layer);
  const top = trace.writes.find((row) => row.component === component && row.layer === layer);
  const share = component === 'mlp' ? props.graph.parts.find((one) => one.key === `${layer}.mlp.${pos}`)?.share : undefined;
  const label = component === 'mlp' && share !== undefined ? `MLP ${fraction(share)}` : component === 'mlp' ? 'MLP' : 'attention';
  return h(
    'li',
    { class: `trace-block ${component}` },
    h('span', { class: 'trace-name' }, label),
    h('span', { class: 'trace-parts' }, ...(parts.length ? parts : [h('small', {}, component === 'mlp' ? noNeurons(props, trace, layer) : 'no heads stored: not on a stored route')]), top ? h('span', { class: 'quiet trace-adds', title: `${exact(top.score)} logits` }, 'adds ', tokenMark(top.token ?? `#${top.token_id}`, top.special)) : null),
  );
}

/** @param {PanelProps} props @param {Trace} trace @param {{ layer: number, point: 'mid' | 'post' }} node */
function nodeRow(props, trace, { layer, point }) {
  const key = nodeKey(layer, point, columnOf(props));
  const tokens = trace.tokens.filter((row) => row.layer === layer && row.point === point);
  const on = key === props.selection;
  const rank = props.data.nodes.get(key)?.answer_rank;
  const select = () => props.onGo({ sel: key, tab: 'trace' });
  return h(
    'li',
    { class: `trace-node${on ? ' on' : ''}`, 'data-testid': 'trace-row', 'data-node': key },
    h('button', { type: 'button', class: 'trace-name pick', 'aria-pressed': on ? 'true' : 'false', 'data-go': key, onclick: select }, layer < 0 ? 'embed' : nodeName({ layer, point })),
    h('span', { class: 'trace-tokens' }, ...(tokens.length ? tokens.map((row) => tokenChip(props, row)) : [h('span', { class: 'quiet' }, 'not stored')])),
    rank ? h('span', { class: 'trace-rank num', title: `rank of the answer here: ${rank}` }, `#${rank}`) : null,
  );
}

/** @param {PanelProps} props @param {Trace} trace */
function traceList(props, trace) {
  const { nLayers, parallel } = { nLayers: props.index.n_layers, parallel: props.index.parallel };
  const rows = rowsOf({ nLayers, parallel }).reverse();
  const items = rows.flatMap((row) => {
    if (row.layer < 0) return [nodeRow(props, trace, row)];
    const blocks = /** @type {('attn' | 'mlp')[]} */ (parallel ? ['mlp', 'attn'] : row.point === 'mid' ? ['attn'] : ['mlp']);
    return [nodeRow(props, trace, row), ...blocks.map((component) => blockRow(props, trace, row.layer, component))];
  });
  return h('ol', { class: 'trace' }, ...items);
}

/** @type {Tab} */
export const traceTab = {
  id: 'trace',
  label: () => 'Trace',
  render(props) {
    const { index, data, source, route } = props;
    const pos = columnOf(props);
    const target = targetOf(props);
    const by = neuronRank(props);
    const answer = props.ask(`trace ${by} ${pos}`, () => source.details.trace(index, data.prompt.prompt_id, pos, by));
    const toTarget = h('button', { type: 'button', class: 'link', 'data-go': 'trace target', onclick: () => props.onGo({ sel: null, tab: 'trace' }) }, 'Trace the target ', ...at(data.prompt.tokens, route.target));
    return [
      h('h2', {}, 'Trace ', h('span', { class: 'at' }, 'at '), ...at(data.prompt.tokens, pos)),
      ...(pos === route.target ? [] : [h('p', {}, toTarget)]),
      h('p', { class: 'quiet' }, 'What the model reads at each node, top tokens first, read upwards; between them the heads with the largest shares and the neurons, each with the token it promotes most. Neurons by:'),
      ...rankChooser(props),
      h('p', { class: 'trace-legend' }, target ? [h('span', { class: 'trace-token answer' }, tokenMark(target.answer ?? '?')), ' answer of this token, its rank at the right '] : 'No prediction is stored at this token, so no answer is marked.', target?.foil_id ? [h('span', { class: 'trace-token foil' }, tokenMark(target.foil ?? '?')), ' foil'] : []),
      ...answered(answer, 'The trace', (trace) => [traceList(props, trace)], 14),
    ];
  },
};
