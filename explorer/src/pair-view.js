/** Two prompts of a pair: what each predicts, their tokens side by side, the difference of their routes. */

import { edgeEnds, edgeName } from './describe.js';
import { fill, h, refill } from './dom.js';
import { SiteError } from './errors.js';
import { clip, exact, fraction, integer, showText, showToken } from './format.js';
import { createGraph, hiderOf } from './graph.js';
import { nameWords } from './name-label.js';
import { alignable, changesBetween, differingTokens, stepChange } from './pair.js';
import { createPairStage } from './pair-stage.js';
import { changeWords, routeWords, shareCells } from './pair-words.js';
import { figureSql } from './prompt-sql.js';
import { sortable, tableTools } from './table.js';
import { headName } from './tabs.js';

/** @typedef {import('./pair.js').Change} Change */
/** @typedef {import('./graph.js').GraphProps & { target: import('./data.js').Target | undefined }} Side */
/**
 * @typedef {{ here: Side, there: Side | Error | null, note: string, selection: string | null, tau: number, shares: number[],
 *   retry: () => void, sorting: import('./table.js').Sorting }} PairProps `shares` of both routes, for the threshold's histogram
 */

const LISTED = 40;
const ZOOMS = { z: 1.4, Z: 1 / 1.4, 0: 0 }; // 0: the whole
const ARROWS = /** @type {Record<string, import('./steps.js').Direction>} */ ({ ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' });

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
  const longest = sides.map(({ data }) => data.prompt.tokens).reduce((a, b) => (b.length > a.length ? b : a));
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Tokens of both prompts' },
    h('table', { class: 'pair-tokens' }, h('tbody', {}, ...sides.map(({ data: { prompt } }, i) => h(
      'tr',
      { class: i ? 'there' : 'here' },
      h('th', { scope: 'row' }, names[i]),
      ...prompt.tokens.map((token, pos) => h('td', { class: differ.includes(pos) ? 'differs' : null, title: `${showToken(token)}, position ${pos}, token id ${prompt.token_ids[pos]}` }, chip(token))),
    )), h('tr', { class: 'positions' }, h('td', {}), ...longest.map((_, pos) => h('td', { class: 'pos' }, pos))))),
  );
}

/** @param {Change[]} changes @param {import('./pair-words.js').Words} words @param {PairProps} props @param {(key: string) => void} onSelect */
function changeTable(changes, words, { selection, sorting }, onSelect) {
  const { tokens, names, floor } = words;
  const column = (/** @type {string} */ label) => h('th', { scope: 'col', class: 'num' }, label);
  return sortable(
    h(
      'table',
      { class: 'pair-changes', 'data-testid': 'pair-changes' },
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'edge'), column(names[0]), column(names[1]), column('difference'))),
      h('tbody', {}, ...changes.slice(0, LISTED).map((change) => h(
        'tr',
        { class: change.key === selection ? 'chosen' : null },
        h('td', { 'data-value': `${edgeName(change)}, ${edgeEnds(change, tokens)}` }, h('button', { type: 'button', class: 'link', 'data-go': change.key, 'aria-pressed': change.key === selection ? 'true' : 'false', title: changeWords(change, words), onclick: () => onSelect(change.key) }, ...nameWords(words.index, edgeName(change))), h('small', {}, ` ${edgeEnds(change, tokens)}`, change.only ? ` · ${routeWords(change, names)}` : '')),
        ...shareCells(change, floor),
      ))),
    ),
    { id: 'pair-changes', sorting },
  );
}

/** The selected edge and its heads in both. @param {Change | undefined} change @param {import('./pair-words.js').Words} words @param {PairProps} props */
function detail(change, words, { selection, sorting }) {
  const { tokens, names, floor } = words;
  if (!change) return h('p', { class: 'hint', role: 'status' }, selection === null ? 'Click an edge of the graph or a line of the table to compare its heads; arrow keys walk along the edges.' : `${selection} is an edge of neither route at this threshold.`);
  const head = h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, change.heads.length ? 'head' : ''), ...[...names, 'difference'].map((word) => h('th', { scope: 'col', class: 'num' }, word))));
  const table = h(
    'table',
    { 'data-testid': 'pair-heads' },
    head,
    h('tbody', {}, ...change.heads.map((one) => h('tr', {}, h('th', { scope: 'row' }, ...nameWords(words.index, headName(change.layer, one.head))), ...shareCells(one, floor)))),
  );
  const whole = h('table', { 'data-testid': 'pair-edge-shares' }, h('thead', {}, h('tr', {}, h('td', {}), ...[...names, 'difference'].map((word) => h('th', { scope: 'col', class: 'num' }, word)))), h('tbody', {}, h('tr', {}, h('th', { scope: 'row' }, change.kind === 'attn' ? 'all heads' : 'share'), ...shareCells(change, floor))));
  return h('section', { 'data-testid': 'pair-detail' }, h('h2', {}, ...nameWords(words.index, edgeName(change)), `, ${edgeEnds(change, tokens)}`), h('p', { class: 'quiet', role: 'status' }, routeWords(change, names)), whole, change.heads.length ? sortable(table, { id: 'pair-heads', sorting }) : null);
}

/**
 * @param {{ onSelect: (key: string | null) => void, onClose: () => void,
 *   onGo: (change: Partial<import('./state.js').PromptState>, replace?: boolean) => void }} options
 */
