/**
 * Keywords for neurons: what was typed as words, which words of the vocabulary match, and which files hold what is known of
 * them. Pure.
 *
 * @typedef {{ typed: string, word: string, first: number, last: number, promoted: number, suppressed: number }} Match
 *   `typed` is the reader's word, `word` the vocabulary's; its rows lie in the files `first` to `last`
 * @typedef {{ typed: string[], exact: boolean, every: boolean, sign: -1 | 0 | 1 }} Asked `every` word must match, or any; sign 0 is either
 */

export const SIGNS = /** @type {const} */ ({ either: 0, promoted: 1, suppressed: -1 });
/** Files of postings that one search fetches unasked, of about 100 kB each. */
export const MOST_FILES = 20;

/** All words of a query, each once, without case. @param {string} q @returns {string[]} */
export const wordsOf = (q) => [...new Set(q.toLowerCase().split(/\s+/).filter(Boolean))];

/** @param {{ q: string, match: 'any' | 'all', exact: boolean, sign: keyof typeof SIGNS }} state @returns {Asked} */
export const askedOf = ({ q, match, exact, sign }) => ({ typed: wordsOf(q), exact, every: match === 'all', sign: SIGNS[sign] });

/** The matches with typed words taking turns, so that none is left behind. @param {Match[]} matches the nearest first */
function byTurns(matches) {
  const place = new Map();
  const keyed = matches.map((match) => {
    const at = place.get(match.typed) ?? 0;
    place.set(match.typed, at + 1);
    return { match, at };
  });
  return keyed.sort((a, b) => a.at - b.at).map(({ match }) => match);
}

/**
 * The files to fetch for matches, the nearest ones' first, up to a number of files.
 * @param {Match[]} matches the nearest first @param {number} [most]
 * @returns {{ files: number[], looked: Match[] }} `looked`: the matches whose files are all among these
 */
export function filesFor(matches, most = MOST_FILES) {
  const files = new Set();
  const rangeOf = (/** @type {Match} */ match) => Array.from({ length: match.last - match.first + 1 }, (_, i) => match.first + i);
  for (const match of byTurns(matches)) {
    const lacking = rangeOf(match).filter((file) => !files.has(file));
    if (files.size + lacking.length <= most || !files.size) lacking.forEach((file) => files.add(file));
  }
  return { files: [...files].sort((a, b) => a - b), looked: matches.filter((match) => rangeOf(match).every((file) => files.has(file))) };
}
