/** The panel's MLP: its neurons by share or by how much they write, what one of them promotes here, and where else it is stored. */

import { corpusLink, withoutLink } from './corpus-link.js';
import { inContext } from './details.js';
import { h } from './dom.js';
import { exact, fraction, quantity } from './format.js';
import { nameWords, noteOf } from './name-label.js';
import { neuronRank, noStrength, rankChooser, STRENGTH } from './neuron-rank.js';
import { edgeHeader } from './panel-heads.js';
import { BLOCK_LEVEL, isBlockLevel } from './places.js';
import { answered, at, bar, factList, heading, namedTokens, writesTable } from './panel-parts.js';
import { figureSql } from './prompt-sql.js';
import { sortable, tableTools } from './table.js';
import { kindOf, neuronName, parseNeuron } from './tabs.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./panel.js').Tab} Tab */
/** @typedef {import('./details.js').PlacedNeuron} PlacedNeuron */

/** @param {number} layer @param {number} pos */
const mlpKey = (layer, pos) => `${layer}.mlp.${pos}`;

/** A bar as long as a part of the largest. @param {number} value @param {number} largest */
function strengthBar(value, largest) {
  const inner = h('span', { class: 'bar-fill mlp b5' });
  inner.style.inlineSize = `${(100 * value) / largest}%`;
  return h('span', { class: 'bar', 'aria-hidden': 'true' }, inner);
}

/** The question that a table of neurons answers. @param {PanelProps} props @param {PlacedNeuron[]} rows @param {boolean} placed @param {boolean} strong */
function neuronsSql(props, rows, placed, strong) {
  const { layer, pos } = props.focus;
  if (strong) return figureSql(props, 'dominant', { pos: placed ? props.route.target : pos, layer: placed ? -1 : layer, limit: rows.length });
  return placed ? figureSql(props, 'neuronsTop', { limit: rows.length }) : figureSql(props, 'neurons', { layer, pos });
}

/** @param {PanelProps} props @param {PlacedNeuron[]} rows @param {PlacedNeuron | null} chosen @param {boolean} placed whether they are of the whole prompt */
function neuronTable(props, rows, chosen, placed) {
  const strong = neuronRank(props) === 'strength';
  const differ = placed && !strong; // those that write most are of the target alone
  const largest = Math.max(1e-30, ...rows.map((row) => row.strength ?? 0));
  const tokens = props.data.prompt.tokens;
  const body = rows.map((row) => {
    const name = neuronName(row);
    const on = row === chosen;
    const choose = () => props.onGo(placed ? { sel: mlpKey(row.layer, row.pos), neuron: name, tab: null } : { neuron: name, tab: kindOf(props.selection) === 'mlp' ? null : 'mlp' });
    return h(
      'tr',
      { class: `pickable${on ? ' on' : ''}`, 'data-testid': 'neuron-row', onclick: choose },
      h('th', { scope: 'row', 'data-value': name }, h('button', { type: 'button', class: 'pick', 'aria-pressed': on ? 'true' : 'false', 'data-go': `neuron ${name} ${row.pos}` }, ...nameWords(props.index, name))),
      differ ? h('td', { class: 'token-cell', 'data-value': row.pos }, ...at(tokens, row.pos)) : null,
      h('td', { class: 'bar-cell' }, strong ? strengthBar(row.strength ?? 0, largest) : bar(row.share, 'mlp')),
      strong ? h('td', { class: 'num', title: exact(row.strength ?? 0), 'data-value': row.strength }, quantity(row.strength ?? 0)) : null,
      h('td', { class: `num${strong ? ' quiet' : ''}`, title: exact(row.share), 'data-value': row.share }, fraction(row.share)),
      h('td', { class: 'num quiet', title: exact(row.activation), 'data-value': row.activation }, quantity(row.activation)),
    );
  });
  const head = (/** @type {string} */ name, num = true) => h('th', { scope: 'col', class: num ? 'num' : null }, name);
  const table = h('table', { class: 'neurons' }, h('thead', {}, h('tr', {}, head('neuron', false), differ ? head('at', false) : null, h('th', { 'aria-hidden': 'true' }), strong ? head('|act| × norm') : null, head('share'), head('activation'))), h('tbody', {}, ...body));
  const id = `${strong ? 'dominant' : 'neurons'}${placed ? '-prompt' : ''}`;
  return [h('div', { class: 'short' }, sortable(table, { id, sorting: props.sorting })), tableTools(table, { name: strong ? 'dominant-neurons' : 'neurons', sql: neuronsSql(props, rows, placed, strong) })];
}