export function createPairView({ onSelect, onClose, onGo }) {
  const stage = createPairStage({ onSelect, onGo });
  const none = () => {};
  const deaf = { onSelect: none, onOpen: none, onPart: none, onZoom: none };
  const both = [createGraph(deaf), createGraph(deaf)];
  const top = h('div', { class: 'pair-top' });
  const left = h('div', { class: 'pair-left' });
  const right = h('aside', { class: 'pair-right', 'aria-label': 'Largest differences', tabindex: '0' });
  const close = h('button', { type: 'button', class: 'button', 'data-testid': 'pair-close', title: 'Esc', onclick: onClose }, 'Close the comparison');
  const split = h('div', { class: 'pair-split' }, left, right);
  const el = h('section', { class: 'pair', 'aria-label': 'Comparison of a pair', hidden: true }, top, split);
  /** @type {Change[]} what the graph shows */
  let changes = [];
  /** @type {string | null} */
  let selected = null;

  /** @param {Error} error @param {() => void} retry */
  function fail(error, retry) {
    const gone = error instanceof SiteError && (error.kind === 'unknown-prompt' || error.kind === 'rejected-prompt');
    split.hidden = true;
    const words = gone ? 'There is no such other prompt in this run. ' : 'The other prompt could not be read. ';
    fill(top, h('p', { class: 'inline-error', role: 'alert' }, words, gone ? null : h('button', { type: 'button', class: 'link', onclick: retry }, 'Retry'), h('small', {}, error.message)), close);
  }

  /** @param {PairProps} props */
  function update(props) {
    const { here, there, note } = props;
    selected = props.selection;
    changes = [];
    if (there instanceof Error) return fail(there, props.retry);
    split.hidden = there === null;
    if (there === null) return fill(top, h('p', { class: 'quiet', role: 'status' }, 'Fetching the other prompt…'), close);
    const [one, two] = [here.data.prompt, there.data.prompt];
    const names = /** @type {[string, string]} */ (nameOf(one) === nameOf(two) ? [`prompt ${one.prompt_id}`, `prompt ${two.prompt_id}`] : [nameOf(one), nameOf(two)]);
    const same = alignable(one, two);
    const differ = same ? differingTokens(one.token_ids, two.token_ids) : [];
    const words = same ? '' : `The prompts have ${one.n_tokens} and ${two.n_tokens} tokens, so they cannot be aligned token by token; each is shown with its own route.`;
    fill(top, h('div', { class: 'pair-words' }, tokenTable([here, there], names, differ), words || note ? h('p', { class: 'notice', role: 'status', 'data-testid': 'pair-note' }, [words, note].filter(Boolean).join(' ')) : null, outcomes([here, there], names)), close);
    if (same) drawDifference(props, there, names);
    else drawBoth(props, there, names);
  }

  /** @param {PairProps} props @param {Side} there @param {[string, string]} names */
  function drawDifference(props, there, names) {
    const { here, selection, tau, shares } = props;
    const all = changesBetween(here, there);
    const hidden = hiderOf(here.hide);
    changes = all.filter((change) => !hidden(/** @type {any} */ (change)));
    if (!left.contains(stage.el)) fill(left, stage.el);
    stage.update({ here, there, all, changes, names, selection, tau, shares });
    const words = { names, tokens: here.data.prompt.tokens, floor: here.index.floor, index: here.index };
    const table = changeTable(changes, words, props, onSelect);
    refill(right, () => [
      detail(changes.find((change) => change.key === selection), words, props),
      h('h2', {}, 'Largest differences', h('small', {}, ` of stored shares: ${Math.min(LISTED, changes.length)} of ${changes.length} edges`)),
      table,
      tableTools(table, { name: 'largest-differences', sql: figureSql(here, 'pair', { other: there.data.prompt.prompt_id }) }),
    ]);
  }

  /** @param {PairProps} props @param {Side} there @param {string[]} names */
  function drawBoth({ here, tau, shares }, there, names) {
    const controls = stage.control({ here, tau, shares, alone: true });
    if (!left.contains(both[0].el)) fill(left, ...both.map((graph) => h('figure', { class: 'pair-one' }, h('figcaption', {}), graph.el)), controls);
    left.querySelectorAll('figcaption').forEach((caption, i) => fill(caption, names[i]));
    fill(right, h('p', { class: 'hint' }, 'Open either prompt by itself to select nodes and edges.'));
    [here, there].forEach((side, i) => both[i].update({ ...side, selection: null, open: '', zoom: null }));
  }

  /** Keys of the graph, as on a route's: arrows, but not where they scroll a list; larger, smaller, the whole. @param {string} key */
  function onKey(key) {
    const on = document.activeElement;
    if (!left.contains(stage.el)) return false;
    if (key in ZOOMS) {
      stage.scale(ZOOMS[/** @type {keyof typeof ZOOMS} */ (key)]);
      return true;
    }
    const direction = ARROWS[key];
    if (!direction || !changes.length || top.contains(on) || on === right) return false;
    const to = stepChange(changes, selected, direction);
    if (to === null) return true;
    onSelect(to);
    stage.reveal(to);
    return true;
  }

  return { el, update, onKey, panel: right };
}
