/**
 * How a query's result is best drawn: bars where rows have names, a line where a number runs on, points where two
 * numbers stand against each other. Pure; a reader may choose otherwise.
 *
 * @typedef {import('./figure.js').Numbers} Numbers
 * @typedef {'bar' | 'line' | 'scatter'} Kind
 * @typedef {{ kind: Kind, labels: number[], x: number, y: number, low: number, high: number, series: number }} Spec
 *   columns by number, -1 for none; `labels` name a row, `low` and `high` bound `y`
 */

/** Columns that tell rows apart rather than measure them. */
const KEYS = ['prompt_id', 'layer', 'head', 'expert', 'index', 'neuron', 'pos', 'dst', 'src', 'target', 'token_id', 'rank', 'place', 'template', 'cluster', 'tau', 'n', 'n_prompts'];
const MOST_SERIES = 8;
const ENDS = /_(low|high|chance)$/;

/** @type {Kind[]} */
export const KINDS = ['bar', 'line', 'scatter'];

/** @param {Numbers} numbers @param {number} at */
const valuesOf = ({ rows }, at) => rows.map((row) => row[at]).filter((value) => value !== null && value !== undefined);

/** Which columns hold numbers only. @param {Numbers} numbers */
export function numeric(numbers) {
  return numbers.columns.map((_, at) => {
    const values = valuesOf(numbers, at);
    return values.length > 0 && values.every((value) => typeof value === 'number');
  });
}

/** A row's name: heads and MLPs as everywhere, else its texts. @param {Numbers} numbers @param {import('./figure.js').Cell[]} row @param {number[]} labels */
export function labelOf({ columns }, row, labels) {
  const value = (/** @type {string} */ name) => row[columns.indexOf(name)];
  const part = columns.includes('layer') && (columns.includes('head') || columns.includes('index') || columns.includes('neuron'));
  const component = value('component') ?? (columns.includes('neuron') ? 'neuron' : 'head');
  const number = value('head') ?? value('neuron') ?? value('index');
  const name = component === 'head' ? `L${value('layer')}H${number}` : component === 'neuron' ? `L${value('layer')}N${number}` : `L${value('layer')} ${component === 'mlp' ? 'MLP' : component}`;
  const used = ['layer', 'head', 'index', 'neuron', 'component', 'expert'];
  const rest = labels.filter((at) => !part || !used.includes(columns[at])).map((at) => (typeof row[at] === 'string' ? row[at] : `${columns[at]} ${row[at]}`));
  return [...(part ? [name] : []), ...rest].join(' ') || '–';
}

/** @param {Numbers} numbers @param {number} at */
function rises(numbers, at) {
  const values = /** @type {number[]} */ (valuesOf(numbers, at));
  return values.length > 2 && values.every((value, i) => i === 0 || value > values[i - 1]);
}

/**
 * @param {Numbers} numbers
 * @param {{ kind?: Kind | null, x?: string | null, y?: string | null }} [wish] what a reader chose; what does not fit is passed over
 * @returns {Spec | null} null: no column can be drawn
 */
export function choose(numbers, wish = {}) {
  const { columns, rows } = numbers;
  const isNumber = numeric(numbers);
  const all = columns.map((_, at) => at);
  const measures = all.filter((at) => isNumber[at] && !KEYS.includes(columns[at]) && !ENDS.test(columns[at]));
  const spare = all.filter((at) => isNumber[at] && !ENDS.test(columns[at]));
  const wanted = (/** @type {string | null | undefined} */ name) => (name && isNumber[columns.indexOf(name)] ? columns.indexOf(name) : -1);
  const texts = all.filter((at) => !isNumber[at] && valuesOf(numbers, at).length > 0);
  if (!spare.length || !rows.length) return null;
  const running = spare.find((at) => at !== measures[0] && rises(numbers, at)) ?? -1;
  const kind = wish.kind ?? kindFor({ texts, measures, running, rows: rows.length });
  const takenX = kind === 'bar' ? -1 : wanted(wish.x);
  const y = [wanted(wish.y), ...measures.slice().sort((a, b) => Number(kind === 'scatter') * (b - a)), ...spare].find((at) => at >= 0 && at !== takenX) ?? spare[0];
  const x = kind === 'bar' ? -1 : [takenX, kind === 'line' ? running : -1, ...(kind === 'line' ? spare : measures), ...spare].find((at) => at >= 0 && at !== y) ?? -1;
  const series = kind === 'bar' ? -1 : (texts.find((at) => new Set(valuesOf(numbers, at)).size <= MOST_SERIES) ?? -1);
  const labels = all.filter((at) => at !== y && at !== x && (!isNumber[at] || KEYS.slice(0, 9).includes(columns[at])));
  const end = (/** @type {string} */ ending) => (isNumber[columns.indexOf(`${columns[y]}_${ending}`)] ? columns.indexOf(`${columns[y]}_${ending}`) : -1);
  return { kind, labels, x, y, low: end('low'), high: end('high'), series };
}

/** @param {{ texts: number[], measures: number[], running: number, rows: number }} found @returns {Kind} */
function kindFor({ texts, measures, running, rows }) {
  if (running >= 0 && measures.length && texts.length === 0) return 'line';
  if (measures.length >= 2 && rows > 60) return 'scatter';
  return 'bar';
}
