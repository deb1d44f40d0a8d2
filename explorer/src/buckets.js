/** Which bucket files of a run there are: an index lists their numbers as [first, last] of each run of numbers. Pure. */

/** @typedef {[number, number][]} Ranges */

/** @param {Ranges | undefined} ranges @param {number} k */
export const hasBucket = (ranges, k) => (ranges ?? []).some(([first, last]) => first <= k && k <= last);

/** @param {Ranges} ranges @returns {number[]} */
export const bucketNumbers = (ranges) => ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));

/** @param {Ranges} ranges */
export const countBuckets = (ranges) => ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
