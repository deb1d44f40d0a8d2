/**
 * What comes after a prompt's graph is drawn: its place in the run, the first reading of every node, the other prompts
 * of its pair. The graph stands without them; what fails is told by itself, and can be tried again by itself.
 *
 * @typedef {import('./prompt-head.js').Around} Around
 * @typedef {{ index: import('./data.js').RunIndex, data: import('./data.js').PromptData }} Of
 * @typedef {{ what: string, error: Error }} Failure
 */

/** @param {{ data: import('./data.js').Data, onChange: () => void }} options */
export function createSurroundings({ data, onChange }) {
  /** @type {Of | null} */
  let of = null;
  /** @type {Awaited<ReturnType<import('./data.js').Data['neighbours']>> | null} */
  let place = null;
  /** @type {Map<string, { token: string, prob: number }> | null} */
  let tops = null;
  /** @type {import('./rows.js').Row[] | null} */
  let partners = null;
  /** @type {Map<string, Failure>} */
  let failures = new Map();

  /** @template T @param {string} what @param {Promise<T>} answer @param {Of} mine @param {(value: T) => void} take */
  async function part(what, answer, mine, take) {
    try {
      const value = await answer;
      if (of !== mine) return;
      failures.delete(what);
      take(value);
    } catch (error) {
      if (of === mine) failures.set(what, { what, error: /** @type {Error} */ (error) });
    }
  }

  /** Asks for what is not there yet. @param {Of} mine */
  async function load(mine) {
    const { index, data: { prompt } } = mine;
    if (!place) {
      await part('Where this prompt stands among the others', data.neighbours(index, prompt.prompt_id), mine, (found) => {
        place = found;
        if (found.next !== null) data.fetchAhead(index, found.next);
      });
    }
    if (of === mine && !tops) await part('What each node reads as', data.tops(index, prompt.prompt_id), mine, (found) => (tops = found));
    if (of !== mine) return;
    onChange();
    if (!partners) {
      await part('The other prompts of its pair', data.pair(index, prompt), mine, (found) => (partners = found));
      if (of === mine) onChange();
    }
  }

  return {
    /** @param {Of} next */
    start(next) {
      of = next;
      place = tops = partners = null;
      failures = new Map();
      void load(next);
    },
    retry() {
      if (of && failures.size) void load(of);
    },
    tops: () => tops,
    failures: () => [...failures.values()],
    /** @returns {Around | null} */
    around: () => (place ? { ...place, partners: partners ?? [] } : null),
  };
}
