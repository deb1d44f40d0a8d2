/** The graph with what stands under it: threshold, mode, kinds of edges, view, the route's total, its downloads. */

import { edgeName, modeName } from './describe.js';
import { attr, fill, h } from './dom.js';
import { figureTools } from './figure.js';
import { fraction, plural } from './format.js';
import { createGraph, hiderOf } from './graph.js';
import { headsInto, neuronsInto } from './expand.js';
import { MODES, summary } from './routes.js';
import { createSlider } from './slider.js';
import { createStageTools } from './stage-tools.js';
import { HIDEABLE, toggled } from './state.js';

/**
 * @typedef {import('./graph.js').GraphProps & { tau: number, shares: number[], mode: import('./routes.js').Mode }} StageProps
 * @typedef {Partial<import('./state.js').PromptState>} Change
 */

const SUMMARY = 'Mean over the nodes of the route: share of each node that comes through the route, share of stored parts under the threshold, share of parts under the floor';

/**
 * What the graph shows, a row an edge; an opened node's heads and neurons have rows of their own.
 * @param {StageProps} props @returns {import('./figure.js').Numbers}
 */
export function numbersOf({ route, data, hide, open, expansion }) {
  const tokens = data.prompt.tokens;
  const hidden = hiderOf(hide);
  const columns = ['layer', 'part', 'component', 'from_pos', 'from_token', 'to_pos', 'to_token', 'share', 'share_all_heads', 'on_route_below_tau', 'promotes'];
  const rows = [...route.edges.values()]
    .filter((edge) => !hidden(edge))
    .map((edge) => [edge.layer, edge.kind, edgeName(edge), edge.src, tokens[edge.src], edge.dst, tokens[edge.dst], edge.shown, edge.share, edge.bottleneck, null]);
  for (const key of open.split(',').filter((one) => route.nodes.has(one))) {
    const [layer, , pos] = key.split('.').map(Number);
    for (const chip of [...headsInto(route, key, expansion(key)), ...neuronsInto(route, key, expansion(key))]) {
      for (const { src, share } of chip.from) rows.push([layer, chip.kind, chip.name, src, tokens[src], pos, tokens[pos], share, null, null, chip.token]);
    }
  }
  return { columns, rows };
}

/**
 * @param {{ go: (change: Change, replace?: boolean) => void, onSelect: (sel: string | null) => void,
 *   onOpen: (key?: string) => void, onPart: (part: { kind: 'head' | 'neuron', name: string, node: string }) => void }} options
 *   `onOpen` without a key is about the selected node
 */
export function createStage({ go, onSelect, onOpen, onPart }) {
  const graph = createGraph({ onSelect, onOpen, onPart, onZoom: (zoom) => go({ zoom }, true) });
  const slider = createSlider({ onTau: (tau) => go({ tau }, true) });
  const mode = h('select', { 'aria-label': 'Mode', 'data-testid': 'mode-select', title: 'How shares are compared with the threshold  m' }, ...MODES.map((name) => h('option', { value: name }, modeName(name))));
  const faint = h('input', { type: 'checkbox', 'data-testid': 'faint' });
  const count = h('p', { class: 'route-count', 'data-testid': 'route-count', 'aria-live': 'polite' });
  const tools = createStageTools({
    scale: graph.scale,
    fit: graph.fit,
    stage: () => el.closest('.split'),
    onOpen: () => onOpen(),
    onToggle: (kind) => now && go({ hide: toggled(now.hide, kind, HIDEABLE) }, true),
  });
  const name = () => (now ? `route-${now.index.id}-prompt-${now.data.prompt.prompt_id}-position-${now.route.target}` : 'route');
  const title = () => (now ? `Information flow route of prompt ${now.data.prompt.prompt_id} in ${now.index.title}, position ${now.route.target}, threshold ${now.tau}, ${modeName(now.mode)}` : '');
  const downloads = figureTools({ name, title, svg: graph.figure, table: () => numbersOf(/** @type {StageProps} */ (now)) });
  attr(downloads, 'aria-label', 'Download the graph');
  tools.toggles.append(h('label', { class: 'check', title: 'Draw stored edges that are not on the route  f' }, faint, 'off-route'));
  const el = h(
    'section',
    { class: 'stage', 'aria-label': 'Route' },
    graph.el,
    h('div', { class: 'controls' }, slider.el, h('label', { class: 'mode' }, h('span', {}, 'shares'), mode), tools.toggles, tools.zoom, count, downloads),
  );
  /** @type {StageProps | null} */
  let now = null;

  mode.addEventListener('change', () => go({ mode: /** @type {any} */ (mode.value) }));
  faint.addEventListener('change', () => go({ faint: faint.checked }, true));

  /** @param {StageProps} props */
  function update(props) {
    now = props;
    const { selection, route, open } = props;
    graph.update(props);
    slider.update({ tau: props.tau, floor: props.index.floor, shares: props.shares });
    mode.value = props.mode;
    faint.checked = props.faint;
    const isOpen = selection !== null && open.split(',').includes(selection);
    tools.update({ hide: props.hide, isOpen, canOpen: isOpen || (selection !== null && canOpen(selection, route.nodes)) });
    drawCount(props);
  }

  /** @param {StageProps} props */
  function drawCount({ route, data }) {
    const total = summary(route, data.nodes);
    fill(
      count,
      h('b', {}, plural(total.nodes, 'node')),
      ', ',
      h('b', {}, plural(total.edges, 'edge')),
      h('span', { class: 'quiet', title: SUMMARY }, ` · on the route ${fraction(total.kept)}, under threshold ${fraction(total.under)}, not stored ${fraction(total.unstored)}`),
    );
  }

  return { el, update, focusNode: graph.focusNode, nudge: slider.nudge };
}

/** Only nodes of the route that something enters have heads or neurons. @param {string} key @param {Map<string, number>} nodes */
export const canOpen = (key, nodes) => /^\d+\.(mid|post)\./.test(key) && nodes.has(key);
