/**
 * Whether a reader's query only reads. The console's queries come with addresses, from anybody: none may change what the
 * page shows elsewhere (the engine's files are its pages' files, and COPY would write over them). The engine takes one
 * statement at a time, so its first word decides; where this is in doubt it says no.
 */

export const READING = ['SELECT', 'FROM', 'WITH', 'VALUES', 'TABLE', 'DESCRIBE', 'SHOW', 'SUMMARIZE', 'PIVOT', 'UNPIVOT', 'EXPLAIN'];
/** Comments in comments are not understood: how far those go the engine may see otherwise. */
const BLANK = /^(?:\s|--[^\n\r]*|\/\*(?:(?!\/\*)[\s\S])*?\*\/)+/;

/** @param {string} sql */
const begun = (sql) => sql.replace(BLANK, '');
/** @param {string} sql @returns {string} in capitals; empty where it does not begin with a word */
const wordOf = (sql) => /^\w+/.exec(sql)?.[0].toUpperCase() ?? '';

/** @param {string} sql @returns {string | null} what it begins with; null where it only reads */
export function changing(sql) {
  const text = begun(sql);
  if (text.startsWith('(')) return null; // only a SELECT stands in parentheses
  const word = wordOf(text);
  if (word !== 'EXPLAIN') return READING.includes(word) ? null : word || text.slice(0, 20);
  let of = begun(text.slice(word.length));
  if (wordOf(of) === 'ANALYZE') of = begun(of.slice('ANALYZE'.length)); // which executes it
  return READING.includes(wordOf(of)) ? null : `EXPLAIN ${wordOf(of) || of.slice(0, 20)}`;
}
