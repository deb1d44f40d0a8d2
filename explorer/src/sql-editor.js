/** The console's editor (CodeMirror): colours, completion of tables and columns by keyboard, undo. */

import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { EditorState, Prec } from '@codemirror/state';
import { drawSelection, EditorView, keymap } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { TABLES } from './sql-plan.js';
import { tablesIn, wordsOf } from './sql-words.js';

/** @typedef {import('@codemirror/autocomplete').Completion} Completion */

/** The editor writes its styles into the page; the page's policy (vite.config.js) lets styles of this mark, and no script. */
const STYLE_NONCE = 'flowatlas-editor';
const NEEDS_QUOTES = ['group', 'index']; // words of SQL among the columns

/** @param {import('./sql-plan.js').ColumnNote} column @returns {Completion} */
const columnOption = ({ name, type, meaning, unit }) => ({
  label: name,
  apply: NEEDS_QUOTES.includes(name) ? `"${name}"` : name,
  type: 'property',
  detail: type.toLowerCase(),
  info: unit ? `${meaning} (${unit})` : meaning,
  boost: 2,
});

/** Tables as the language wants them: by schema, each with its columns. */
function namespace() {
  /** @type {Record<string, any>} */
  const found = {};
  for (const { name, row, columns } of TABLES) {
    const [schema, short] = name.includes('.') ? name.split('.') : [null, name];
    const entry = { self: { label: short, type: 'type', detail: 'table', info: `One row: ${row}`, boost: 3 }, children: columns.map(columnOption) };
    if (schema) (found[schema] ??= {})[short] = entry;
    else found[short] = entry;
  }
  return found;
}

/** Columns of the tables that the query names so far, wherever a word is begun. @param {import('@codemirror/autocomplete').CompletionContext} context */
function ownColumns(context) {
  const word = context.matchBefore(/"?\w*/);
  if (!word || (word.from === word.to && !context.explicit) || context.matchBefore(/\.\w*/)) return null;
  const named = tablesIn(wordsOf(context.state.doc.toString()), TABLES.map(({ name }) => name));
  const columns = TABLES.filter(({ name }) => named.includes(name)).flatMap((table) => table.columns.map((column) => ({ ...columnOption(column), section: undefined })));
  const once = columns.filter((one, at) => columns.findIndex(({ label }) => label === one.label) === at);
  return once.length ? { from: word.from, options: once, validFor: /^"?\w*$/ } : null;
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, class: 'sql-keyword' },
  { tag: [tags.string, tags.special(tags.string)], class: 'sql-string' },
  { tag: [tags.number, tags.bool, tags.null], class: 'sql-number' },
  { tag: tags.comment, class: 'sql-comment' },
]);

/**
 * @param {{ value: string, onRun: () => void }} options
 * @returns {{ el: HTMLElement, get: () => string, set: (text: string) => void, insert: (text: string) => void }}
 */
export function createEditor({ value, onRun }) {
  const language = sql({ dialect: PostgreSQL, schema: namespace(), upperCaseKeywords: true });
  const run = () => {
    onRun();
    return true;
  };
  const view = new EditorView({
    state: EditorState.create({
      doc: value,
      extensions: [
        // Before everything else: a new line is what Enter with a modifier means elsewhere.
        Prec.highest(keymap.of([{ key: 'Mod-Enter', run }, { key: 'Tab', run: acceptCompletion }, { key: 'Ctrl-.', run: startCompletion }])),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false, interactionDelay: 0 }), // a quick Enter takes what is offered, as a slow one does
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        language,
        language.language.data.of({ autocomplete: ownColumns }),
        syntaxHighlighting(colours),
        EditorView.lineWrapping,
        EditorView.cspNonce.of(STYLE_NONCE),
        EditorView.contentAttributes.of({ 'aria-label': 'SQL', 'data-testid': 'sql-editor', spellcheck: 'false' }),
      ],
    }),
  });
  return {
    el: view.dom,
    get: () => view.state.doc.toString(),
    set(text) {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    insert(text) {
      view.dispatch(view.state.replaceSelection(text));
      view.focus();
    },
  };
}