/** Where in the prompt a neuron is stored. @param {PanelProps} props @param {PlacedNeuron} of @param {import('./details.js').NeuronPlace[]} places */
function placesTable(props, of, places) {
  const tokens = props.data.prompt.tokens;
  const largest = Math.max(1e-9, ...places.map((place) => Math.abs(place.activation)));
  const body = places.map((place) => {
    const here = place.pos === of.pos;
    const go = () => props.onGo({ sel: mlpKey(of.layer, place.pos), neuron: neuronName(of), tab: null });
    const inner = h('span', { class: `bar-fill ${place.activation < 0 ? 'minus' : 'plus'}` });
    inner.style.inlineSize = `${(100 * Math.abs(place.activation)) / largest}%`;
    return h(
      'tr',
      { class: `pickable${here ? ' on' : ''}`, 'data-testid': 'neuron-place', onclick: go },
      h('th', { scope: 'row', 'data-value': place.pos }, h('button', { type: 'button', class: 'pick', 'aria-pressed': here ? 'true' : 'false', 'data-go': `place ${place.pos}` }, ...at(tokens, place.pos))),
      h('td', { class: 'bar-cell' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, inner)),
      h('td', { class: 'num', title: exact(place.activation), 'data-value': place.activation }, quantity(place.activation)),
      h('td', { class: 'num quiet', title: exact(place.share), 'data-value': place.share }, fraction(place.share)),
    );
  });
  const head = (/** @type {string} */ name, num = true) => h('th', { scope: 'col', class: num ? 'num' : null }, name);
  const table = h('table', { class: 'neurons' }, h('thead', {}, h('tr', {}, head('token', false), h('th', { 'aria-hidden': 'true' }), head('activation'), head('share'))), h('tbody', {}, ...body));
  return h('div', { class: 'short' }, sortable(table, { id: 'neuron-places', sorting: props.sorting }));
}

/** What is asked about one neuron. @param {PanelProps} props @param {import('./details.js').Neuron} of */
function askNeuron({ ask, source, index, data }, { layer, expert, neuron }) {
  const id = { layer, expert, neuron };
  const name = neuronName(id);
  return {
    scores: ask(`neuron tokens ${name}`, () => source.details.neuronTokens(index, id)),
    places: ask(`neuron places ${name}`, () => source.details.neuronPlaces(index, data.prompt.prompt_id, id)),
  };
}

/** @param {PanelProps} props @param {PlacedNeuron} of */
function neuronDetail(props, of) {
  const { data, index } = props;
  const name = neuronName(of);
  const { scores, places } = askNeuron(props, of);
  const turned = of.write_scale < 0;
  const el = h('section', { class: 'chosen', 'aria-label': `Neuron ${name}`, 'data-testid': 'neuron-detail' });
  el.append(
    h('h2', {}, ...nameWords(index, name), ' ', h('span', { class: 'at' }, 'at '), ...at(data.prompt.tokens, of.pos)),
    ...noteOf(index, name),
    corpusLink(props, { component: 'neuron', layer: of.layer, expert: of.expert, index: of.neuron }),
    factList([
      ['|act| × norm', of.strength === undefined ? null : quantity(of.strength), exact(of.strength ?? 0)],
      ['share', fraction(of.share), exact(of.share)],
      ['activation', quantity(of.activation), exact(of.activation)],
      ['write scale', quantity(of.write_scale), `takes its static token scores to the logits it adds here: ${exact(of.write_scale)}`],
    ]),
    heading('Writes here', 'logits it adds, before bias'),
    turned ? h('p', { class: 'quiet' }, 'Its scale is negative here, so what it promotes when positive is suppressed, and the other way round.') : h('span'),
    ...answered(scores, `The tokens of ${name}`, (found) =>
      found.up.length || found.down.length ? [writesTable(inContext(found, of.write_scale), namedTokens(props))] : [h('p', { class: 'quiet' }, 'No tokens are stored for this neuron.')],
    ),
    heading('In this prompt', 'where it is among the stored neurons'),
    ...answered(places, `The places of ${name}`, (found) => [found.length ? placesTable(props, of, found) : h('p', { class: 'quiet' }, 'Nowhere: those are the largest shares of MLPs on routes.')], 2),
  );
  return el;
}

