/** "SQL of this figure": the question behind the numbers, as a reader would ask it in the console. */

import { h } from './dom.js';
import { bind } from './sql.js';
import { format, pageState } from './state.js';

/**
 * The text of a `.sql` file as it can be asked in the console and in Python: values filled in, tables by their names.
 * @param {string} sql @param {Record<string, import('./sql.js').Value>} values for `$name`
 * @param {Record<string, string>} names for `{name}`: `stats.importance`, `edges`, or a fragment
 */
export const asked = (sql, values, names) => `${bind(sql, values, names).trim()}\n`;

/**
 * The link that stands with a figure's or table's buttons.
 * @param {string} run @param {string} text the question @param {string} name of the figure, for screen readers
 * @param {Partial<import('./state.js').SqlState>} [rest] of the console's address
 */
export const sqlLink = (run, text, name, rest = {}) =>
  h('a', { class: 'tool', href: format(pageState('sql', run, { q: text, ...rest })), title: `SQL of ${name}`, 'aria-label': `SQL of ${name}`, 'data-testid': 'open-sql' }, 'SQL');

/**
 * The same for a figure whose question changes while it is looked at: it is asked when the pointer or the focus comes.
 * @param {string} name @param {() => { run: string, text: string } | null} now
 */
export function sqlLinkLater(name, now) {
  const link = sqlLink('', '', name);
  const aim = () => {
    const found = now();
    if (found) link.href = format(pageState('sql', found.run, { q: found.text }));
  };
  for (const type of ['pointerenter', 'pointerdown', 'focus', 'click']) link.addEventListener(type, aim);
  return link;
}
