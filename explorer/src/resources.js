/**
 * What the panel asks for while it draws: an answer that is there is given at once; one that is not is fetched, and the
 * panel is drawn again when it has come. Only the newest answers are kept.
 */

/**
 * @template T
 * @typedef {{ value: T | undefined, error: Error | null, retry: () => void }} Answer neither value nor error: on its way
 */
/** @typedef {<T>(key: string, load: () => Promise<T>) => Answer<T>} Ask */

/**
 * @param {{ onSettled: (pending: number) => void, onRetry?: () => void, limit?: number }} options `onSettled` is told how many answers are
 *   still on their way; `onRetry` is told before anything is tried again
 * @returns {{ ask: Ask }}
 */
export function createResources({ onSettled, onRetry, limit = 200 }) {
  /** @type {Map<string, Answer<any>>} */
  const kept = new Map();
  let pending = 0;

  /** @param {string} key @param {() => Promise<any>} load */
  function start(key, load) {
    /** @type {Answer<any>} */
    const answer = { value: undefined, error: null, retry: () => (kept.delete(key), onRetry?.(), onSettled(pending)) };
    kept.set(key, answer);
    pending += 1;
    load()
      .then(
        (value) => void (answer.value = value),
        (error) => void (answer.error = error),
      )
      .then(() => {
        pending -= 1;
        if (kept.get(key) === answer) onSettled(pending);
      });
    while (kept.size > limit) kept.delete(/** @type {string} */ (kept.keys().next().value));
    return answer;
  }

  /** @param {string} key names what is asked, run and prompt included @param {() => Promise<any>} load */
  function ask(key, load) {
    const found = kept.get(key);
    if (!found) return start(key, load);
    kept.delete(key);
    kept.set(key, found);
    return found;
  }

  return { ask };
}