/**
 * What the stored neurons come to, and why it is not the MLP's share.
 * @param {PanelProps} props @param {PlacedNeuron[]} rows @param {number | undefined} whole the MLP's share as one part
 */
function sumLine({ index }, rows, whole) {
  const sum = rows.reduce((total, row) => total + row.share, 0);
  const most = index.manifest?.config?.neurons?.top_k;
  const few = typeof most === 'number' && rows.length < most;
  const words = [
    `${few ? `All ${rows.length}` : `The ${rows.length} largest`} add up to ${fraction(sum)} of this node; the other ${fraction(Math.max(0, 1 - sum))} is ${few ? '' : 'neurons that are not stored, and '}what the residual brings.`,
    whole === undefined ? '' : ` They do not add up to the MLP’s ${fraction(whole)}: there the MLP is one part, here every neuron is a part of its own.`,
  ];
  return h('p', { class: 'quiet', 'data-testid': 'neuron-sum', title: `sum of the stored neurons: ${exact(sum)}` }, ...words);
}

/** The neuron that the state names, else the first; what is named and not stored here is said. @param {PanelProps} props @param {PlacedNeuron[]} rows */
function chosenOf({ state, focus: { layer } }, rows) {
  const named = state.neuron === null ? undefined : parseNeuron(state.neuron);
  if (!named) return { chosen: rows[0], note: null };
  const chosen = rows.find((row) => row.neuron === named.neuron && row.expert === named.expert && layer === named.layer);
  if (chosen) return { chosen, note: null };
  const why = named.layer === layer ? `${state.neuron} is not among the ${rows.length} neurons that are listed here, or the model has none of that name.` : `${state.neuron} is no neuron of layer ${layer}.`;
  return { chosen: rows[0], note: h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, `${why} ${neuronName(rows[0])} is shown instead.`) };
}

/** @param {PanelProps} props */
function renderBlock(props) {
  const { focus, index, data, source, graph } = props;
  if (focus.layer < 0) return [h('h2', {}, 'MLP'), h('p', {}, 'The embedding comes before the first block: no MLP writes into it.')];
  const { layer, pos } = focus;
  const id = data.prompt.prompt_id;
  const part = graph.parts.find((one) => one.key === mlpKey(layer, pos));
  const writer = { layer, component: /** @type {const} */ ('mlp'), index: 0, pos };
  const writes = props.ask(`writes ${JSON.stringify(writer)}`, () => source.details.writes(index, id, writer));
  const by = neuronRank(props);
  const neurons = props.ask(`neurons ${by} ${layer} ${pos}`, async () => {
    const found = await (by === 'share' ? source.details.neurons(index, id, { layer, pos }) : source.details.dominant(index, id, { layer, pos }));
    const rows = found.map((row) => ({ ...row, layer, pos }));
    if (rows.length) askNeuron(props, chosenOf(props, rows).chosen); // at once, not a drawing later
    return rows;
  });
  return [
    ...(part && kindOf(props.selection) === 'mlp' ? edgeHeader(props, part) : [h('h2', {}, ...nameWords(index, `L${layer} MLP`), ' ', h('span', { class: 'at' }, 'at '), ...at(data.prompt.tokens, pos))]),
    h('p', { class: 'corpus-link' }, ...withoutLink(props.without, `L${layer} MLP`).slice(1)),
    heading('The MLP writes', 'logits it adds, before bias'),
    ...answered(writes, `What L${layer} MLP writes`, (found) =>
      found.up.length || found.down.length ? [writesTable(found, namedTokens(props))] : [h('p', { class: 'quiet' }, 'Not stored: this MLP lies on no stored route.')],
    ),
    heading('Neurons', `${neurons.value?.length ? `the top ${neurons.value.length}: ` : ''}${by === 'share' ? '' : '|activation| × norm; '}share of the node after the MLP; activation`),
    ...rankChooser(props),
    ...answered(neurons, `The neurons of L${layer} MLP`, (rows) => {
      if (isBlockLevel(index, layer)) return [h('p', { class: 'quiet', 'data-testid': 'block-level' }, BLOCK_LEVEL)];
      if (!rows.length) return [h('p', { class: 'quiet', 'data-testid': 'no-neurons' }, by === 'share' ? 'No neurons are stored here: this MLP lies on no stored route.' : (noStrength(props, pos) ?? 'No neuron writes anything here.'))];
      const { chosen, note } = chosenOf(props, rows);
      const about = by === 'share' ? sumLine(props, rows, part?.share) : h('p', { class: 'quiet', 'data-testid': 'strength-words' }, STRENGTH);
      return [note, ...neuronTable(props, rows, chosen, false), about, neuronDetail(props, chosen)];
    }, 10),
  ];
}

