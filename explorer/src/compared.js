/**
 * Comparisons of two runs that a site holds: which there are, and where their tables lie.
 *
 * @typedef {{ a: string, b: string, n: number, same_shape: boolean, version?: string,
 *   tables: Record<string, { rows: number, bytes: number, files: { file: string, rows: number, bytes: number }[] }> }} Compared
 *   as in catalogue.json; differences are b - a
 */

/** The comparison of two runs, whichever is named first. @param {Compared[] | undefined} all @param {string} one @param {string} other */
export const comparisonOf = (all, one, other) => all?.find(({ a, b }) => (a === one && b === other) || (a === other && b === one)) ?? null;

/** Paths of a table's files, from the folder of a run; their version is that of both runs. @param {Compared} pair @param {string} table */
export const comparedFiles = (pair, table) => (pair.tables[table]?.files ?? []).map(({ file }) => `../${file}${pair.version ? `?of=${pair.version}` : ''}`);

/** @param {any} left @param {any} right lines of two configs, as `flattened` gives them @returns {[string, string, string][]} key and both values, where they differ */
export function differing(left, right) {
  const [a, b] = [new Map(left), new Map(right)];
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  return keys.filter((key) => a.get(key) !== b.get(key)).map((key) => [key, a.get(key) ?? '–', b.get(key) ?? '–']);
}
