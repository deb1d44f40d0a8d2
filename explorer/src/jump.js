/** On a narrow page the panel lies under the graph: a bar at the window's foot leads to what was asked, and back. */

import { fill, h, text } from './dom.js';

const NARROW = '(max-width: 900px)';

/** @param {{ graph: HTMLElement }} options what the bar leads back to */
export function createJump({ graph }) {
  const label = h('span', { class: 'words' });
  const arrow = h('b', { 'aria-hidden': 'true' }, '↓');
  const el = h('button', { type: 'button', class: 'jump', 'data-testid': 'jump', hidden: true, onclick: go }, label, arrow);
  /** @type {HTMLElement | null} */
  let panel = null;
  let below = true;
  let wanted = '';

  function go() {
    const to = below ? panel : graph;
    to?.scrollIntoView({ block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    if (below) panel?.focus({ preventScroll: true });
  }

  function draw() {
    el.hidden = wanted === '' || panel === null || !matchMedia(NARROW).matches;
    text(label, below ? wanted : 'Back to the graph');
    fill(arrow, below ? '↓' : '↑');
  }

  const watch = new IntersectionObserver(([entry]) => {
    // In view counts from where it fills a third of the window, or all of it is there.
    below = entry.boundingClientRect.top > window.innerHeight * 0.66;
    draw();
  }, { threshold: [0, 0.1, 0.2, 0.3, 0.5], rootMargin: '0px 0px -33% 0px' });

  return {
    el,
    /** @param {HTMLElement} to @param {string} words what is to be read there, empty when nothing was asked */
    update(to, words) {
      if (panel !== to) {
        watch.disconnect();
        watch.observe(to);
      }
      panel = to;
      wanted = words;
      below = to.getBoundingClientRect().top > window.innerHeight * 0.66;
      draw();
    },
  };
}
