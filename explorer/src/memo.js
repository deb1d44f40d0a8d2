/** Keeps the elements of the last drawing that the next one uses again: a heat map is not drawn for every move of the threshold. */
export function createMemo() {
  /** @type {Map<string, Element>} */
  let before = new Map();
  /** @type {Map<string, Element>} */
  let now = new Map();
  return {
    /** A new drawing begins. */
    turn() {
      before = now;
      now = new Map();
    },
    /** @param {string} key @param {() => Element} make */
    get(key, make) {
      const el = before.get(key) ?? now.get(key) ?? make();
      now.set(key, el);
      return el;
    },
  };
}
