/**
 * The threshold: a slider on a logarithmic scale from the floor up, the histogram of the shares it cuts behind it, and
 * a field for an exact value.
 */

import { attr, h, perFrame, s, text } from './dom.js';
import { plural, threshold } from './format.js';

const STEPS = 1000;
const TOP = 0.99;
const BARS = 48;
const HEIGHT = 30;

/** @param {number} position 0..STEPS @param {number} floor @returns {number} three significant figures, the floor exactly at 0 */
export function tauAt(position, floor) {
  if (position <= 0) return floor;
  const tau = floor * (TOP / floor) ** (Math.min(position, STEPS) / STEPS);
  return Math.max(floor, Number(tau.toPrecision(3)));
}

/** @param {number} tau @param {number} floor */
export function positionOf(tau, floor) {
  const position = (STEPS * Math.log(Math.max(tau, floor) / floor)) / Math.log(TOP / floor);
  return Math.min(STEPS, Math.max(0, Math.round(position)));
}

/**
 * How many shares fall into each bar of the slider's scale.
 * @param {number[]} shares @param {number} floor @returns {number[]}
 */
export function histogram(shares, floor, bars = BARS) {
  const counts = Array(bars).fill(0);
  for (const share of shares) {
    if (share > floor) counts[Math.min(bars - 1, Math.floor((positionOf(share, floor) / STEPS) * bars))] += 1;
  }
  return counts;
}

/** @param {number[]} counts @returns {string} a path of bars, heights by square root so that single edges show */
function bars(counts) {
  const most = Math.max(1, ...counts);
  const width = 100 / counts.length;
  return counts
    .map((count, i) => (count ? `M${(i * width).toFixed(2)},${HEIGHT}h${(width * 0.78).toFixed(2)}v${(-HEIGHT * Math.sqrt(count / most)).toFixed(2)}h${(-width * 0.78).toFixed(2)}z` : ''))
    .join('');
}

/** @param {{ onTau: (tau: number) => void }} options */
export function createSlider({ onTau }) {
  const below = s('path', { class: 'cut' });
  const above = s('path', { class: 'kept' });
  const clip = s('rect', { y: 0, height: HEIGHT, x: 0, width: 100 });
  const chart = s(
    'svg',
    { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true', class: 'histogram' },
    s('clipPath', { id: 'above-tau' }, clip),
    below,
    s('g', { 'clip-path': 'url(#above-tau)' }, above),
  );
  const range = h('input', { type: 'range', min: 0, max: STEPS, step: 1, id: 'tau', 'data-testid': 'tau-slider', 'aria-label': 'Threshold: smallest share that is on the route' });
  const field = h('input', { type: 'text', inputmode: 'decimal', class: 'tau-field', size: 6, 'aria-label': 'Threshold, exact value', 'data-testid': 'tau-field', spellcheck: 'false', autocomplete: 'off' });
  const ends = h('span', { class: 'ends', 'aria-hidden': 'true' }, h('span', {}, ''), h('span', {}, '1'));
  const el = h(
    'div',
    { class: 'tau' },
    h('label', { for: 'tau' }, 'threshold'),
    h('div', { class: 'track' }, /** @type {any} */ (chart), range, ends),
    field,
  );
  let floor = 0.01;
  /** @type {number[] | null} */
  let drawn = null;

  const send = perFrame(() => onTau(tauAt(Number(range.value), floor)));
  range.addEventListener('input', send);
  field.addEventListener('change', () => {
    const typed = Number(field.value.trim().replace(',', '.'));
    if (field.value.trim() !== '' && typed >= 0 && typed < 1) onTau(Math.max(typed, floor));
    else range.dispatchEvent(new Event('input'));
  });
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') field.blur();
  });

  /** @param {{ tau: number, floor: number, shares: number[] }} props */
  function update({ tau, floor: least, shares }) {
    if (shares !== drawn || least !== floor) {
      const path = bars(histogram(shares, least));
      attr(below, 'd', path);
      attr(above, 'd', path);
      drawn = shares;
    }
    floor = least;
    const position = positionOf(tau, floor);
    if (tauAt(Number(range.value), floor) !== tau) range.value = String(position);
    attr(clip, 'x', (100 * position) / STEPS);
    range.style.setProperty('--at', `${(100 * position) / STEPS}%`);
    const kept = shares.reduce((n, share) => n + (share > tau ? 1 : 0), 0);
    attr(range, 'aria-valuetext', `${threshold(tau)}: ${plural(kept, 'share')} of ${shares.length} above`);
    attr(range, 'title', `${kept} of ${shares.length} stored shares are above ${threshold(tau)}`);
    if (document.activeElement !== field) field.value = threshold(tau);
    text(/** @type {Element} */ (ends.firstElementChild), `${threshold(floor)} (floor)`);
  }

  /** The neighbouring threshold. @param {number} tau @param {number} by in steps of the scale */
  const nudge = (tau, by) => tauAt(Math.min(STEPS, Math.max(0, positionOf(tau, floor) + by)), floor);

  return { el, update, nudge };
}
