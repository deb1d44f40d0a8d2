/** One prediction: tokens, route graph, threshold, panel. Holds what is loaded; everything shown follows from the state. */

import { askedAt } from './asked.js';
import { edgeName, nodeName } from './describe.js';
import { h } from './dom.js';
import { clip, showText, threshold } from './format.js';
import { createJump } from './jump.js';
import { createPairView } from './pair-view.js';
import { createPanel } from './panel.js';
import { createPartner } from './partner.js';
import { hasPlace, openNotes } from './places.js';
import { createHead } from './prompt-head.js';
import { createResources } from './resources.js';
import { buildGraph, MODES, parseNode, reachFrom, routeAt, sharesOf } from './routes.js';
import { createStage } from './stage.js';
import { MOST_OPEN, promptState, toggled } from './state.js';
import { createStepper } from './stepper.js';
import { createSurroundings } from './surroundings.js';
import { sortingOf } from './table.js';
import { tabAfter } from './tabs.js';

const DEFAULT_TAU = 0.04; // the LM Transparency Tool's
const RESTING_MS = 100;

const HOW_TO_STORE =
  'To store it, run again into another run.dir with routes.targets=all; if the dataset has a targets column, list the position there, because the column wins.';

/** @typedef {import('./state.js').PromptState} PromptState */
/** @typedef {{ index: import('./data.js').RunIndex, data: import('./data.js').PromptData, graph: import('./routes.js').Graph }} Loaded */

/**
 * @param {{ data: import('./data.js').Data, live?: import('./live.js').Live | null, navigate: (state: import('./state.js').State, options?: { replace?: boolean }) => void }} options
 */
