/** The comparison's graph with what stands around it: key of colours, threshold, mode, kinds of edges, view, downloads. */

import { edgeName, KIND_WORDS, modeName } from './describe.js';
import { fill, h } from './dom.js';
import { figureTools } from './figure.js';
import { plural } from './format.js';
import { createPairGraph } from './pair-graph.js';
import { laterFigureSql } from './prompt-sql.js';
import { MODES } from './routes.js';
import { createSlider } from './slider.js';
import { HIDEABLE, toggled } from './state.js';

/** @typedef {import('./pair.js').Change} Change */
/** @typedef {Partial<import('./state.js').PromptState>} Wanted */
/**
 * @typedef {{ here: import('./pair-view.js').Side, there: import('./pair-view.js').Side, all: Change[], changes: Change[],
 *   names: [string, string], selection: string | null, tau: number, shares: number[] }} PairStageProps `changes` are those of the kinds that are shown
 */

const MOST = 6; // times larger than the whole in the window

/** @param {string[]} names */
function legend(names) {
  const key = (/** @type {string} */ look, /** @type {string} */ words) => h('span', {}, h('span', { class: `key ${look}`, 'aria-hidden': 'true' }), words);
  return h(
    'p',
    { class: 'pair-legend', title: 'Difference of stored shares; steps at 0.01, 0.05 and 0.2' },
    h('span', {}, ...['d1', 'd2', 'd3'].map((step) => h('span', { class: `key here ${step}`, 'aria-hidden': 'true' })), `more in ${names[0]}`),
    h('span', {}, ...['d1', 'd2', 'd3'].map((step) => h('span', { class: `key there ${step}`, 'aria-hidden': 'true' })), `more in ${names[1]}`),
    key('same', 'within 0.01'),
    key('only', 'on one route only'),
  );
}

/** What the graph shows, a row an edge. @param {PairStageProps} props @returns {import('./figure.js').Numbers} */
function numbersOf({ here, there, changes, names }) {
  const [tokens, others] = [here.data.prompt.tokens, there.data.prompt.tokens];
  const number = (/** @type {import('./pair.js').Share} */ share) => (typeof share === 'number' ? share : null);
  return {
    columns: ['edge', 'layer', 'part', 'from_pos', 'from_token', 'from_token_other', 'to_pos', 'to_token', 'to_token_other', names[0], names[1], 'difference', 'exact', 'on_route'],
    rows: changes.map((change) => [edgeName(change), change.layer, change.kind, change.src, tokens[change.src], others[change.src], change.dst, tokens[change.dst], others[change.dst], number(change.here), number(change.there), change.difference, change.exact, change.only === null ? 'both' : change.only === 'here' ? names[0] : names[1]]),
  };
}

/** @param {{ onSelect: (key: string | null) => void, onGo: (change: Wanted, replace?: boolean) => void }} options */
export function createPairStage({ onSelect, onGo }) {
  const graph = createPairGraph({ onSelect });
  const slider = createSlider({ name: 'pair-tau', onTau: (tau) => onGo({ tau }, true) });
  const mode = h('select', { 'aria-label': 'Mode', 'data-testid': 'pair-mode', title: 'How shares are compared with the threshold  m', onchange: () => onGo({ mode: /** @type {any} */ (mode.value) }) }, ...MODES.map((name) => h('option', { value: name }, modeName(name))));
  const boxes = HIDEABLE.map((kind) => h('input', { type: 'checkbox', onchange: () => now && onGo({ hide: toggled(now.here.hide, kind, HIDEABLE) }, true) }));
  const kinds = h('fieldset', { class: 'kinds' }, h('legend', {}, 'edges'), ...HIDEABLE.map((kind, i) => h('label', { class: 'check' }, boxes[i], KIND_WORDS[kind])));
  const button = (/** @type {string} */ label, /** @type {string} */ sign, /** @type {() => void} */ run) => h('button', { type: 'button', class: 'icon', 'aria-label': label, title: label, onclick: run }, sign);
  const view = h('div', { class: 'zoom', role: 'group', 'aria-label': 'View of the graph' }, button('Smaller', '−', () => scale(1 / 1.4)), button('Larger', '+', () => scale(1.4)), button('The whole in the window', '⤢', () => scale(0)));
  const head = h('div', { class: 'pair-head' });
  const count = h('p', { class: 'route-count', 'aria-live': 'polite' });
  const tools = figureTools({
    name: () => (now ? `difference-${now.here.index.id}-${now.here.data.prompt.prompt_id}-${now.there.data.prompt.prompt_id}` : 'difference'),
    title: () => (now ? `Difference of the routes of ${now.names[0]} and ${now.names[1]}, threshold ${now.tau}, ${modeName(now.here.route.mode)}` : ''),
    svg: () => graph.figure(),
    table: () => numbersOf(/** @type {PairStageProps} */ (now)),
    sql: laterFigureSql('pair', () => now && [now.here, { other: now.there.data.prompt.prompt_id }]),
  });
  const controls = h('div', { class: 'controls' }, slider.el, h('label', { class: 'mode' }, h('span', {}, 'shares'), mode), kinds, view, count, tools);
  const el = h('section', { class: 'pair-stage', 'aria-label': 'Difference of the routes' }, head, graph.el, controls);
  let zoom = 1;
  /** @type {PairStageProps | null} */
  let now = null;
  let room = { width: 0, height: 0 };

  /** The threshold and mode, which two graphs below each other need too. @param {{ here: import('./pair-view.js').Side, tau: number, shares: number[], alone: boolean }} props */
  function control({ here, tau, shares, alone }) {
    kinds.hidden = view.hidden = count.hidden = tools.hidden = alone;
    slider.update({ tau, floor: here.index.floor, shares });
    mode.value = here.route.mode;
    return controls;
  }

  /** @param {number} by 0 for the whole */
  function scale(by) {
    zoom = by === 0 ? 1 : Math.min(MOST, Math.max(1, zoom * by));
    if (now) update(now);
  }

  new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = graph.el;
    if (now && width && (Math.abs(width - room.width) > 4 || Math.abs(height - room.height) > 4)) update(now);
  }).observe(graph.el);

  /** @param {PairStageProps} props */
  function update(props) {
    now = props;
    const { here, there, names, tau, shares, selection, all, changes } = props;
    room = { width: graph.el.clientWidth, height: graph.el.clientHeight };
    fill(head, legend(names));
    if (!el.contains(controls)) el.append(controls);
    control({ here, tau, shares, alone: false });
    HIDEABLE.forEach((kind, i) => (boxes[i].checked = !here.hide.split(',').includes(kind)));
    const only = (/** @type {'here' | 'there'} */ side) => all.filter((change) => change.only === side).length;
    fill(count, h('b', {}, plural(all.length, 'edge')), h('span', { class: 'quiet' }, ` on either route: ${only('here')} on the ${names[0]} route only, ${only('there')} on the ${names[1]} route only`));
    graph.update({
      changes,
      tokens: here.data.prompt.tokens,
      others: there.data.prompt.tokens,
      nodes: { here: new Set(here.route.nodes.keys()), there: new Set(there.route.nodes.keys()) },
      nLayers: here.index.n_layers,
      parallel: here.index.parallel,
      selection,
      names,
      floor: here.index.floor,
      index: here.index,
      room,
      zoom,
    });
  }

  return { el, update, control, scale, reveal: graph.reveal };
}
