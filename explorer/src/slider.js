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

const LADDER = [1, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2, 2.2, 2.4, 2.7, 3, 3.3, 3.6, 4, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1];

/**
 * The next threshold up or down on a ladder of round numbers, so that one step back undoes one step forth.
 * @param {number} tau @param {number} by 1 or -1 @param {number} floor
 */
export function nudged(tau, by, floor) {
  const rungs = [-4, -3, -2, -1].flatMap((power) => LADDER.map((step) => Number((step * 10 ** power).toPrecision(2))));
  const to = by > 0 ? rungs.find((rung) => rung > tau * 1.0001) : rungs.findLast((rung) => rung < tau * 0.9999);
  return Math.min(TOP, Math.max(floor, to ?? (by > 0 ? TOP : floor)));
}

/** The threshold that a reader typed; null where it is none. @param {string} text */
export function readTau(text) {
  const typed = text.trim().replace(',', '.');
  const value = Number(typed);
  return typed !== '' && value > 0 && value < 1 ? value : null;
}

let sliders = 0;

/** @param {{ onTau: (tau: number) => void, name?: string }} options `name` tells two sliders of one page apart */
export function createSlider({ onTau, name = 'tau' }) {
  const clipId = `above-${(sliders += 1)}`;
  const below = s('path', { class: 'cut' });
  const above = s('path', { class: 'kept' });
  const clip = s('rect', { y: 0, height: HEIGHT, x: 0, width: 100 });
  const chart = s(
    'svg',
    { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true', class: 'histogram' },
    s('clipPath', { id: clipId }, clip),
    below,
    s('g', { 'clip-path': `url(#${clipId})` }, above),
  );
  const range = h('input', { type: 'range', min: 0, max: STEPS, step: 1, id: name, 'data-testid': `${name}-slider`, 'aria-label': 'Threshold: smallest share that is on the route' });
  const field = h('input', { type: 'text', inputmode: 'decimal', class: 'tau-field', size: 6, 'aria-label': 'Threshold, exact value', 'data-testid': `${name}-field`, 'aria-describedby': `${name}-refused`, spellcheck: 'false', autocomplete: 'off' });
  const ends = h('span', { class: 'ends', 'aria-hidden': 'true' }, h('span', {}, ''), h('span', {}, String(TOP)));
  const refused = h('span', { class: 'refused', id: `${name}-refused`, role: 'status', hidden: true });
  const el = h(
    'div',
    { class: 'tau' },
    h('label', { for: name }, 'threshold'),
    h('div', { class: 'track' }, /** @type {any} */ (chart), range, ends),
    field,
    refused,
  );
  let floor = 0.01;
  /** @type {number[] | null} */
  let drawn = null;

  const send = perFrame(() => onTau(tauAt(Number(range.value), floor)));
  range.addEventListener('input', send);
  let shown = 0.01;

  /** @param {string} why empty where nothing was refused */
  function say(why) {
    refused.hidden = why === '';
    text(refused, why);
    attr(field, 'aria-invalid', why ? 'true' : null);
  }

  /** What was typed; the threshold that holds comes back where that is none. */
  function take() {
    const typed = readTau(field.value);
    if (typed === null) say(`Not a number between ${threshold(floor)} and 1; ${threshold(shown)} stays.`);
    else say(typed < floor ? `Under ${threshold(floor)} nothing is stored.` : '');
    field.value = threshold(typed === null ? shown : Math.max(typed, floor));
    if (typed !== null) onTau(Math.max(typed, floor));
  }
  field.addEventListener('change', take);
  field.addEventListener('input', () => say(''));
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') field.blur();
    if (event.key !== 'Escape') return;
    event.stopPropagation(); // it takes back what was typed, and nothing else
    field.value = threshold(shown);
    field.blur();
  });

  /** @param {{ tau: number, floor: number, shares: number[] }} props */
  function update({ tau, floor: least, shares }) {
    if (shares !== drawn || least !== floor) {
      const path = bars(histogram(shares, least));
      attr(below, 'd', path);
      attr(above, 'd', path);
      drawn = shares;
    }
    if (tau !== shown && field.value !== '' && readTau(field.value) !== Math.max(tau, least)) say('');
    floor = least;
    shown = tau;
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

  /** The neighbouring threshold. @param {number} tau @param {number} by its sign */
  const nudge = (tau, by) => nudged(tau, by, floor);

  return { el, update, nudge };
}
