/** One prediction: tokens, route graph, threshold, panel. Holds what is loaded; everything shown follows from the state. */

import { attr, fill, h, text } from './dom.js';
import { answerFrom, modeName } from './describe.js';
import { clip, exact, fraction, integer, plural, showText, threshold } from './format.js';
import { createGraph } from './graph.js';
import { createPanel } from './panel.js';
import { tokenMark } from './panel-tabs.js';
import { buildGraph, MODES, parseNode, reachFrom, routeAt, sharesOf, summary } from './routes.js';
import { createSlider } from './slider.js';
import { format, promptsState, promptState } from './state.js';
import { step } from './steps.js';
import { createStrip } from './strip.js';

const DEFAULT_TAU = 0.04; // the LM Transparency Tool's
const NUDGE = 20;

/** @typedef {import('./state.js').PromptState} PromptState */
/** @typedef {{ index: import('./data.js').RunIndex, data: import('./data.js').PromptData, graph: import('./routes.js').Graph }} Loaded */

/**
 * @param {{ data: import('./data.js').Data, navigate: (state: import('./state.js').State, options?: { replace?: boolean }) => void }} options
 */
export function createPrompt({ data, navigate }) {
  const strip = createStrip({ onTarget: chooseTarget });
  const graph = createGraph({ onSelect: (sel) => go({ sel }) });
  const panel = createPanel();
  const slider = createSlider({ onTau: (tau) => go({ tau }, true) });
  const position = h('span', { class: 'position' });
  const about = h('span', { class: 'about' });
  const previous = h('a', { class: 'icon', 'aria-label': 'Previous prompt', title: 'Previous prompt  [' }, '‹');
  const next = h('a', { class: 'icon', 'aria-label': 'Next prompt', title: 'Next prompt  ]' }, '›');
  const outcome = h('p', { class: 'outcome-line', 'data-testid': 'outcome' });
  const notice = h('p', { class: 'notice', role: 'status', 'data-testid': 'notice' });
  const count = h('p', { class: 'route-count', 'data-testid': 'route-count', 'aria-live': 'polite' });
  const mode = h('select', { 'aria-label': 'Mode', 'data-testid': 'mode-select', title: 'How shares are compared with the threshold  m' }, ...MODES.map((name) => h('option', { value: name }, modeName(name))));
  const faint = h('input', { type: 'checkbox', 'data-testid': 'faint' });
  const el = h(
    'main',
    { class: 'prompt', id: 'main', tabindex: '-1' },
    h('header', { class: 'prompt-head' }, h('div', { class: 'where' }, h('nav', { 'aria-label': 'Prompts' }, previous, position, next), about), strip.el, outcome, notice),
    h(
      'div',
      { class: 'split' },
      h(
        'section',
        { class: 'stage', 'aria-label': 'Route' },
        graph.el,
        h('div', { class: 'controls' }, slider.el, h('label', { class: 'mode' }, h('span', {}, 'shares'), mode), h('label', { class: 'check', title: 'Draw stored edges that are not on the route  f' }, faint, 'off-route'), graph.buttons, count),
      ),
      panel.el,
    ),
  );
  el.classList.add('blank', 'loading');

  /** @type {PromptState | null} */
  let state = null;
  /** @type {Loaded | null} */
  let loaded = null;
  /** @type {import('./routes.js').Reach | null} */
  let reach = null;
  /** @type {number[]} */
  let shares = [];
  /** @type {import('./routes.js').Route | null} */
  let route = null;
  /** @type {Map<string, { token: string, prob: number }> | null} */
  let tops = null;
  /** @type {{ key: string, rows: import('./data.js').LensRow[] | Error | null } | null} */
  let lens = null;
  /** @type {{ previous: number | null, next: number | null } | null} */
  let around = null;
  let said = '';
  let latest = 0;

  mode.addEventListener('change', () => go({ mode: /** @type {any} */ (mode.value) }));
  faint.addEventListener('change', () => go({ faint: faint.checked }, true));

  /** @param {Partial<PromptState>} change @param {boolean} [replace] */
  function go(change, replace = false) {
    if (state) navigate({ ...state, ...change }, { replace });
  }

  /** @param {number} pos */
  function chooseTarget(pos) {
    if (!loaded) return;
    if (loaded.data.prompt.targets.includes(pos)) {
      said = '';
      const last = loaded.data.prompt.targets.at(-1);
      go({ t: pos === last ? null : pos, sel: null });
    } else {
      said = notStored();
      text(notice, said);
    }
  }

  function notStored() {
    return 'This target was not stored: run again with routes.targets=all (or list it in the dataset’s targets column).';
  }

  /** @param {PromptState} now */
  async function update(now) {
    const ticket = (latest += 1);
    const other = !loaded || loaded.index.id !== now.run || loaded.data.prompt.prompt_id !== now.id;
    if (other) {
      el.classList.add('loading');
      const index = await data.run(now.run);
      const found = await data.prompt(index, now.id);
      if (ticket !== latest) return;
      said = '';
      loaded = { index, data: found, graph: buildGraph(found.edges, { parallel: index.parallel, nLayers: index.n_layers }) };
      reach = tops = lens = around = null;
      el.classList.remove('loading', 'blank');
    }
    state = now;
    draw();
    if (other) void rest(ticket);
  }

  /** What can come after the graph is drawn. @param {number} ticket */
  async function rest(ticket) {
    if (!loaded) return;
    const { index, data: { prompt } } = loaded;
    try {
      const place = await data.neighbours(index, prompt.prompt_id);
      if (ticket !== latest && loaded?.data.prompt !== prompt) return;
      around = place;
      drawHead(place.number);
      if (place.next !== null) data.fetchAhead(index, place.next);
      const found = await data.tops(index, prompt.prompt_id);
      if (loaded?.data.prompt !== prompt) return;
      tops = found;
      draw();
      drawAbout(await data.pair(index, prompt));
    } catch (error) {
      // The graph stands without these; say what is missing rather than take it away.
      said = `Part of this prompt could not be read: ${/** @type {Error} */ (error).message}`;
      text(notice, said);
    }
  }

  /** The target to explain, and what to say about it. @param {PromptState} now @param {Loaded} of */
  function resolve(now, of) {
    const { targets } = of.data.prompt;
    const last = targets.at(-1) ?? of.data.prompt.n_tokens - 1;
    const wanted = now.t ?? last;
    const target = targets.includes(wanted) ? wanted : last;
    const { floor } = of.index;
    const tau = now.tau ?? Math.max(floor, DEFAULT_TAU);
    const notes = [
      said,
      target === wanted ? '' : `Position ${wanted} is no stored target, so the last one is shown. Run again with routes.targets=all (or list it in the dataset’s targets column).`,
      now.sel !== null && known(now.sel) === null ? `There is no ${now.sel} in this prompt, so nothing is selected.` : '',
      tau < floor ? `Shares under the floor ${threshold(floor)} were not stored, so the floor is shown.` : '',
    ];
    return { target, tau: Math.max(tau, floor), note: notes.filter(Boolean).join(' ') };
  }

  /** The selection, or null where this prompt and model have no such place. @param {string | null} sel */
  function known(sel) {
    if (sel === null || !loaded) return null;
    const [layer, what, place] = sel.split('.');
    const inside = Number(layer) < loaded.index.n_layers && place.split('-').every((pos) => Number(pos) < /** @type {Loaded} */ (loaded).data.prompt.n_tokens);
    const absent = what === 'mid' && (loaded.index.parallel || Number(layer) < 0);
    return inside && !absent ? sel : null;
  }

  function draw() {
    if (!loaded || !state) return;
    const { index, data: found } = loaded;
    const { target, tau, note } = resolve(state, loaded);
    if (!reach || reach.target !== target || reach.mode !== state.mode) {
      reach = reachFrom(loaded.graph, target, state.mode);
      shares = sharesOf(loaded.graph, reach);
      route = null;
    }
    if (!route || route.tau !== tau || route.mode !== state.mode) route = routeAt(loaded.graph, reach, tau);
    const selection = known(state.sel);
    const asked = found.targets.find((one) => one.target === target);
    const props = { data: found, index, graph: loaded.graph, route, selection, tops, faint: state.faint };
    strip.update({ data: found, target });
    graph.update(props);
    slider.update({ tau, floor: index.floor, shares });
    panel.update({ ...props, target: asked, lens: lensOf(selection), onSelect: (sel) => go({ sel }), onRetry: retryLens });
    mode.value = state.mode;
    faint.checked = state.faint;
    drawOutcome(asked);
    drawCount();
    drawHead(null);
    text(notice, note);
  }

  /** Rows of the selected node, asked for when they are not there yet. @param {string | null} key */
  function lensOf(key) {
    if (!key || !/\.(mid|post)\./.test(key) || !loaded) return null;
    if (lens?.key === key) return lens.rows;
    const asked = (lens = { key, rows: /** @type {any} */ (null) });
    const settle = (/** @type {any} */ rows) => {
      asked.rows = rows;
      if (lens === asked) draw();
    };
    void data.lens(loaded.index, loaded.data.prompt.prompt_id, parseNode(key)).then(settle, settle);
    return null;
  }

  function retryLens() {
    lens = null;
    draw();
  }

  /** @param {import('./data.js').Target | undefined} target */
  function drawOutcome(target) {
    if (!target) return fill(outcome, 'No prediction is stored for this prompt.');
    const one = (/** @type {string} */ name, /** @type {string | null} */ token, /** @type {number | null} */ prob, /** @type {number | null} */ rank, title = '') =>
      h('span', { class: `result ${name}`, title }, h('span', { class: 'quiet' }, name), ' ', tokenMark(token ?? '?'), ' ', h('span', { class: 'num', title: exact(prob) }, fraction(prob)), rank === null ? null : h('span', { class: 'quiet' }, ` rank ${integer(rank)}`));
    return fill(
      outcome,
      one('prediction', target.predicted, target.predicted_prob, null),
      one('answer', target.answer, target.answer_prob, target.answer_rank, answerFrom(target.answer_from)),
      target.foil_id === null ? null : one('foil', target.foil, target.foil_prob, target.foil_rank),
    );
  }

  function drawCount() {
    if (!loaded || !route) return;
    const total = summary(route, loaded.data.nodes);
    fill(
      count,
      h('b', {}, plural(total.nodes, 'node')),
      ', ',
      h('b', {}, plural(total.edges, 'edge')),
      h('span', { class: 'quiet', title: 'Mean over the nodes of the route: share of each node that comes through the route, share of stored parts under the threshold, share of parts under the floor' }, ` · on the route ${fraction(total.kept)}, under threshold ${fraction(total.under)}, not stored ${fraction(total.unstored)}`),
    );
  }

  /** @param {number | null} number */
  function drawHead(number) {
    if (!loaded || !state) return;
    const { prompt } = loaded.data;
    const total = loaded.index.counts?.prompts;
    const link = (/** @type {HTMLAnchorElement} */ a, /** @type {number | null | undefined} */ id) => {
      attr(a, 'href', id === null || id === undefined ? null : format(promptState(runId(), id, kept())));
      attr(a, 'aria-disabled', id === null || id === undefined ? 'true' : null);
    };
    link(previous, around?.previous);
    link(next, around?.next);
    if (number !== null) fill(position, h('b', {}, integer(number)), total ? ` of ${integer(total)}` : '');
    else if (!around) fill(position, `prompt ${prompt.prompt_id}`);
    if (!around) drawAbout([]);
  }

  const runId = () => /** @type {Loaded} */ (loaded).index.id;
  /** What stays when another prompt is opened. */
  const kept = () => ({ tau: state?.tau ?? null, mode: state?.mode ?? 'summed', faint: state?.faint ?? true });

  /** @param {import('./rows.js').Row[]} partners */
  function drawAbout(partners) {
    if (!loaded) return;
    const { prompt } = loaded.data;
    const run = runId();
    const links = partners.map((row) => h('a', { href: format(promptState(run, row.prompt_id, kept())) }, clip(showText(row.role ?? `prompt ${row.prompt_id}`), 24)));
    fill(
      about,
      prompt.group === null ? null : h('a', { href: format(promptsState(run, { group: prompt.group })) }, h('bdi', {}, clip(showText(prompt.group), 60))),
      prompt.pair_id === null ? null : h('span', {}, `${clip(showText(prompt.role ?? 'one'), 24)} of pair ${clip(showText(prompt.pair_id), 24)}`),
      links.length ? h('span', {}, 'other: ', ...links.flatMap((link, i) => (i ? [', ', link] : [link]))) : null,
      prompt.source_id === String(prompt.prompt_id) ? null : h('span', { class: 'quiet', title: clip(showText(prompt.source_id), 400) }, h('bdi', {}, clip(showText(prompt.source_id), 32))),
    );
  }

  /** @param {string} key @param {KeyboardEvent} event @returns {boolean} whether the key meant something here */
  function onKey(key, event) {
    if (!loaded || !state || !route) return false;
    const arrow = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' }[key];
    if (arrow) return walk(/** @type {any} */ (arrow), event.shiftKey);
    if (key === '-' || key === '_') go({ tau: slider.nudge(route.tau, -NUDGE) }, true);
    else if (key === '=' || key === '+') go({ tau: slider.nudge(route.tau, NUDGE) }, true);
    else if (key === 'm') go({ mode: MODES[(MODES.indexOf(state.mode) + 1) % MODES.length] });
    else if (key === 'f') go({ faint: !state.faint }, true);
    else if (key === '[' || key === ']') (key === '[' ? previous : next).click();
    else if (key === 'Escape' && (state.sel !== null || said)) {
      said = '';
      go({ sel: null });
      draw();
    } else return false;
    return true;
  }

  /** @param {import('./steps.js').Direction} direction @param {boolean} shift */
  function walk(direction, shift) {
    if (!state || !route || !loaded) return false;
    const { sel } = state;
    const part = sel === null ? null : loaded.graph.parts.find((one) => one.key === sel);
    // From an edge, up and right lead to the node it enters, down and left to the one it comes from.
    const to = part
      ? direction === 'up' || direction === 'right' ? part.to : part.from
      : step(route, sel === null || !/\.(mid|post)\./.test(sel) ? null : sel, direction, { shift, nLayers: loaded.index.n_layers });
    if (to === null) return true;
    go({ sel: to }, sel !== null);
    graph.focusNode(to);
    return true;
  }

  const title = () => (loaded ? `${clip(showText(loaded.data.prompt.text), 60)} · ${loaded.index.title}` : 'Prediction');
  return { el, update, onKey, title };
}
