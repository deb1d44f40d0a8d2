/** What can be compared and how its rows read: the choice that an address makes, a pair of groups the other way round. Pure. */

/**
 * @typedef {{ contrast: import('./measures.js').Contrast, a: string, b: string | null, group: string | null, n_a: number, n_b: number }} Choice
 * @typedef {{ by: import('./measures.js').Contrast, a: string | null, b: string | null, group: string | null }} Asked
 */

/**
 * The comparison that is asked for, else the first of its sort; null where there is none of that sort.
 * @param {Choice[]} choices @param {Asked} asked
 * @returns {{ choice: Choice, turned: boolean, exact: boolean } | null} `turned`: it is stored as b against a; `exact`: it is what was asked for
 */
export function chosenContrast(choices, { by, a, b, group }) {
  const own = choices.filter((one) => one.contrast === by);
  const named = (/** @type {Choice} */ one, /** @type {boolean} */ turned) => {
    const [first, second] = turned ? [one.b, one.a] : [one.a, one.b];
    return (a === null || first === a) && (b === null || second === b) && one.group === group;
  };
  const straight = own.find((one) => named(one, false));
  if (straight) return { choice: straight, turned: false, exact: true };
  const turned = by === 'groups' ? own.find((one) => named(one, true)) : undefined;
  if (turned) return { choice: turned, turned: true, exact: true };
  return own.length ? { choice: own[0], turned: false, exact: false } : null;
}

/** A row of two groups, read the other way round: what was a is b. @param {import('./rows.js').Row} row */
export function turnedRow(row) {
  const minus = (/** @type {number | null} */ value) => (value === null ? null : -value);
  return {
    ...row,
    n_a: row.n_b, n_b: row.n_a, mean_a: row.mean_b, mean_b: row.mean_a,
    difference: minus(row.difference), difference_low: minus(row.difference_high), difference_high: minus(row.difference_low),
    standardised: minus(row.standardised), frequency_a: row.frequency_b, frequency_b: row.frequency_a, specific: false,
  }; // prettier-ignore
}

const LEAST = 1e-30; // no p is told below this

/** How surprising: -log10, null where there is no test. @param {number | null} p */
export const surprise = (p) => (p === null ? null : -Math.log10(Math.max(p, LEAST)));
