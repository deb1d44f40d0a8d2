/** Two prompts of a pair: what each predicts, their tokens side by side, the difference of their routes. */

import { edgeEnds, edgeName } from './describe.js';
import { fill, h } from './dom.js';
import { figureTools } from './figure.js';
import { clip, exact, fraction, integer, showText, showToken, threshold } from './format.js';
import { createGraph } from './graph.js';
import { alignable, changesBetween, differingTokens } from './pair.js';
import { changeWords, createPairGraph, signed } from './pair-graph.js';
import { sortable, tableTools } from './table.js';

/** @typedef {import('./pair.js').Change} Change */
/** @typedef {import('./graph.js').GraphProps & { target: import('./data.js').Target | undefined }} Side */
/** @typedef {{ here: Side, there: Side | Error | null, note: string, selection: string | null, tau: number, mode: string }} PairProps */

const LISTED = 40;

/** @param {import('./data.js').Prompt} prompt */
const nameOf = (prompt) => clip(showText(prompt.role ?? `prompt ${prompt.prompt_id}`), 24);

/** @param {string | null | undefined} token */
const chip = (token) => h('bdi', { class: 'token' }, clip(showToken(token ?? '?'), 24));

/** @param {Side[]} sides @param {string[]} names */
function outcomes(sides, names) {
  const cell = (/** @type {string | null | undefined} */ token, /** @type {number | null | undefined} */ prob, /** @type {number | null} */ rank) =>
    h('td', {}, chip(token), ' ', h('span', { class: 'num', title: exact(prob) }, fraction(prob)), rank === null ? null : h('span', { class: 'quiet' }, ` rank ${integer(rank)}`));
  const none = () => h('td', { class: 'quiet' }, '–');
  return h(
    'table',
    { class: 'pair-outcomes', 'data-testid': 'pair-outcomes' },
    h('thead', {}, h('tr', {}, h('td', {}), ...['prediction', 'answer', 'foil'].map((word) => h('th', { scope: 'col' }, word)))),
    h('tbody', {}, ...sides.map(({ target }, i) => h(
      'tr',
      { class: i ? 'there' : 'here' },
      h('th', { scope: 'row' }, names[i]),
      target ? cell(target.predicted, target.predicted_prob, null) : none(),
      target ? cell(target.answer, target.answer_prob, target.answer_rank) : none(),
      target && target.foil_id !== null ? cell(target.foil, target.foil_prob, target.foil_rank) : none(),
    ))),
  );
}

/** Both prompts, each token above its fellow. @param {Side[]} sides @param {string[]} names @param {number[]} differ */
function tokenTable(sides, names, differ) {
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Tokens of both prompts' },
    h('table', { class: 'pair-tokens' }, h('tbody', {}, ...sides.map(({ data: { prompt } }, i) => h(
      'tr',
      { class: i ? 'there' : 'here' },
      h('th', { scope: 'row' }, names[i]),
      ...prompt.tokens.map((token, pos) => h('td', { class: differ.includes(pos) ? 'differs' : null, title: `${showToken(token)}, position ${pos}, token id ${prompt.token_ids[pos]}` }, chip(token))),
    )))),
  );
}

/** @param {string[]} names @param {number} tau */
function legend(names, tau) {
  const key = (/** @type {string} */ look, /** @type {string} */ words) => h('span', {}, h('span', { class: `key ${look}`, 'aria-hidden': 'true' }), words);
  return h('p', { class: 'pair-legend' }, key('here d1', ''), key('here d2', ''), key('here d3', `more in ${names[0]}`), key('there d1', ''), key('there d2', ''), key('there d3', `more in ${names[1]}`), key('same', 'within 0.01'), key('only', 'on one route only'), h('span', { class: 'quiet' }, `steps at 0.01, 0.05, 0.2 · threshold ${threshold(tau)}`));
}

