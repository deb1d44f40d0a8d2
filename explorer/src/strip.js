/** The prompt's tokens as chips: a stored target is chosen by click, or by arrow keys and Enter. */

import { attr, fill, h } from './dom.js';
import { clip, showToken } from './format.js';

/** @param {{ onTarget: (pos: number) => void }} options */
export function createStrip({ onTarget }) {
  const el = h('div', { class: 'strip', role: 'toolbar', 'aria-label': 'Tokens: choose the position whose prediction is explained' });
  /** @type {HTMLButtonElement[]} */
  let chips = [];
  /** @type {import('./data.js').PromptData | null} */
  let drawn = null;

  /** @param {import('./data.js').PromptData} data */
  function build({ prompt, special }) {
    const stored = new Set(prompt.targets);
    chips = prompt.tokens.map((token, pos) => {
      const shown = showToken(token);
      const isStored = stored.has(pos);
      const kind = `${special.has(prompt.token_ids[pos]) ? ' special' : ''}${isStored ? '' : ' unstored'}`;
      return h(
        'button',
        {
          type: 'button',
          class: `chip${kind}`,
          tabindex: '-1',
          'data-testid': `token-${pos}`,
          title: `${shown}\nposition ${pos}, token id ${prompt.token_ids[pos]}${isStored ? '\nexplain the prediction made here' : '\nnot stored as a target'}`,
          onclick: () => onTarget(pos),
        },
        h('bdi', {}, clip(shown, 40)),
        h('span', { class: 'gap' }, ' '),
        h('span', { class: 'pos' }, pos),
      );
    });
    fill(el, ...chips);
  }

  el.addEventListener('keydown', (event) => {
    const at = chips.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: chips.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    chips[Math.min(chips.length - 1, Math.max(0, to))].focus();
  });

  /** @param {{ data: import('./data.js').PromptData, target: number }} props */
  function update({ data, target }) {
    if (data !== drawn) build(data);
    chips.forEach((chip, pos) => {
      attr(chip, 'aria-pressed', pos === target ? 'true' : 'false');
      attr(chip, 'tabindex', pos === target ? '0' : '-1');
    });
    if (data !== drawn) {
      const chosen = chips[target];
      // Only the strip scrolls, never the page.
      if (chosen) el.scrollTop = Math.max(0, chosen.offsetTop - el.clientHeight / 2);
    }
    drawn = data;
  }

  return { el, update };
}
