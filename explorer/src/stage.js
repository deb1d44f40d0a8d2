/** The graph with what stands under it: threshold, mode, kinds of edges, view, the route's total, its downloads. */

import { edgeEnds, edgeName, KIND_WORDS, modeName, nodeName, tokenAt } from './describe.js';
import { attr, fill, h, text } from './dom.js';
import { figureTools } from './figure.js';
import { fraction, plural } from './format.js';
import { createGraph, hiderOf } from './graph.js';
import { headsInto, neuronsInto } from './expand.js';
import { nodeToOpen, unopened, whyNot } from './opening.js';
import { laterFigureSql } from './prompt-sql.js';
import { MODES, parseNode, summary } from './routes.js';
import { createSlider } from './slider.js';
import { createStageKeys } from './stage-keys.js';
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
 * @param {{ go: (change: Change, replace?: boolean) => void, onSelect: (sel: string | null, replace?: boolean) => void,
 *   onOpen: (key: string) => void, onPart: (part: { kind: 'head' | 'neuron', name: string, node: string }) => void }} options
 */
export function createStage({ go, onSelect, onOpen, onPart }) {
  const graph = createGraph({ onSelect, onOpen: open, onPart, onZoom: (zoom) => go({ zoom }, true) });
  const slider = createSlider({ onTau: (tau) => go({ tau }, true) });
  const mode = h('select', { 'aria-label': 'Mode', 'data-testid': 'mode-select', title: 'How shares are compared with the threshold  m' }, ...MODES.map((name) => h('option', { value: name }, modeName(name))));
  const faint = h('input', { type: 'checkbox', 'data-testid': 'faint' });
  const count = h('p', { class: 'route-count', 'data-testid': 'route-count', 'aria-live': 'polite' });
  const tools = createStageTools({
    scale: graph.scale,
    fit: graph.fit,
    stage: () => el.closest('.split'),
    onOpen: openSelected,
    onToggle: (kind) => now && go({ hide: toggled(now.hide, kind, HIDEABLE) }, true),
  });
  const note = h('p', { class: 'stage-note', role: 'status', 'data-testid': 'stage-note' });
  // On a phone the panel stands under the fold.
  const below = h('button', { type: 'button', class: 'button below', 'data-testid': 'below', hidden: true, onclick: () => el.closest('.split')?.querySelector('.panel')?.scrollIntoView({ block: 'start', behavior: 'smooth' }) });
  const keys = createStageKeys({ graph, props: () => now, go, onSelect, onOpen: openSelected, toggleFull: tools.toggleFull, say });
  const name = () => (now ? `route-${now.index.id}-prompt-${now.data.prompt.prompt_id}-position-${now.route.target}` : 'route');
  const title = () => (now ? `Information flow route of prompt ${now.data.prompt.prompt_id} in ${now.index.title}, position ${now.route.target}, threshold ${now.tau}, ${modeName(now.mode)}` : '');
  const sql = laterFigureSql('route', () => now && [now, { tau: now.tau }]);
  const downloads = figureTools({ name, title, sql, svg: graph.figure, table: () => numbersOf(/** @type {StageProps} */ (now)) });
  attr(downloads, 'aria-label', 'Download the graph');
  tools.toggles.append(h('label', { class: 'check', title: 'Draw stored edges that are not on the route  f' }, faint, 'off-route'));
  const el = h(
    'section',
    { class: 'stage', 'aria-label': 'Route' },
    h('div', { class: 'picture' }, graph.el, note, below),
    h('div', { class: 'controls' }, slider.el, h('label', { class: 'mode' }, h('span', {}, 'shares'), mode), tools.toggles, tools.zoom, count, downloads),
  );
  /** @type {StageProps | null} */
  let now = null;
  let said = '';

  mode.addEventListener('change', () => go({ mode: /** @type {any} */ (mode.value) }));
  faint.addEventListener('change', () => go({ faint: faint.checked }, true));

  /** Stands over the graph until the next step. @param {string} words */
  function say(words) {
    said = words;
    text(note, words);
  }

  /** Opens a node into its heads or neurons, or closes it, or says why there is nothing to open. @param {string} key */
  function open(key) {
    if (!now) return;
    const why = now.open.split(',').includes(key) ? '' : whyNot(key, now);
    if (why) return say(why);
    onOpen(key);
  }

  /** What is selected; where nothing is, everything that is open closes. */
  function openSelected() {
    if (!now) return;
    const key = nodeToOpen(now);
    if (key !== null) open(key);
    else if (now.open) go({ open: '' });
    else say('Select a node first: by a click, or by the arrow keys. It opens into its heads or its neurons.');
  }

  /** @param {StageProps} props */
  function update(props) {
    const stays = now !== null && ['selection', 'open', 'route', 'data'].every((name) => /** @type {any} */ (props)[name] === /** @type {any} */ (now)[name]);
    now = props;
    const { open } = props;
    graph.update(props);
    const missing = unopened(props);
    if (missing) text(note, missing);
    else if (!stays || !said) say('');
    slider.update({ tau: props.tau, floor: props.index.floor, shares: props.shares });
    mode.value = props.mode;
    faint.checked = props.faint;
    const key = nodeToOpen(props);
    below.hidden = props.selection === null;
    text(below, props.selection === null ? '' : `${selectionName(props)} ↓`);
    tools.update({ hide: props.hide, isOpen: key === null ? open !== '' : open.split(',').includes(key), some: key !== null });
    drawCount(props);
  }

  /** @param {StageProps} props */
  function drawCount({ route, data, hide, faint }) {
    const total = summary(route, data.nodes);
    fill(
      count,
      h('b', {}, plural(total.nodes, 'node')),
      ', ',
      h('b', {}, plural(total.edges, 'edge')),
      h('span', { class: 'quiet', title: SUMMARY }, ` · on the route ${fraction(total.kept)}, under threshold ${fraction(total.under)}, not stored ${fraction(total.unstored)}`),
      h('span', { class: 'hiding', 'data-testid': 'hiding' }, hiding({ route, hide, faint, ...graph.background() })),
    );
  }

  return { el, update, onKey: keys.onKey, nudge: slider.nudge };
}

/** @param {StageProps} props */
function selectionName({ selection, graph, data }) {
  const part = graph.parts.find((one) => one.key === selection);
  if (part) return `${edgeName(part)} ${edgeEnds(part, data.prompt.tokens)}`;
  const node = parseNode(selection ?? '');
  return `${nodeName(node)} at ${tokenAt(data.prompt.tokens, node.pos)}`;
}

/**
 * What the graph does not draw, in words: kinds that a reader hid, and stored edges that would only merge into bands.
 * @param {{ route: import('./routes.js').Route, hide: string, faint: boolean, drawn: number, of: number }} about
 */
export function hiding({ route, hide, faint, drawn, of }) {
  const hidden = hiderOf(hide);
  const n = [...route.edges.values()].filter(hidden).length;
  const kinds = hide.split(',').filter(Boolean).map((kind) => KIND_WORDS[kind]);
  const words = [
    kinds.length ? `${plural(n, 'edge')} of the route hidden: ${kinds.join(', ')}` : '',
    !faint ? 'off-route edges hidden' : drawn < of ? `faint: the strongest ${drawn.toLocaleString('en')} of ${plural(of, 'stored edge')}` : '',
  ];
  return words.filter(Boolean).map((one) => ` · ${one}`).join('');
}