/** @param {Change[]} changes @param {string[]} tokens @param {[string, string]} names @param {PairProps} props @param {(key: string) => void} onSelect */
function changeTable(changes, tokens, names, { selection }, onSelect) {
  const column = (/** @type {string} */ label) => h('th', { scope: 'col', class: 'num' }, label);
  return sortable(
    h(
      'table',
      { class: 'pair-changes', 'data-testid': 'pair-changes' },
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'edge'), column(names[0]), column(names[1]), column('difference'))),
      h('tbody', {}, ...changes.slice(0, LISTED).map((change) => h(
        'tr',
        { class: change.key === selection ? 'chosen' : null },
        h('td', { 'data-value': `${edgeName(change)}, ${edgeEnds(change, tokens)}` }, h('button', { type: 'button', class: 'link', 'aria-pressed': change.key === selection ? 'true' : 'false', title: changeWords(change, tokens, names), onclick: () => onSelect(change.key) }, edgeName(change)), h('small', {}, ` ${edgeEnds(change, tokens)}`, change.only ? ` · ${change.only === 'here' ? names[0] : names[1]} only` : '')),
        h('td', { class: 'num', 'data-value': change.here, title: change.here ? exact(change.here) : 'under the floor' }, change.here ? fraction(change.here) : '–'),
        h('td', { class: 'num', 'data-value': change.there, title: change.there ? exact(change.there) : 'under the floor' }, change.there ? fraction(change.there) : '–'),
        h('td', { class: `num ${change.difference >= 0 ? 'here' : 'there'}`, 'data-value': change.difference }, signed(change.difference)),
      ))),
    ),
    { id: 'pair-changes' },
  );
}

/** The heads of the selected edge in both. @param {Change | undefined} change @param {string[]} tokens @param {[string, string]} names */
function detail(change, tokens, names) {
  if (!change) return h('p', { class: 'hint' }, 'Click an edge of the graph or a line of the table to compare its heads.');
  if (!change.heads.length) return h('p', {}, changeWords(change, tokens, names));
  const table = h(
    'table',
    { 'data-testid': 'pair-heads' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'head'), ...[...names, 'difference'].map((word) => h('th', { scope: 'col', class: 'num' }, word)))),
    h('tbody', {}, ...change.heads.map(({ head, here, there }) => h('tr', {}, h('th', { scope: 'row' }, `L${change.layer}H${head}`), ...[here, there].map((share) => h('td', { class: 'num', 'data-value': share, title: share ? exact(share) : 'under the floor' }, share ? fraction(share) : '–')), h('td', { class: `num ${here >= there ? 'here' : 'there'}`, 'data-value': here - there }, signed(here - there))))),
  );
  return h('section', {}, h('h3', {}, `Heads of ${edgeName(change)}, ${edgeEnds(change, tokens)}`), sortable(table, { id: 'pair-heads' }));
}

