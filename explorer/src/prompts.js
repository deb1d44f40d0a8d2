/** The list of prompts: search, group, sort, pages. All of it is SQL on the slim list that comes with the run. */

import { attr, fill, h } from './dom.js';
import { clip, exact, fraction, integer, plural, showText } from './format.js';
import { PAGE_ROWS } from './listing.js';
import { tokenMark } from './panel-parts.js';
import { selectionWords } from './selection.js';
import { asked, sqlLinkLater } from './sql-link.js';
import listSql from './sql/prompts_asked.sql?raw';
import { format, promptState } from './state.js';
import { tableTools } from './table.js';

/** @type {[string, string, boolean][]} sort name, heading, whether it is a number */
const COLUMNS = [
  ['id', '#', true],
  ['text', 'prompt', false],
  ['group', 'group', false],
  ['tokens', 'tokens', true],
  ['predicted', 'prediction', false],
  ['prob', 'answer', false],
  ['rank', 'rank', true],
];

const LISTED = ['prompt_id', 'source_id', 'text', 'group', 'pair_id', 'role', 'n_tokens', 'predicted', 'predicted_prob', 'answer', 'answer_prob', 'answer_rank'];

/** @param {any} row @param {string} run */
function listRow(row, run) {
  const href = format(promptState(run, row.prompt_id));
  const shown = showText(row.text);
  return h(
    'tr',
    { 'data-testid': 'prompt-row', 'data-id': row.prompt_id },
    h('td', { class: 'num quiet' }, row.prompt_id),
    h('td', { class: 'text' }, h('a', { href, title: clip(`${showText(row.source_id)}: ${shown}`, 600) }, h('bdi', {}, clip(shown, 400) || '(empty)')), h('small', { class: 'line-about' }, [row.group && clip(showText(row.group), 30), row.role && clip(showText(row.role), 16), plural(row.n_tokens, 'token')].filter(Boolean).join(' · '), ' · answer ', tokenMark(row.answer ?? '?'), ` ${fraction(row.answer_prob)}`)),
    h('td', { class: 'group col-group' }, row.group === null ? '' : h('bdi', { title: clip(showText(row.group), 200) }, clip(showText(row.group), 40)), row.role ? h('small', { class: 'quiet' }, ` ${clip(showText(row.role), 24)}`) : null),
    h('td', { class: 'num col-tokens' }, integer(row.n_tokens)),
    h('td', { class: 'outcome' }, tokenMark(row.predicted ?? '?'), h('span', { class: 'num', title: exact(row.predicted_prob) }, fraction(row.predicted_prob))),
    h('td', { class: 'outcome col-prob' }, tokenMark(row.answer ?? '?'), h('span', { class: 'num', title: exact(row.answer_prob) }, fraction(row.answer_prob))),
    h('td', { class: `num ${row.answer_rank === 1 ? '' : 'missed'}` }, row.answer_rank === null ? '–' : integer(row.answer_rank)),
  );
}

/**
 * @param {{ data: import('./data.js').Data, navigate: (state: import('./state.js').State, options?: { replace?: boolean }) => void }} options
 */