export function createPrompt({ data, live = null, navigate }) {
  const head = createHead({ onTarget: chooseTarget });
  const stage = createStage({ go, onSelect: select, onOpen: toggleOpen, onPart: choosePart });
  const surroundings = createSurroundings({ data, onChange: () => draw() });
  const panel = createPanel({ onRetry: surroundings.retry });
  const beside = createPartner({ data, onSettled: () => draw() });
  const expansions = createResources({ onSettled: () => draw() });
  const pair = createPairView({ onSelect: (sel) => go({ sel }, true), onClose: () => go({ pair: null, sel: null }), onGo: go });
  const stepper = createStepper({ neighbours: async (id) => data.neighbours(await data.run(/** @type {PromptState} */ (requested).run), id), onArrive: arrive });
  const split = h('div', { class: 'split' }, stage.el, panel.el);
  const jump = createJump({ graph: head.el });
  const el = h('main', { class: 'prompt', id: 'main', tabindex: '-1' }, head.el, split, pair.el, jump.el);
  el.classList.add('blank', 'loading');

  /** @type {PromptState | null} What is drawn. */
  let state = null;
  /** @type {PromptState | null} What was asked for last: a change while it still loads builds on it. */
  let requested = null;
  /** @type {Loaded | null} */
  let loaded = null;
  /** @type {import('./routes.js').Reach | null} */
  let reach = null;
  /** @type {number[]} */
  let shares = [];
  /** @type {import('./routes.js').Route | null} */
  let route = null;
  /** @type {Map<string, import('./resources.js').Answer<any>>} opened nodes that could not be read */
  const lost = new Map();
  let said = '';
  let latest = 0;

  /** What stays when another prompt is opened. @param {PromptState} of */
  const keptFrom = ({ tau, mode, faint, hide, embed }) => ({ tau, mode, faint, hide, embed });

  /** @param {number} id @param {number} from */
  function arrive(id, from) {
    if (requested?.id === from) navigate(promptState(requested.run, id, keptFrom(requested))); // else the reader went elsewhere meanwhile
  }

  /** @param {string} key of a node or edge */
  const placeName = (key) => (/\.(mid|post)\./.test(key) ? nodeName(parseNode(key)) : edgeName({ layer: Number(key.split('.')[0]), kind: key.split('.')[1] }));

  /** @param {Partial<PromptState>} change @param {boolean} [replace] */
  function go(change, replace = false) {
    if (!requested) return;
    const next = { ...requested, ...change };
    // The order of a table belongs to what it is about.
    const other = next.pair !== requested.pair || (next.pair === null && (next.sel !== requested.sel || next.tab !== requested.tab));
    if (other && change.order === undefined) next.order = '';
    if (loaded && next.tau === Math.max(loaded.index.floor, DEFAULT_TAU)) next.tau = null;
    navigate(next, { replace });
  }

  /** @param {string | null} sel */
  function select(sel, replace = false) {
    go({ sel, tab: tabAfter(requested?.tab ?? null, sel), head: null, neuron: null }, replace);
  }

  /** Opens a node into its heads or neurons, or closes it. @param {string} key */
  function toggleOpen(key) {
    if (!requested) return;
    if (toggled(requested.open, key).split(',').length > MOST_OPEN) {
      said = `At most ${MOST_OPEN} nodes are open at a time: close one (select it, e), or all (Esc).`;
      return draw();
    }
    lost.get(key)?.retry();
    lost.delete(key);
    go({ open: toggled(requested.open, key) });
  }

  /** Into the comparison with the first other prompt of the pair, once that is known, or out of it. */
  function togglePair() {
    if (requested && requested.pair !== null) {
      go({ pair: null, sel: null });
      return true;
    }
    if (!loaded || loaded.data.prompt.pair_id === null) return false;
    const { index, data: { prompt } } = loaded;
    const enter = (/** @type {import('./rows.js').Row | undefined} */ other) => {
      if (other && requested?.run === index.id && requested.id === prompt.prompt_id && requested.pair === null) go({ pair: other.prompt_id, sel: null });
    };
    data.pair(index, prompt).then(([other]) => enter(other), () => {}); // what fails stands above the graph already
    return true;
  }

  /** @param {{ kind: 'head' | 'neuron', name: string, node: string }} part of an opened node */
  function choosePart({ kind, name, node }) {
    go({ sel: node, tab: kind === 'head' ? 'heads' : 'mlp', head: kind === 'head' ? name : null, neuron: kind === 'neuron' ? name : null });
  }

  /** What an opened node shows; null while it is fetched. @param {string} key @returns {import('./expand.js').Expansion} */
  function expansion(key) {
    if (!loaded) return null;
    const { index, data: { prompt } } = loaded;
    const answer = expansions.ask(`${index.id} ${prompt.prompt_id} ${key}`, () => data.expansion(index, prompt.prompt_id, key));
    if (answer.error) lost.set(key, answer);
    else lost.delete(key);
    return answer.value ?? answer.error;
  }

  /** @param {number} pos */
  function chooseTarget(pos) {
    if (!loaded) return;
    if (loaded.data.prompt.targets.includes(pos)) {
      said = '';
      go({ t: pos === askedAt(loaded.data) ? null : pos, sel: null });
    } else {
      said = `This target was not stored. ${HOW_TO_STORE}`;
      draw();
    }
  }

  /** @param {PromptState} now */
  async function update(now) {
    const ticket = (latest += 1);
    requested = now;
    const other = !loaded || loaded.index.id !== now.run || loaded.data.prompt.prompt_id !== now.id;
    if (other) {
      el.classList.add('loading');
      const index = await data.run(now.run);
      const found = await data.prompt(index, now.id);
      if (ticket !== latest) return;
      said = '';
      lost.clear();
      loaded = { index, data: found, graph: buildGraph(found.edges, { parallel: index.parallel, nLayers: index.n_layers }) };
      reach = null;
      el.classList.remove('loading', 'blank');
    }
    state = now;
    draw();
    if (other && loaded) surroundings.start(loaded);
  }

  /** The target to explain, and what to say about it. @param {PromptState} now @param {Loaded} of */
  function resolve(now, of) {
    const { targets } = of.data.prompt;
    const asked = askedAt(of.data);
    const wanted = now.t ?? asked;
    const target = targets.includes(wanted) ? wanted : asked;
    const { floor } = of.index;
    const tau = now.tau ?? Math.max(floor, DEFAULT_TAU);
    const open = now.open.split(',').filter(Boolean);
    const failed = open.find((key) => lost.has(key));
    /** @type {(string | import('./prompt-head.js').Note)[]} */
    const notes = [
      said,
      ...surroundings.failures().map(({ what, error }) => ({ text: `${what} could not be read: ${error.message}.`, retry: surroundings.retry })),
      failed ? { text: `What ${failed} opens into could not be read: ${lost.get(failed)?.error?.message}.`, retry: () => lost.get(failed)?.retry() } : '',
      target === wanted ? '' : `Position ${wanted} is no stored target, so ${target} is shown. ${HOW_TO_STORE}`,
      now.sel !== null && known(now.sel) === null ? `There is no ${now.sel} in this prompt, so nothing is selected.` : '',
      ...openNotes(open, { index: of.index, nTokens: of.data.prompt.n_tokens }),
      tau < floor ? `Shares under the floor ${threshold(floor)} were not stored, so the floor is shown.` : '',
    ];
    return { target, tau: Math.max(tau, floor), notes: notes.filter((note) => note !== '').map((note) => (typeof note === 'string' ? { text: note } : note)) };
  }

  /** The selection, or null where this prompt and model have no such place. @param {string | null} sel */
  function known(sel) {
    return sel !== null && loaded && hasPlace(sel, { index: loaded.index, nTokens: loaded.data.prompt.n_tokens }) ? sel : null;
  }

  function draw() {
    if (!loaded || !state) return;
    const { index, data: found } = loaded;
    for (const key of state.open.split(',').filter(Boolean)) expansion(key);
    const { target, tau, notes } = resolve(state, loaded);
    if (!reach || reach.target !== target || reach.mode !== state.mode) {
      reach = reachFrom(loaded.graph, target, state.mode);
      shares = sharesOf(loaded.graph, reach);
      route = null;
    }
    if (!route || route.tau !== tau || route.mode !== state.mode) route = routeAt(loaded.graph, reach, tau);
    const selection = known(state.sel);
    const comparing = state.pair !== null && state.pair !== found.prompt.prompt_id;
    split.hidden = comparing;
    pair.el.hidden = !comparing;
    const asked = found.targets.find((one) => one.target === target);
    const props = { data: found, index, graph: loaded.graph, route, selection, tops: surroundings.tops(), faint: state.faint, hide: state.hide, open: state.open, zoom: state.zoom, expansion };
    const kept = keptFrom(state);
    const around = surroundings.around();
    const about = () => head.update({ comparing, index, data: found, target, outcome: asked, around, notes, kept, change: live?.change(index, found.prompt) ?? null });
    if (comparing) {
      clearTimeout(settling);
      about();
      drawPair({ ...props, target: asked }, tau);
      return jump.update(pair.panel, selection === null ? '' : 'Heads and numbers of this edge');
    }
    stage.update({ ...props, tau, shares, mode: state.mode });
    const { view, tau: _, zoom: __, ...rest } = state; // what moves often and changes nothing beside the graph
    const details = () => panel.update({ ...props, target: asked, source: data, without: live?.without(index, found.prompt) ?? (() => null), state: /** @type {PromptState} */ (state), onSelect: select, onGo: go });
    settle(JSON.stringify([index.id, found.prompt.prompt_id, view, rest, notes, around, props.tops === null]), () => {
      about();
      if (state?.embed !== 'graph') details();
      jump.update(panel.el, selection === null ? '' : `Details of ${placeName(selection)}`);
    });
  }

  let settling = 0;
  let looks = '';
  /**
   * What stands beside the graph follows at once, but while only the threshold moves it waits for the hand to rest.
   * @param {string} look everything but the threshold @param {() => void} run
   */
  function settle(look, run) {
    clearTimeout(settling);
    if (look === looks && performance.now() - moved < RESTING_MS) settling = window.setTimeout(run, RESTING_MS);
    else run();
    looks = look;
    moved = performance.now();
  }
  let moved = -Infinity;

  /** @param {import('./pair-view.js').Side} here @param {number} tau */
  function drawPair(here, tau) {
    if (!state || state.pair === null) return;
    const other = beside(here, state.pair, { mode: state.mode, tau });
    pair.update({ ...other, here, shares: [...shares, ...other.shares], selection: here.selection, tau, sorting: sortingOf(state.order, (order) => go({ order }, true)) });
  }

  /** @param {string} key @param {KeyboardEvent} event @returns {boolean} whether the key meant something here */
  function onKey(key, event) {
    if (!loaded || !state || !route) return false;
    if (!pair.el.hidden ? pair.onKey(key) : stage.onKey(key, event)) return true;
    if (key === '-' || key === '_') go({ tau: stage.nudge(route.tau, -1) }, true);
    else if (key === '=' || key === '+') go({ tau: stage.nudge(route.tau, 1) }, true);
    else if (key === 'm') go({ mode: MODES[(MODES.indexOf(state.mode) + 1) % MODES.length] });
    else if (key === 'f') go({ faint: !state.faint }, true);
    else if (key === 'p') return togglePair();
    else if ((key === '[' || key === ']') && requested) stepper.step(key === '[' ? -1 : 1, requested.id);
    else if (key === 'Escape' && state.pair !== null && state.sel === null) go({ pair: null });
    else if (key === 'Escape' && (state.sel !== null || said)) {
      said = '';
      select(null);
      draw();
    } else return false;
    return true;
  }

  const title = () => (loaded ? `${clip(showText(loaded.data.prompt.text), 60)} · ${loaded.index.title}` : 'Prediction');
  return { el, update, onKey, title };
}