/** @param {PanelProps} props @param {import('./details.js').ComponentRow[]} rows */
function mlpList(props, rows) {
  const pos = props.route.target;
  const lines = rows
    .filter((row) => row.component === 'mlp')
    .sort((a, b) => b.layer - a.layer)
    .map((row) =>
      h(
        'li',
        {},
        h(
          'button',
          { type: 'button', class: 'line', 'data-go': mlpKey(row.layer, pos), title: `share at the last target ${exact(row.target_share)}; mean over positions ${exact(row.mean_share)}`, onclick: () => props.onSelect(mlpKey(row.layer, pos)) },
          h('span', { class: 'swatch mlp b7', 'aria-hidden': 'true' }),
          h('span', { class: 'words' }, ...nameWords(props.index, `L${row.layer} MLP`)),
          bar(row.mean_share, 'mlp'),
          h('span', { class: 'num' }, fraction(row.mean_share)),
        ),
      ),
    );
  return h('ul', { class: 'lines' }, ...lines);
}

/** @param {PanelProps} props */
function renderPrompt(props) {
  const { index, data, source, route } = props;
  const id = data.prompt.prompt_id;
  const components = props.ask('components', () => source.details.components(index, id));
  const by = neuronRank(props);
  const neurons = props.ask(`top neurons ${by} ${by === 'share' ? '' : route.target}`, () => (by === 'share' ? source.details.topNeurons(index, id) : source.details.dominant(index, id, { pos: route.target })));
  return [
    h('h2', {}, 'All MLPs of this prompt'),
    heading('MLPs', 'mean share over positions; opens at the target'),
    ...answered(components, 'The MLPs of this prompt', (rows) => [mlpList(props, rows)], 4),
    by === 'share' ? heading('Neurons with the largest shares', 'at any token') : heading('Neurons that write most', 'at the target'),
    ...rankChooser(props),
    ...answered(neurons, 'The neurons of this prompt', (rows) => {
      if (rows.length) return [...neuronTable(props, rows, null, true), by === 'share' ? '' : h('p', { class: 'quiet' }, STRENGTH)];
      const whole = Array.from({ length: index.n_layers }, (_, layer) => layer).some((layer) => isBlockLevel(index, layer));
      return [h('p', { class: 'quiet', 'data-testid': whole ? 'block-level' : null }, whole ? BLOCK_LEVEL : 'No neurons are stored for this prompt.')];
    }, 12),
  ];
}

/** @type {Tab} */
export const mlpTab = {
  id: 'mlp',
  label: () => 'MLP',
  render: (props) => (kindOf(props.selection) === null ? renderPrompt(props) : renderBlock(props)),
};
