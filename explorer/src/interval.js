/** An estimate with its 95% interval: as a mark in a table's cell, and in words. */

import { h } from './dom.js';
import { exact, fraction } from './format.js';
import { MEASURES } from './measures.js';
import { signed } from './panel-parts.js';

/** @typedef {{ value: number | null, low: number | null, high: number | null }} Estimate */

/** @param {Record<string, any>} row @param {string} column @returns {Estimate} an estimate and the two columns beside it */
export const estimateOf = (row, column) => ({ value: row[column] ?? null, low: row[`${column}_low`] ?? null, high: row[`${column}_high`] ?? null });

/** A number of a measure, as it is written everywhere. @param {string} measure @param {number | null | undefined} value */
export const written = (measure, value) => (MEASURES[measure]?.signed ? signed(value) : fraction(value));

/** @param {Estimate} of @param {(value: number | null) => string} show */
export const intervalWords = ({ low, high }, show) => (low === null || high === null ? '–' : `${show(low)} to ${show(high)}`);

/** All of it, exact, for hovering. @param {Estimate} of */
export const exactWords = ({ value, low, high }) => (low === null || high === null ? exact(value) : `${exact(value)}, 95% interval ${exact(low)} to ${exact(high)}`);

/**
 * The mark: a dot, its interval, a tick for what chance would give.
 * @param {Estimate} of @param {[number, number]} span of the scale that all rows share
 * @param {{ kind?: string, chance?: number | null }} [options] `kind` is a class that colours it
 */
export function intervalMark({ value, low, high }, [from, to], { kind = '', chance = null } = {}) {
  const el = h('span', { class: `interval ${kind}`, 'aria-hidden': 'true' });
  const at = (/** @type {number} */ x) => `${(100 * Math.min(1, Math.max(0, (x - from) / (to - from)))).toFixed(2)}%`;
  const part = (/** @type {string} */ name, /** @type {Record<string, string>} */ place) => {
    const mark = h('span', { class: name });
    for (const [side, where] of Object.entries(place)) mark.style.setProperty(side, where);
    el.append(mark);
  };
  if (from < 0) part('zero', { 'inset-inline-start': at(0) });
  if (chance !== null) part('chance', { 'inset-inline-start': at(chance) });
  if (low !== null && high !== null) part('range', { 'inset-inline-start': at(low), 'inline-size': `max(1px, calc(${at(high)} - ${at(low)}))` });
  if (value !== null) part('dot', { 'inset-inline-start': at(value) });
  return el;
}
