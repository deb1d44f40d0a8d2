/** The prompt's tokens as chips: a stored target is chosen by click, or by arrow keys and Enter. */

import { isGenerated } from './asked.js';
import { attr, fill, h, perFrame, text } from './dom.js';
import { clip, showToken } from './format.js';

/** @param {{ onTarget: (pos: number) => void }} options */
export function createStrip({ onTarget }) {
  const strip = h('div', { class: 'strip', role: 'toolbar', 'aria-label': 'Tokens: choose the position whose prediction is explained' });
  const cue = h('p', { class: 'strip-cue', 'data-testid': 'strip-cue', 'aria-hidden': 'true', hidden: true });
  const el = h('div', { class: 'strip-box' }, strip, cue);
  /** @type {HTMLButtonElement[]} */
  let chips = [];
  /** @type {import('./data.js').PromptData | null} */
  let drawn = null;

  /** @param {import('./data.js').PromptData} data */
  function build({ prompt, special, generated }) {
    const stored = new Set(prompt.targets);
    chips = prompt.tokens.map((token, pos) => {
      const shown = showToken(token);
      const isStored = stored.has(pos);
      const written = isGenerated({ generated }, pos);
      const kind = `${special.has(prompt.token_ids[pos]) ? ' special' : ''}${isStored ? '' : ' unstored'}${written ? ' written' : ''}`;
      return h(
        'button',
        {
          type: 'button',
          class: `chip${kind}`,
          tabindex: '-1',
          'data-testid': `token-${pos}`,
          title: `${shown}\nposition ${pos}, token id ${prompt.token_ids[pos]}${written ? '\nwritten by the model' : ''}${isStored ? '\nexplain the prediction made here' : '\nnot stored as a target'}`,
          onclick: () => onTarget(pos),
        },
        h('bdi', {}, clip(shown, 40)),
        h('span', { class: 'gap' }, ' '),
        h('span', { class: 'pos' }, pos),
      );
    });
    fill(strip, ...chips);
  }

  strip.addEventListener('keydown', (event) => {
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
      if (chosen) strip.scrollTop = Math.max(0, chosen.offsetTop - strip.clientHeight / 2);
      say();
    }
    drawn = data;
  }

  /** Where the strip holds more than it shows, which part of it that is. */
  const say = perFrame(() => {
    const [top, bottom] = [strip.scrollTop, strip.scrollTop + strip.clientHeight];
    const seen = chips.flatMap((chip, pos) => (chip.offsetTop + chip.offsetHeight / 2 > top && chip.offsetTop + chip.offsetHeight / 2 < bottom ? [pos] : []));
    const more = seen.length > 0 && seen.length < chips.length;
    cue.hidden = !more;
    strip.classList.toggle('more-above', more && top > 4);
    strip.classList.toggle('more-below', more && bottom < strip.scrollHeight - 4);
    text(cue, more ? `positions ${seen[0]} to ${seen.at(-1)} of 0 to ${chips.length - 1}: scroll for the others` : '');
  });
  strip.addEventListener('scroll', say, { passive: true });
  new ResizeObserver(say).observe(strip);

  return { el, update };
}
