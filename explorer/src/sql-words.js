/**
 * What can be known of a query before it runs: which of the run's tables it names, and whether it is about a few prompts
 * only. It reads words, not grammar, and errs on the safe side: a table too many, or all prompts.
 *
 * @typedef {{ kind: 'word' | 'name' | 'number' | 'string' | 'mark', text: string, depth: number }} Word
 *   `name` is a quoted identifier without its quotes; `depth` counts open parentheses
 * @typedef {[number, number]} Range of prompts, both ends included
 */

const PIECES =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|('(?:[^']|'')*(?:'|$))|("(?:[^"]|"")*(?:"|$))|(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|([\p{L}_][\p{L}\p{N}_$]*)|(\S)/giu;
const CLAUSES = ['select', 'from', 'where', 'group', 'having', 'order', 'limit', 'using', 'on', 'qualify', 'window', 'union', 'set', 'values', 'offset'];
const BEFORE_TABLE = ['from', 'join', ',', '('];
const ABOUT_TABLE = ['describe', 'summarize', 'show', 'table', 'pivot', 'unpivot'];
/** With one of these a condition on prompt_id may not hold for every row that counts. */
const UNSURE = ['or', 'not', 'case', 'union', 'except', 'intersect', 'right', 'full', 'anti', 'positional', 'asof', 'recursive', 'pivot', 'unpivot'];
const AFTER_CONDITION = ['and', 'group', 'order', 'limit', 'having', 'qualify', 'window', 'offset', ';'];

/** @param {string} sql @returns {Word[]} without comments; words in lower case */
export function wordsOf(sql) {
  /** @type {Word[]} */
  const words = [];
  let depth = 0;
  for (const [text, string, name, number, word, mark] of sql.matchAll(PIECES)) {
    if (mark === ')') depth = Math.max(0, depth - 1);
    if (string) words.push({ kind: 'string', text, depth });
    else if (name) words.push({ kind: 'name', text: name.slice(1, -1).replaceAll('""', '"'), depth });
    else if (number) words.push({ kind: 'number', text, depth });
    else if (word) words.push({ kind: 'word', text: word.toLowerCase(), depth });
    else if (mark) words.push({ kind: 'mark', text: mark, depth });
    if (mark === '(') depth += 1;
  }
  return words;
}

/** @param {Word | undefined} word */
const isName = (word) => word?.kind === 'word' || word?.kind === 'name';

/** The name that ends at a word, with its schema where it has one, and what stands before it. @param {Word[]} words @param {number} at */
function nameAt(words, at) {
  const qualified = words[at - 1]?.text === '.' && isName(words[at - 2]);
  const schema = qualified && words[at - 2].text !== 'main' ? `${words[at - 2].text}.` : '';
  return { name: `${schema}${words[at].text.toLowerCase()}`, before: words[at - (qualified ? 3 : 1)]?.text ?? '' };
}

/**
 * The known tables that stand where a query may name one.
 * @param {Word[]} words @param {string[]} known names, with their schema where they have one
 */
export function tablesIn(words, known) {
  const found = new Set();
  /** @type {string[]} the clause at each depth */
  const clauses = [''];
  words.forEach((word, at) => {
    const clause = clauses[word.depth] ?? '';
    if (word.text === '(') clauses[word.depth + 1] = clause === 'from' ? 'from' : '';
    else if (word.kind === 'word' && CLAUSES.includes(word.text)) clauses[word.depth] = word.text;
    else if (word.text === 'join' || (word.text === ',' && ['using', 'on'].includes(clause))) clauses[word.depth] = 'from';
    else if (isName(word)) {
      const { name, before } = nameAt(words, at);
      const place = (clause === 'from' && BEFORE_TABLE.includes(before)) || ABOUT_TABLE.includes(before);
      if (place && known.includes(name)) found.add(name);
    }
  });
  return known.filter((name) => found.has(name));
}

/** A condition on prompt_id that begins at a place; null where there is none that is understood. @param {Word[]} words @param {number} at @returns {Range[] | null} */
function conditionAt(words, at) {
  const after = words[at + 1]?.text === '.' ? at + 2 : at; // table.prompt_id
  if (words[after]?.text !== 'prompt_id') return null;
  const rest = words.slice(after + 1);
  const number = (/** @type {number} */ i) => (rest[i]?.kind === 'number' && /^\d+$/.test(rest[i].text) ? Number(rest[i].text) : NaN);
  const ends = (/** @type {number} */ i) => rest[i] === undefined || AFTER_CONDITION.includes(rest[i].text);
  /** @type {Range[]} */
  let ranges = [];
  let end = 0;
  if (rest[0]?.text === '=') [ranges, end] = [[[number(1), number(1)]], 2];
  else if (rest[0]?.text === 'between' && rest[2]?.text === 'and') [ranges, end] = [[[number(1), number(3)]], 4];
  else if (rest[0]?.text === 'in' && rest[1]?.text === '(') {
    const close = rest.findIndex((word) => word.text === ')');
    const inside = rest.slice(2, close).filter((word) => word.text !== ',');
    ranges = inside.map((word) => (word.kind === 'number' ? [Number(word.text), Number(word.text)] : [NaN, NaN]));
    end = close + 1;
  }
  return ranges.length && ends(end) && ranges.flat().every(Number.isInteger) ? ranges : null;
}

/**
 * The prompts that a query can be about; null where that may be all. Only a single SELECT whose tables are joined by
 * `USING (prompt_id)` and whose WHERE demands `prompt_id = 7`, `IN (...)` or `BETWEEN ... AND ...` is taken for one.
 * @param {Word[]} words @param {string[]} byPrompt tables that are stored prompt by prompt
 * @returns {Range[] | null}
 */
export function promptsIn(words, byPrompt) {
  const plain = words.filter((word) => word.kind === 'word').map((word) => word.text);
  if (plain.filter((word) => word === 'select').length > 1 || UNSURE.some((word) => plain.includes(word))) return null;
  const tables = words.filter((word, at) => {
    const { name, before } = nameAt(words, at);
    return isName(word) && byPrompt.includes(name) && BEFORE_TABLE.includes(before);
  });
  const joined = words.filter((word, at) => word.text === 'using' && words.slice(at, at + 8).some((one, i, next) => one.text === 'prompt_id' && !next.slice(0, i).some(({ text }) => text === ')')));
  if (tables.length - 1 > joined.length) return null;
  const where = words.findIndex((word) => word.text === 'where' && word.depth === 0);
  if (where < 0) return null;
  for (let at = where; at < words.length; at += 1) {
    const { text, depth } = words[at];
    if (depth > 0 || (text !== 'where' && text !== 'and')) continue;
    const ranges = conditionAt(words, at + 1);
    if (ranges) return ranges;
  }
  return null;
}
