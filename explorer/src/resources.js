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
 * @param {{ onSettled: () => void, onRetry?: () => void, limit?: number }} options `onRetry` is told before anything is tried again
 * @returns {{ ask: Ask }}
 */
export function createResources({ onSettled, onRetry, limit = 200 }) {
  /** @type {Map<string, Answer<any>>} */
  const kept = new Map();

  /** @param {string} key @param {() => Promise<any>} load */
  function start(key, load) {
    /** @type {Answer<any>} */
    const answer = { value: undefined, error: null, retry: () => (kept.delete(key), onRetry?.(), onSettled()) };
    kept.set(key, answer);
    load().then(
      (value) => {
        answer.value = value;
        if (kept.get(key) === answer) onSettled();
      },
      (error) => {
        answer.error = error;
        if (kept.get(key) === answer) onSettled();
      },
    );
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
