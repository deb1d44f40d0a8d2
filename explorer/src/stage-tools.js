/** The graph's own buttons: zoom, fit, open a node, fullscreen; and which kinds of edges are shown. */

import { KIND_WORDS } from './describe.js';
import { attr, h, s } from './dom.js';
import { HIDEABLE } from './state.js';

/** @type {Record<string, string>} */
const TITLES = { resid: 'Draw residual edges', mlp: 'Draw MLP edges', self: 'Draw attention of a token to itself' };

const ICON = { viewBox: '0 0 16 16', width: 16, height: 16, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5, 'aria-hidden': 'true' };
/** @param {string} d @returns {Node} */
const icon = (d) => s('svg', ICON, s('path', { d }));

/** @param {string} label @param {string | Node} sign @param {() => void} run @param {string} [testid] */
const button = (label, sign, run, testid) => h('button', { type: 'button', class: 'icon', 'aria-label': label, title: label, 'data-testid': testid ?? null, onclick: run }, sign);

/**
 * @param {{ scale: (factor: number) => void, fit: () => void, stage: () => HTMLElement | null, onOpen: () => void,
 *   onToggle: (kind: string) => void }} options `stage` is what fills the screen
 */
export function createStageTools({ scale, fit, stage, onOpen, onToggle }) {
  const vertical = s('path', { d: 'M8 5v6' });
  const opening = /** @type {any} */ (s('svg', ICON, s('path', { d: 'M2.5 2.5h11v11h-11zM5 8h6' }), vertical));
  const open = button('Open the selected node into its heads or neurons  e', opening, onOpen, 'expand');
  const full = button('Fullscreen  v', icon('M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4'), () => void toggleFull(), 'fullscreen');
  const zoom = h(
    'div',
    { class: 'zoom', role: 'group', 'aria-label': 'View of the graph' },
    open,
    button('Zoom out  Shift z', '−', () => scale(1 / 1.4)),
    button('Zoom in  z', '+', () => scale(1.4)),
    button('Fit the graph to the window  0', icon('M3 8V3h5M13 8v5H8M3 3l10 10'), fit, 'fit'),
    full,
  );
  const boxes = HIDEABLE.map((kind) => h('input', { type: 'checkbox', 'data-testid': `toggle-${kind}`, checked: true, onchange: () => onToggle(kind) }));
  const toggles = h(
    'fieldset',
    { class: 'kinds' },
    h('legend', {}, 'edges'),
    ...HIDEABLE.map((kind, i) => h('label', { class: 'check', title: TITLES[kind] }, boxes[i], KIND_WORDS[kind])),
  );

  async function toggleFull() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await stage()?.requestFullscreen().catch(() => {}); // a host may forbid it in a frame
  }
  full.hidden = !document.fullscreenEnabled;
  document.addEventListener('fullscreenchange', () => {
    const on = document.fullscreenElement !== null;
    attr(full, 'aria-pressed', on ? 'true' : 'false');
    attr(full, 'aria-label', on ? 'Leave fullscreen  v' : 'Fullscreen  v');
    attr(full, 'title', on ? 'Leave fullscreen  v' : 'Fullscreen  v');
  });

  /** @param {{ hide: string, isOpen: boolean, some: boolean }} props `some`: something is selected */
  function update({ hide, isOpen, some }) {
    const hidden = hide.split(',');
    HIDEABLE.forEach((kind, i) => (boxes[i].checked = !hidden.includes(kind)));
    attr(vertical, 'visibility', isOpen ? 'hidden' : null);
    const label = isOpen ? (some ? 'Close the opened node  e' : 'Close what is opened  e') : 'Open the selected node into its heads or neurons  e';
    attr(open, 'aria-label', label);
    attr(open, 'title', label);
    attr(open, 'aria-pressed', isOpen ? 'true' : 'false');
  }

  return { zoom, toggles, update, toggleFull: () => void toggleFull() };
}