/** @param {{ onSelect: (key: string | null) => void, onClose: () => void, onRetry: () => void }} options */
export function createPairView({ onSelect, onClose, onRetry }) {
  const drawing = createPairGraph({ onSelect });
  const none = () => {};
  const deaf = { onSelect: none, onOpen: none, onPart: none, onZoom: none };
  const both = [createGraph(deaf), createGraph(deaf)];
  const top = h('div', { class: 'pair-top' });
  const left = h('div', { class: 'pair-left', tabindex: '0', role: 'region', 'aria-label': 'Difference of the routes' });
  const right = h('aside', { class: 'pair-right', 'aria-label': 'Largest differences', tabindex: '0' });
  const close = h('button', { type: 'button', class: 'button', 'data-testid': 'pair-close', title: 'Esc', onclick: onClose }, 'Close the comparison');
  const el = h('section', { class: 'pair', 'aria-label': 'Comparison of a pair', hidden: true }, top, h('div', { class: 'pair-split' }, left, right));
  let room = { width: 0, height: 0 };
  /** @type {PairProps | null} */
  let now = null;

  /** Room for the graph. On a narrow page nothing bounds its height, so it must not follow its own. */
  function space() {
    const narrow = window.matchMedia('(max-width: 900px)').matches;
    return { width: Math.max(320, left.clientWidth - 16), height: Math.max(260, narrow ? window.innerHeight * 0.6 : left.clientHeight - 72) };
  }

  new ResizeObserver(() => {
    const size = space();
    if (now && !el.hidden && (Math.abs(size.width - room.width) > 8 || Math.abs(size.height - room.height) > 8)) update(now);
  }).observe(left);

  /** @param {PairProps} props */
  function update(props) {
    now = props;
    const { here, there, note } = props;
    room = space();
    if (there === null) return fill(top, h('p', { class: 'quiet', role: 'status' }, 'Fetching the other prompt…'), close);
    if (there instanceof Error) {
      fill(left);
      fill(right);
      return fill(top, h('p', { class: 'inline-error', role: 'alert' }, 'The other prompt could not be read. ', h('button', { type: 'button', class: 'link', onclick: onRetry }, 'Retry'), h('small', {}, there.message)), close);
    }
    const [one, two] = [here.data.prompt, there.data.prompt];
    const names = /** @type {[string, string]} */ (nameOf(one) === nameOf(two) ? [`prompt ${one.prompt_id}`, `prompt ${two.prompt_id}`] : [nameOf(one), nameOf(two)]);
    const same = alignable(one, two);
    const differ = same ? differingTokens(one.token_ids, two.token_ids) : [];
    const words = same ? '' : `The prompts have ${one.n_tokens} and ${two.n_tokens} tokens, so they cannot be aligned token by token; each is shown with its own route.`;
    fill(top, h('div', { class: 'pair-words' }, tokenTable([here, there], names, differ), words || note ? h('p', { class: 'notice', role: 'status', 'data-testid': 'pair-note' }, [words, note].filter(Boolean).join(' ')) : null, outcomes([here, there], names)), close);
    if (same) drawDifference(props, there, names);
    else drawBoth(here, there, names);
  }

  /** @param {PairProps} props @param {Side} there @param {[string, string]} names */
  function drawDifference(props, there, names) {
    const { here, selection } = props;
    const tokens = here.data.prompt.tokens;
    const changes = changesBetween(here, there);
    const nodes = new Set([...here.route.nodes.keys(), ...there.route.nodes.keys()]);
    const { n_layers: nLayers, parallel } = here.index;
    drawing.update({ changes, tokens, others: there.data.prompt.tokens, nodes, nLayers, parallel, selection, names, room });
    const others = there.data.prompt.tokens;
    const numbers = () => ({
      columns: ['edge', 'layer', 'part', 'from_pos', 'from_token', 'from_token_other', 'to_pos', 'to_token', 'to_token_other', names[0], names[1], 'difference', 'on_route'],
      rows: changes.map((change) => [edgeName(change), change.layer, change.kind, change.src, tokens[change.src], others[change.src], change.dst, tokens[change.dst], others[change.dst], change.here, change.there, change.difference, change.only === null ? 'both' : change.only === 'here' ? names[0] : names[1]]),
    });
    const name = `difference-${here.index.id}-${here.data.prompt.prompt_id}-${there.data.prompt.prompt_id}`;
    const tools = figureTools({ name: () => name, svg: () => drawing.el, table: numbers, title: () => `Difference of the routes of ${names[0]} and ${names[1]}, threshold ${props.tau}` });
    const first = !left.contains(drawing.el);
    fill(left, h('div', { class: 'pair-head' }, legend(names, props.tau), tools), /** @type {any} */ (drawing.el));
    if (first) left.scrollLeft = left.scrollWidth; // the prediction is at the right
    const table = changeTable(changes, tokens, names, props, onSelect);
    fill(
      right,
      detail(changes.find((change) => change.key === selection), tokens, names),
      h('h3', {}, 'Largest differences', h('small', {}, ` ${Math.min(LISTED, changes.length)} of ${changes.length} edges on either route`)),
      table,
      tableTools(table, { name: 'largest-differences' }),
    );
  }

  /** @param {Side} here @param {Side} there @param {string[]} names */
  function drawBoth(here, there, names) {
    fill(left, ...both.map((graph, i) => h('figure', { class: 'pair-one' }, h('figcaption', {}, names[i]), graph.el)));
    fill(right, h('p', { class: 'hint' }, 'Open either prompt by itself to select nodes and edges.'));
    [here, there].forEach((side, i) => both[i].update({ ...side, selection: null, open: '', zoom: null }));
  }

  return { el, update };
}