export function createPrompts({ data, navigate }) {
  const search = h('input', { type: 'search', id: 'search', placeholder: 'Search the prompts', 'aria-label': 'Search the prompts', maxlength: 500, spellcheck: 'false', autocomplete: 'off', 'data-testid': 'search' });
  const group = h('select', { 'aria-label': 'Group', 'data-testid': 'group-select' });
  const count = h('p', { class: 'count', role: 'status', 'data-testid': 'prompt-count' });
  const headRow = h('tr', {});
  const body = h('tbody', {});
  const table = h('table', { class: 'list' }, h('thead', {}, headRow), body);
  const pager = h('nav', { class: 'pager', 'aria-label': 'Pages' });
  const heading = h('h1', {}, 'Prompts');
  const part = h('p', { class: 'hint', hidden: true, 'data-testid': 'selection' });
  const el = h('main', { class: 'prompts page', id: 'main', tabindex: '-1' }, heading, part, h('div', { class: 'filters' }, search, group, count, tableTools(() => numbers(), { name: 'prompts-of-this-page', sql: sqlLinkLater('the list of prompts', asking) })), h('div', { class: 'scroll' }, table), pager);
  /** @type {import('./state.js').PromptsState | null} */
  let state = null;
  /** @type {any[]} */
  let shown = [];
  const numbers = () => ({ columns: LISTED, rows: shown.map((row) => LISTED.map((name) => row[name])) });
  let title = 'Prompts';

  /** What the list answers, for the console. */
  function asking() {
    if (!state) return null;
    const values = { q: state.q, group: state.group ?? '', any_group: state.group === null };
    return { run: state.run, text: asked(listSql, values, { prompts: 'prompts', targets: 'targets' }) };
  }

  let latest = 0;
  let typing = 0;

  search.addEventListener('focus', () => state && void data.run(state.run).then(data.fetchWords, () => {})); // the view reports what fails
  search.addEventListener('input', () => {
    clearTimeout(typing);
    typing = window.setTimeout(() => state && navigate({ ...state, q: search.value, page: 1 }, { replace: true }), 180);
  });
  group.addEventListener('change', () => state && navigate({ ...state, group: group.value === '*' ? null : group.value.slice(1), page: 1 }));
  table.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const links = [...body.querySelectorAll('a')];
    const at = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    event.preventDefault();
    if (event.key === 'ArrowUp' && at <= 0) search.focus();
    else links[Math.min(links.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1))]?.focus();
  });
  search.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown') return;
    event.preventDefault();
    body.querySelector('a')?.focus();
  });
  body.addEventListener('click', (event) => {
    const at = /** @type {Element} */ (event.target);
    if (!at.closest('a') && !window.getSelection()?.toString()) at.closest('tr')?.querySelector('a')?.click();
  });
  fill(body, ...skeleton());

  function skeleton() {
    return Array.from({ length: 12 }, () => h('tr', { 'aria-hidden': 'true' }, h('td', { colspan: COLUMNS.length }, h('span', { class: 'skeleton' }))));
  }

  /** @param {import('./state.js').PromptsState} now */
  function drawHead(now) {
    const [by, down] = [now.sort.replace('-', ''), now.sort.startsWith('-')];
    const cells = COLUMNS.map(([name, label, number]) => {
      const on = name === by;
      const next = on && !down ? `-${name}` : name;
      const sort = h('button', { type: 'button', 'data-sort': name, onclick: () => state && navigate({ ...state, sort: next, page: 1 }) }, label, h('span', { class: 'arrow', 'aria-hidden': 'true' }, on ? (down ? ' ↓' : ' ↑') : ''));
      return h('th', { scope: 'col', class: `col-${name}${number ? ' num' : ''}`, 'aria-sort': on ? (down ? 'descending' : 'ascending') : null }, sort);
    });
    const focused = document.activeElement?.getAttribute('data-sort');
    fill(headRow, ...cells);
    if (focused) /** @type {HTMLElement | null} */ (headRow.querySelector(`[data-sort=${focused}]`))?.focus();
  }

  /** @param {{ group: string, n: number }[]} groups @param {import('./state.js').PromptsState} now */
  function drawGroups(groups, now) {
    const all = groups.reduce((sum, one) => sum + one.n, 0);
    const option = (/** @type {string} */ value, /** @type {string} */ label) => h('option', { value }, label);
    const listed = groups.map((one) => option(`=${one.group}`, `${clip(showText(one.group), 60) || 'no group'} (${integer(one.n)})`));
    const gone = now.group !== null && !groups.some((one) => one.group === now.group);
    fill(group, option('*', `all groups (${integer(all)})`), ...listed, gone ? option(`=${now.group}`, `${clip(showText(now.group ?? ''), 60) || 'no group'} (0)`) : null);
    group.value = now.group === null ? '*' : `=${now.group}`;
  }

  /** @param {number} total @param {import('./state.js').PromptsState} now @param {number} page */
  function drawPager(total, now, page) {
    const last = Math.max(1, Math.ceil(total / PAGE_ROWS));
    const to = (/** @type {number} */ at, /** @type {string} */ label) => {
      const usable = at >= 1 && at <= last;
      return usable ? h('a', { class: 'button', href: format({ ...now, page: at }) }, label) : h('span', { class: 'button', 'aria-disabled': 'true' }, label);
    };
    pager.hidden = last === 1;
    fill(pager, to(page - 1, 'Previous'), h('span', { class: 'quiet' }, `page ${integer(page)} of ${integer(last)}`), to(page + 1, 'Next'));
  }

  /** @param {import('./state.js').PromptsState} now */
  async function update(now) {
    const ticket = (latest += 1);
    if (state?.run !== now.run) fill(body, ...skeleton());
    state = now;
    if (document.activeElement !== search) search.value = now.q;
    drawHead(now);
    attr(table, 'aria-busy', 'true');
    const index = await data.run(now.run);
    title = `Prompts · ${index.title}`;
    part.textContent = selectionWords(index);
    part.hidden = !index.selection;
    const { rows, rest, total, groups } = await data.list(index, now);
    if (ticket !== latest) return;
    attr(table, 'aria-busy', null);
    const last = Math.max(1, Math.ceil(total / PAGE_ROWS));
    const page = Math.min(now.page, last);
    shown = rows;
    drawGroups(groups, now);
    drawPager(total, now, page);
    count.textContent = `${plural(total, 'prompt')}${now.q || now.group !== null ? ` of ${integer(index.counts?.prompts ?? total)}` : ''}`;
    fill(body, ...rows.map((row) => listRow(row, now.run)));
    if (!rows.length) fill(body, h('tr', {}, h('td', { colspan: COLUMNS.length, class: 'empty' }, emptyWords(now))));
    const more = (await rest) ?? [];
    if (ticket !== latest) return;
    shown = [...rows, ...more];
    body.append(...more.map((row) => listRow(row, now.run)));
    data.practise(index).catch(() => {}); // a view that needs the engine reports what fails
  }

  /** @param {import('./state.js').PromptsState} now */
  function emptyWords(now) {
    if (!now.q && now.group === null) return 'This run has no prompts: every row was rejected, or none has been processed yet.';
    const reset = h('button', { type: 'button', class: 'link', onclick: () => navigate({ ...now, q: '', group: null, page: 1 }) }, 'Show all');
    return h('span', {}, `No prompt ${now.q ? `contains “${clip(showText(now.q), 60)}”` : 'is in this group'}${now.q && now.group !== null ? ' in this group' : ''}. `, reset);
  }

  /** @param {string} key @returns {boolean} */
  function onKey(key) {
    if (key === 'Escape' && document.activeElement === search && search.value && state) {
      search.value = '';
      navigate({ ...state, q: '', page: 1 }, { replace: true });
      return true;
    }
    if (key !== 'ArrowDown' || table.contains(document.activeElement)) return false;
    body.querySelector('a')?.focus();
    return true;
  }

  return { el, update, onKey, title: () => title, search: () => search.focus() };
}
