/** The small nodes of opened nodes, drawn: flows below, labels above. Few at a time, so all are drawn anew. */

import { fill, s } from './dom.js';
import { placeChips } from './expand.js';
import { clip, exact, fraction, quantity, showToken } from './format.js';
import { CHIP } from './layout.js';
import { binOf, scaleOf, widthOf } from './marks.js';

/** @typedef {import('./expand.js').Chip} Chip */

/** @param {Chip} chip @param {string} where */
function words(chip, where) {
  const what = chip.kind === 'head' ? 'head' : chip.kind === 'neuron' ? 'neuron' : '';
  const promotes = chip.token === null ? '' : `, promotes most ${showToken(chip.token)}${chip.score === null ? '' : ` (${quantity(chip.score)} logits)`}`;
  return `${what} ${chip.name} into ${where}, share ${exact(chip.share)}${promotes}${chip.activation === null ? '' : `, activation ${quantity(chip.activation)}`}`.trim();
}

/** @param {{ onPart: (part: { kind: 'head' | 'neuron', name: string, node: string }) => void }} options */
export function createChips({ onPart }) {
  const flows = s('g', { class: 'flows', 'aria-hidden': 'true' });
  const labels = s('g', { class: 'chips' });
  let drawn = '';

  /** @param {Chip} chip @param {number} x @param {number} y @param {'left' | 'right'} side @param {string} node */
  function label(chip, x, y, side, node) {
    const left = side === 'left' ? x - CHIP.width : x;
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
      s('title', {}, words(chip, node)),
      s('rect', { x: left, y: y - CHIP.height / 2, width: CHIP.width, height: CHIP.height, rx: 4 }),
      s('rect', { class: 'level', x: left, y: y + CHIP.height / 2 - 2.5, width: Math.max(1, CHIP.width * Math.min(1, chip.share)), height: 2.5 }),
      s('text', { x: left + 5, y: y + 3.6, class: 'name' }, chip.name),
      s('text', { x: left + 50 + Math.max(0, chip.name.length - 6) * 3, y: y + 3.6, class: 'says' }, chip.token === null ? '' : clip(showToken(chip.token), 8)),
      s('text', { x: left + CHIP.width - 5, y: y + 3.6, 'text-anchor': 'end', class: 'share' }, fraction(chip.share)),
    );
  }

  /**
   * @param {import('./layout.js').Layout} layout @param {import('./expand.js').Opened[]} opened
   */
  function update(layout, opened) {
    const look = JSON.stringify([opened, layout.width, layout.height]);
    if (look === drawn) return;
    drawn = look;
    const scale = scaleOf(layout);
    const focused = labels.contains(document.activeElement) ? document.activeElement?.getAttribute('data-name') : null;
    const placed = opened.flatMap((one) => placeChips(layout, one).map((chip) => ({ ...chip, one })));
    const flow = (/** @type {string} */ d, /** @type {number} */ share, /** @type {string} */ kind) => s('path', { class: `edge ${kind} b${binOf(share)}`, d, 'stroke-width': Math.round(widthOf(share) * scale * 10) / 10 });
    fill(flows, ...placed.flatMap(({ chip, into, out, one }) => {
      const kind = one.side === 'left' ? 'attn' : 'mlp';
      return [...out.map(({ d, share }) => flow(d, share, kind)), flow(into, chip.share, kind)];
    }));
    fill(labels, ...placed.map(({ chip, x, y, one }) => label(chip, x, y, one.side, one.key)));
    if (focused) /** @type {SVGElement | null} */ (labels.querySelector(`[data-name="${CSS.escape(focused)}"]`))?.focus();
  }

  return { layers: [flows, labels], update };
}
