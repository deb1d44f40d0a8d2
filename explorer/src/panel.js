/**
 * The panel answers what is selected, and says what to click when nothing is. Its contents are tabs: each says whether
 * it has something to show for a selection; the bar appears once more than one has.
 */

import { edgeTab, nodeTab, overviewTab } from './panel-tabs.js';
import { attr, fill, h } from './dom.js';

/**
 * @typedef {import('./graph.js').GraphProps & { target: import('./data.js').Target | undefined,
 *   lens: import('./data.js').LensRow[] | Error | null, onSelect: (key: string | null) => void,
 *   onRetry: () => void }} PanelProps `lens` of the selected node; null while it loads
 * @typedef {{ id: string, label: string, applies: (props: PanelProps) => boolean,
 *   render: (props: PanelProps) => Node[] }} Tab
 */

/** @type {Tab[]} in the order in which they are offered; the first that applies is shown first */
const TABS = [nodeTab, edgeTab, overviewTab];

export function createPanel() {
  const bar = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'What the panel shows', hidden: true });
  const body = h('div', { class: 'panel-body' });
  const el = h('aside', { class: 'panel', 'data-testid': 'panel', 'aria-label': 'Details of the selection', tabindex: '-1' }, bar, body);
  // In a list of edges, up and down move along the list, not along the graph.
  el.addEventListener('keydown', (event) => {
    const lines = [...body.querySelectorAll('.line')];
    const at = lines.indexOf(/** @type {Element} */ (document.activeElement));
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (at < 0 || by === undefined) return;
    event.preventDefault();
    /** @type {HTMLElement | undefined} */ (lines[at + by])?.focus();
  });
  /** @type {string | null} */
  let chosen = null;
  /** @type {string | null} */
  let selection = null;
  /** @type {PanelProps | null} */
  let now = null;

  /** @param {PanelProps} props */
  function update(props) {
    now = props;
    const tabs = TABS.filter((tab) => tab.applies(props));
    const current = tabs.find((tab) => tab.id === chosen) ?? tabs[0];
    bar.hidden = tabs.length < 2;
    fill(bar, ...(bar.hidden ? [] : tabs.map((tab) => tabButton(tab, tab === current))));
    attr(body, 'role', bar.hidden ? null : 'tabpanel');
    // The list a reader was in keeps the keyboard's focus when it is drawn anew.
    const focused = body.contains(document.activeElement) ? document.activeElement?.getAttribute('data-go') : null;
    fill(body, ...current.render(props));
    if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`[data-go="${CSS.escape(focused)}"]`))?.focus({ preventScroll: true });
    if (props.selection !== selection) el.scrollTop = 0;
    selection = props.selection;
  }

  /** @param {Tab} tab @param {boolean} on */
  function tabButton(tab, on) {
    const choose = () => {
      chosen = tab.id;
      if (now) update(now);
    };
    return h('button', { type: 'button', role: 'tab', 'aria-selected': on ? 'true' : 'false', onclick: choose }, tab.label);
  }

  return { el, update };
}
