/** A view in a frame of another page, an iframe or a notebook: without the header; whatever leads away from it opens beside that page. */

import './embed.css';
import { attr, fill, h } from './dom.js';
import { showText } from './format.js';
import { format, isOfRun, parse } from './state.js';

/** @typedef {import('./state.js').State} State */

/** @param {State} state @returns {import('./state.js').Embed | null} */
export const embedOf = (state) => (isOfRun(state) ? (state.embed ?? null) : null);

/** Opens a view in a tab of its own. @param {State} state */
export const openBeside = (state) => void window.open(format(state), '_blank', 'noopener');

/** Links of a frame that lead out of it open beside the page that holds it. @param {Event} event of a click */
export function leadBeside(event) {
  const link = event.target instanceof Element ? event.target.closest('a[href^="#/"]') : null;
  if (!link || embedOf(parse(link.getAttribute('href') ?? '').state)) return;
  attr(link, 'target', '_blank');
  attr(link, 'rel', 'noopener');
}

/** The line under a framed view: whose it is, and the way to all of it. @returns {{ el: HTMLElement, update: (state: State) => void }} */
export function createEmbedLine() {
  const el = h('footer', { class: 'embed-line', hidden: true });
  return {
    el,
    update(state) {
      el.hidden = !embedOf(state);
      if (!isOfRun(state)) return;
      fill(el, h('span', { class: 'quiet' }, showText(state.run)), h('a', { href: format({ ...state, embed: null }), 'data-testid': 'embed-open' }, 'Open in flowatlas ↗'));
    },
  };
}
