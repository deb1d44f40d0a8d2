/** The SQL console: a reader's own questions to all tables of a run. What is asked is the address, so it can be sent to others. */

import './console.css';
import { createConsoleData } from './console-data.js';
import { examplesList, tablesList } from './console-side.js';
import { commandLines, comparedWords, complaint, missingTables, planWords, refusal, resultView } from './console-result.js';
import { fill, h, refill } from './dom.js';
import { showText } from './format.js';
import { waiting } from './panel-parts.js';
import { createEditor } from './sql-editor.js';
import { examplesFor } from './sql-examples.js';
import { comparedWith, planOf } from './sql-plan.js';

/** @typedef {import('./state.js').SqlState} SqlState */
/** @typedef {import('./data.js').RunIndex} RunIndex */
/** @typedef {{ sql: string, plan: import('./sql-plan.js').Plan, seconds: number, result: import('./console-data.js').Result }} Answer */

/** @param {import('./pages.js').Options} options */
export function createConsole({ data, navigate }) {
  const tables = createConsoleData(data);
  const editor = createEditor({ value: '', onRun: runEditor });
  const run = h('button', { type: 'button', class: 'primary', 'data-testid': 'sql-run', title: 'Ctrl Enter or ⌘ Enter', onclick: runEditor }, 'Run');
  const stop = h('button', { type: 'button', class: 'button', 'data-testid': 'sql-stop', disabled: true, onclick: () => running?.abort(new DOMException('stopped', 'AbortError')) }, 'Stop');
  const progress = h('span', { class: 'quiet', role: 'status', 'data-testid': 'sql-progress' });
  const output = h('div', { class: 'output', 'data-testid': 'sql-output' });
  const side = h('aside', { class: 'console-side', 'aria-label': 'Queries and tables' });
  const editorFrame = h('div', { class: 'editor' }, editor.el);
  const keys = h('span', { class: 'quiet hint-keys' }, h('kbd', {}, 'Ctrl Enter'), ' runs, ', h('kbd', {}, 'Ctrl Space'), ' completes, ', h('kbd', {}, 'Esc'), ' then ', h('kbd', {}, 'Tab'), ' leaves');
  const bar = h('div', { class: 'console-bar' }, run, stop, progress, h('span', { class: 'space' }), keys);
  const main = h('div', { class: 'console-main' }, editorFrame, bar, output);
  const el = h('main', { class: 'page console', id: 'main', tabindex: '-1' }, h('h1', {}, 'SQL'), h('div', { class: 'console-split' }, main, side));
  let title = 'SQL';
  /** @type {SqlState | null} */
  let state = null;
  /** @type {RunIndex | null} */
  let index = null;
  /** @type {AbortController | null} */
  let running = null;
  /** @type {Answer | null} */
  let answer = null;
  let first = 0;
  let asked = '';
  output.setAttribute('aria-busy', 'true');
  fill(output, waiting(5));

  /** What is asked where the address says nothing: the first of the prepared queries. */
  const starting = () => examplesFor(first)[0].sql;

  function runEditor() {
    if (!state || !index) return;
    const sql = editor.get();
    if (sql === (state.q || starting())) return void execute(sql);
    mark(true); // what stands below is no longer the answer
    navigate({ ...state, q: sql, kind: null, x: null, y: null });
  }

  /** @param {string} sql */
  function take(sql) {
    editor.set(sql);
    runEditor();
  }

  /** @param {Partial<SqlState>} change */
  const go = (change) => state && navigate({ ...state, ...change }, { replace: true });

  function draw() {
    if (!answer || !state || !index) return;
    const width = Math.max(280, Math.min(1100, output.clientWidth));
    const { result, plan, seconds, sql } = answer;
    const shown = [comparedWords(index, plan, state.with), ...missingTables(index, plan), resultView({ index, result, plan, seconds, state, width, go }), commandLines(index, sql, false)].filter((part) => part !== null);
    refill(output, () => shown);
  }

  /** @param {boolean} busy @param {string} [words] */
  function mark(busy, words = '') {
    stop.disabled = !busy;
    progress.textContent = words;
    if (busy) output.setAttribute('aria-busy', 'true');
    else output.removeAttribute('aria-busy');
  }

  /** @param {string} sql */
  async function execute(sql) {
    if (!index) return;
    running?.abort(new DOMException('another query', 'AbortError'));
    const of = index;
    const plan = planOf(of, sql, state?.with ?? null);
    answer = null;
    mark(false);
    if (!sql.trim()) return fill(output, h('p', { class: 'empty' }, 'Write a query, or choose a prepared one.'));
    if (plan.tooLarge) return fill(output, refusal(plan), commandLines(of, sql, true));
    const own = (running = new AbortController());
    mark(true, `running, ${planWords(plan)} …`);
    fill(output, waiting(5));
    const begun = performance.now();
    try {
      const result = await tables.run(of, sql, plan, own.signal);
      if (running !== own) return;
      answer = { sql, plan, seconds: (performance.now() - begun) / 1000, result };
      mark(false);
      draw();
    } catch (error) {
      if (running !== own) return;
      mark(false);
      if (own.signal.aborted) fill(output, h('p', { class: 'empty', 'data-testid': 'sql-stopped' }, 'Stopped. Nothing was changed: run it again, or change it first.'));
      else fill(output, complaint(/** @type {Error} */ (error)), commandLines(of, sql, false));
    }
  }

  /** @param {SqlState} now */
  async function update(now) {
    const other = state?.run !== now.run;
    state = now;
    const found = await data.run(now.run);
    if (state !== now) return;
    if (other) {
      first = await data.first(found).catch(() => 0); // a run without prompts still has tables
      if (state !== now) return;
      index = found;
      title = `SQL · ${showText(found.title)}`;
      fill(side, examplesList(examplesFor(first), take), tablesList(found, tables.sources(found, now.with), comparedWith(found, now.with), editor.insert));
    }
    const sql = now.q || starting();
    const key = JSON.stringify([now.run, now.with, sql]);
    if (key === asked) return draw();
    asked = key;
    editor.set(sql);
    void execute(sql);
  }

  new ResizeObserver(() => state?.as === 'chart' && draw()).observe(main);

  return {
    el,
    update,
    title: () => title,
    /** The reader goes elsewhere: what still runs would only keep the engine from other questions. */
    leave: () => running?.abort(new DOMException('left', 'AbortError')),
  };
}
