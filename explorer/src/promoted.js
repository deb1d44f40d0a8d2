/** Tokens that a component promotes and suppresses, over the corpus or by its weights alone: two lists with bars. */

import { h } from './dom.js';
import { figureTools } from './figure.js';
import { exact, fraction, integer, plural } from './format.js';
import { signed, tokenMark } from './panel-parts.js';

/** @typedef {import('./rows.js').Row} Row with `sign`, `token`, `score` and, over the corpus, `n`, `n_all`, `n_prompts` */

/** @param {Row} row @param {number} most */
function line(row, most) {
  const often = row.n !== undefined;
  const fill = h('span', { class: `bar-fill ${row.sign > 0 ? 'plus' : 'minus'}` });
  fill.style.inlineSize = `${(100 * (often ? row.n : Math.abs(row.score))) / most}%`;
  const title = often ? `among its stored tokens at ${plural(row.n, 'position')} of ${integer(row.n_all)}, in ${plural(row.n_prompts, 'prompt')}; ${exact(row.score)} logits there on average` : `${exact(row.score)}`;
  return h('li', { title, 'data-testid': 'promoted-row' }, tokenMark(row.token ?? '?', row.special), h('span', { class: 'bar', 'aria-hidden': 'true' }, fill), h('span', { class: 'num' }, often ? fraction(row.n / row.n_all) : signed(row.score)), often ? h('span', { class: 'num quiet' }, signed(row.score)) : null);
}

/**
 * @param {Row[]} rows strongest first @param {{ sql: HTMLAnchorElement, words?: [string, string] }} options `words` name the two lists
 * @returns {HTMLElement}
 */
export function promotedLists(rows, { sql, words = ['promotes', 'suppresses'] }) {
  if (!rows.length) return h('p', { class: 'empty' }, 'No tokens are stored.');
  const often = rows[0].n !== undefined;
  const most = Math.max(1e-9, ...rows.map((row) => (often ? row.n : Math.abs(row.score))));
  const list = (/** @type {number} */ sign, /** @type {string} */ word) => {
    const own = rows.filter((row) => Math.sign(row.sign) === sign);
    return h('section', {}, h('h3', {}, word, h('small', {}, often ? ' how often, of all stored positions; mean logits there' : ' score')), own.length ? h('ol', { class: `promoted ${often ? 'often' : ''}`, 'data-testid': sign > 0 ? 'promoted' : 'suppressed' }, ...own.map((row) => line(row, most))) : h('p', { class: 'quiet' }, 'none stored'));
  };
  const table = () => ({ columns: ['sign', 'token', 'score', ...(often ? ['n', 'n_prompts', 'n_all'] : [])], rows: rows.map((row) => [row.sign, row.token, row.score, ...(often ? [row.n, row.n_prompts, row.n_all] : [])]) });
  return h('div', {}, h('div', { class: 'table-top' }, h('span', { class: 'space' }), figureTools({ name: 'promoted-tokens', table, sql })), h('div', { class: 'halves promoted-lists' }, list(1, words[0]), list(-1, words[1])));
}
