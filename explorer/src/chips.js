/** The small nodes of opened nodes, drawn: flows below, labels above. Few at a time, so all are drawn anew. */

import { fill, s } from './dom.js';
import { placeChips, stacks } from './expand.js';
import { clip, exact, fraction, quantity, showText, showToken } from './format.js';
import { CHIP } from './layout.js';
import { nameText } from './name-label.js';
import { binOf, widthOf } from './sizes.js';

const GLYPH = 6.7; // width of a character of a chip
const PAD = 5;

/** @typedef {import('./expand.js').Chip} Chip */
/** @typedef {import('./name-label.js').Labelled} Labelled */

/** @param {Labelled} index @param {Chip} chip @param {string} where */
function words(index, chip, where) {
  const what = chip.kind === 'head' ? 'head' : chip.kind === 'neuron' ? 'neuron' : '';
  const promotes = chip.token === null ? '' : `, promotes most ${showToken(chip.token)}${chip.score === null ? '' : ` (${quantity(chip.score)} logits)`}`;
  return `${what} ${nameText(index, chip.name)} into ${where}, share ${exact(chip.share)}${promotes}${chip.activation === null ? '' : `, activation ${quantity(chip.activation)}`}`.trim();
}

/** @param {{ onPart: (part: { kind: 'head' | 'neuron', name: string, node: string }) => void }} options */
export function createChips({ onPart }) {
  const flows = s('g', { class: 'flows', 'aria-hidden': 'true' });
  const labels = s('g', { class: 'chips' });
  let drawn = '';

  /** @param {Labelled} index @param {Chip} chip @param {number} width @param {'left' | 'right'} side @param {string} node */
  function label(index, chip, width, side, node) {
    const left = side === 'left' ? -width : 0;
    const share = fraction(chip.share);
    const most = Math.floor((width - 2 * PAD) / GLYPH) - share.length - 1;
    const name = chip.name.length > most ? chip.name.split(' ').slice(0, 2).join(' ') : chip.name; // "13 more" of what is seen
    const [from, to] = [PAD + (name.length + 1) * GLYPH, width - PAD - (share.length + 1) * GLYPH];
    const room = Math.floor((to - from) / GLYPH);
    const called = showText(index.names.label(chip.name)); // what a person says of it rather than its token
    const says = called || (chip.token === null ? '' : showToken(chip.token));
    const part = chip.kind === 'rest' ? null : { kind: chip.kind, name: chip.name, node };
    const act = (/** @type {Event} */ event) => {
      event.stopPropagation();
      event.preventDefault();
      if (part) onPart(part);
    };
    return s(
      'g',
      {
        class: `chip-node ${side === 'left' ? 'attn' : 'mlp'} ${chip.kind} b${binOf(chip.share)}`,
        role: part ? 'button' : 'img',
        tabindex: part ? '0' : null,
        'data-testid': chip.kind === 'rest' ? 'expanded-rest' : `expanded-${chip.kind}`,
        'data-name': chip.name,
        'data-share': chip.share,
        onclick: act,
        onkeydown: (/** @type {KeyboardEvent} */ event) => (event.key === 'Enter' || event.key === ' ') && act(event),
      },
      s('title', {}, words(index, chip, node)),
      s('rect', { x: left, y: -CHIP.height / 2, width, height: CHIP.height, rx: 4 }),
      s('rect', { class: 'level', x: left, y: CHIP.height / 2 - 2.5, width: Math.max(1, width * Math.min(1, chip.share)), height: 2.5 }),
      s('text', { x: left + PAD, y: 3.6, class: 'name' }, name),
      room < 2 || !says ? null : s('text', { x: left + from, y: 3.6, class: called ? 'says called' : 'says' }, clip(says, room)),
      s('text', { x: left + width - PAD, y: 3.6, 'text-anchor': 'end', class: 'share' }, share),
    );
  }

  /**
   * @param {import('./layout.js').Layout} layout @param {import('./expand.js').Opened[]} opened
   * @param {Labelled} index @param {number} k magnification: labels keep their size, unless less than the whole would be seen of them
   */
  function update(layout, opened, index, k) {
    const size = Math.min(1, 1 / k);
    const look = JSON.stringify([opened, layout.width, layout.height, size]);
    if (look === drawn) return;
    drawn = look;
    const focused = labels.contains(document.activeElement) ? document.activeElement?.getAttribute('data-name') : null;
    const tops = stacks(layout, opened, size);
    const placed = opened.flatMap((one, i) => placeChips(layout, one, tops[i], size).map((chip) => ({ ...chip, one })));
    const flow = (/** @type {string} */ d, /** @type {number} */ share, /** @type {string} */ kind) => s('path', { class: `edge ${kind} b${binOf(share)}`, d, style: `--w:${widthOf(share)}px` });
    fill(flows, ...placed.flatMap(({ chip, into, out, one }) => {
      const kind = one.side === 'left' ? 'attn' : 'mlp';
      return [...out.map(({ d, share }) => flow(d, share, kind)), flow(into, chip.share, kind)];
    }));
    fill(labels, ...placed.map(({ chip, x, y, one }) => s('g', { transform: `translate(${x},${y}) scale(${size})` }, label(index, chip, layout.chip, one.side, one.key))));
    if (focused) /** @type {SVGElement | null} */ (labels.querySelector(`[data-name="${CSS.escape(focused)}"]`))?.focus({ preventScroll: true });
  }

  return { layers: [flows, labels], update };
}
