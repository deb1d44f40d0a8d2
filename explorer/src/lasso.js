/**
 * A line drawn around some points of the map. It stands in the address in the map's own units, so that it means the same
 * in a window of any size. Pure.
 *
 * @typedef {[number, number]} Corner
 */

const MOST_CORNERS = 40;
const DIGITS = 2;
const TEXT = /^-?\d{1,5}(\.\d{1,4})?(,-?\d{1,5}(\.\d{1,4})?){5,79}$/;

/** @param {string} text as `x,y,x,y,...` @returns {Corner[] | null} null: not a lasso of three corners at least */
export function readLasso(text) {
  if (!TEXT.test(text)) return null;
  const numbers = text.split(',').map(Number);
  if (numbers.length % 2) return null;
  return Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
}

/** @param {Corner[]} corners */
export const writeLasso = (corners) => corners.flat().map((value) => String(Number(value.toFixed(DIGITS)))).join(',');

/** Whether a ray to the right crosses the line an odd number of times, as `map_compare.sql` counts. @param {Corner[]} corners @param {number} x @param {number} y */
export function isInside(corners, x, y) {
  let crossings = 0;
  corners.forEach(([x1, y1], i) => {
    const [x2, y2] = corners[(i + 1) % corners.length];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) crossings += 1;
  });
  return crossings % 2 === 1;
}

/** How far a corner stands from the line between its neighbours, as the area they span. @param {Corner} a @param {Corner} b @param {Corner} c */
const areaOf = (a, b, c) => Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]));

/** The line with few corners: what a hand draws, without the corners that shape it least (Visvalingam). @param {Corner[]} drawn @returns {Corner[]} */
export function simplified(drawn) {
  const corners = drawn.filter(([x, y], i) => i === 0 || x !== drawn[i - 1][0] || y !== drawn[i - 1][1]);
  while (corners.length > MOST_CORNERS) {
    let least = 0;
    let smallest = Infinity;
    corners.forEach((corner, i) => {
      const area = areaOf(corners.at(i - 1) ?? corner, corner, corners[(i + 1) % corners.length]);
      if (area < smallest) [least, smallest] = [i, area];
    });
    corners.splice(least, 1);
  }
  return corners;
}

/** The sides as `map_compare.sql` takes them. @param {Corner[]} corners */
export function sidesOf(corners) {
  const next = corners.map((_, i) => corners[(i + 1) % corners.length]);
  return { xs: corners.map(([x]) => x), ys: corners.map(([, y]) => y), next_xs: next.map(([x]) => x), next_ys: next.map(([, y]) => y) };
}
