/**
 * The panel answers what is selected, and says what to click when nothing is. Its contents are tabs; each is drawn anew
 * from its props, from tables that are fetched when it first asks for them.
 */

import { attr, fill, h, perFrame, refill } from './dom.js';
import { createMemo } from './memo.js';
import { editsTab } from './panel-edits.js';
import { effectsTab } from './panel-effects.js';
import { headsTab } from './panel-heads.js';
import { mlpTab } from './panel-mlp.js';
import { nodeTab } from './panel-node.js';
import { traceTab } from './panel-trace.js';
import { createResources } from './resources.js';
import { sortingOf } from './table.js';
import { focusOf, naturalTab } from './tabs.js';

/**
 * @typedef {import('./state.js').PromptState} PromptState
 * @typedef {import('./graph.js').GraphProps & { target: import('./data.js').Target | undefined, source: import('./data.js').Data,
 *   state: PromptState, onSelect: (key: string | null) => void,
 *   onGo: (change: Partial<PromptState>, replace?: boolean) => void, without: import('./live.js').Without }} Given `onGo` changes the state, `onSelect` as a click on the graph does
 * @typedef {Given & { ask: import('./resources.js').Ask, memo: (key: string, make: () => Element) => Element, width: number,
 *   focus: import('./tabs.js').Focus, sorting: import('./table.js').Sorting }} PanelProps `ask` and `memo` keys are of this
 *   prompt; `width` is the room in pixels; `focus` is the node that the selection is about
 * @typedef {{ id: import('./tabs.js').TabName, label: (props: PanelProps) => string, render: (props: PanelProps) => Node[],
 *   offered?: (props: PanelProps) => boolean }} Tab `offered`: not in every run
 */

/** @type {Tab[]} in the order in which they are offered */
const TABS = [nodeTab, headsTab, mlpTab, traceTab, effectsTab, editsTab];

/** @param {{ onRetry: () => void }} options `onRetry`: a reader tries again what could not be read */
export function createPanel({ onRetry }) {
  const bar = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'What the panel shows', hidden: true }); // until there is something
  const body = h('div', { class: 'panel-body', role: 'tabpanel', id: 'panel-body' });
  const el = h('aside', { class: 'panel', 'data-testid': 'panel', 'aria-label': 'Details of the selection', tabindex: '-1' }, bar, body);
  const memo = createMemo();
  const redraw = perFrame(() => given && update(given));
  const { ask } = createResources({ onSettled: redraw, onRetry });
  /** @type {Given | null} */
  let given = null;
  let shown = '';
  let width = 0;

  const buttons = TABS.map((tab) =>
    h('button', { type: 'button', role: 'tab', id: `tab-${tab.id}`, 'data-testid': `tab-${tab.id}`, 'aria-controls': 'panel-body', onclick: () => choose(tab.id) }),
  );
  fill(bar, ...buttons);

  // In a list, up and down move along the list, not along the graph; on the tabs, left and right.
  el.addEventListener('keydown', (event) => {
    const onTab = bar.contains(document.activeElement);
    const group = onTab ? buttons.filter((button) => !button.hidden) : [...body.querySelectorAll('.line, .pick')];
    const at = group.indexOf(/** @type {any} */ (document.activeElement));
    const by = { [onTab ? 'ArrowRight' : 'ArrowDown']: 1, [onTab ? 'ArrowLeft' : 'ArrowUp']: -1 }[event.key];
    if (at < 0 || by === undefined) return;
    event.preventDefault();
    const to = /** @type {HTMLElement | undefined} */ (onTab ? group.at((at + by) % group.length) : group[at + by]);
    to?.focus();
    if (onTab) to?.click();
  });
  new ResizeObserver(() => {
    if (Math.abs(el.clientWidth - width) > 8) redraw();
  }).observe(el);

  /** @param {import('./tabs.js').TabName} id */
  function choose(id) {
    if (given) given.onGo({ tab: id === naturalTab(given.selection) ? null : id });
  }

  /** @param {Given} next */
  function update(next) {
    given = next;
    width = el.clientWidth;
    memo.turn();
    const { index, data, route, selection, state } = next;
    const prefix = `${index.id} ${data.prompt.prompt_id} `;
    /** @type {PanelProps} */
    const props = {
      ...next,
      ask: (key, load) => ask(prefix + key, load),
      memo: (key, make) => memo.get(`${prefix}${width} ${key}`, make),
      width: Math.max(200, width - 34),
      focus: focusOf(selection, { nLayers: index.n_layers, parallel: index.parallel, target: route.target }),
      sorting: sortingOf(state.order, (order) => next.onGo({ order }, true)),
    };
    const natural = naturalTab(selection);
    const offered = TABS.filter((tab) => tab.offered?.(props) ?? true);
    const current = offered.find((tab) => tab.id === state.tab) ?? TABS.find((tab) => tab.id === natural) ?? TABS[0];
    bar.hidden = false;
    TABS.forEach((tab, i) => {
      buttons[i].hidden = !offered.includes(tab);
      drawTab(buttons[i], tab.label(props), tab === current);
    });
    attr(body, 'aria-labelledby', `tab-${current.id}`);
    refill(body, () => current.render(props));
    const about = `${prefix}${selection} ${current.id}`;
    if (about !== shown) el.scrollTop = 0;
    shown = about;
  }

  /** @param {HTMLButtonElement} button @param {string} label @param {boolean} on */
  function drawTab(button, label, on) {
    if (button.textContent !== label) button.textContent = label;
    attr(button, 'aria-selected', on ? 'true' : 'false');
    attr(button, 'tabindex', on ? '0' : '-1');
  }

  return { el, update };
}
