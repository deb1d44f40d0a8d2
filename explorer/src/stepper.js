/** Steps from prompt to prompt, counted while one still loads: six presses lead six prompts on. */

/**
 * @param {{ neighbours: (id: number) => Promise<{ previous: number | null, next: number | null }>,
 *   onArrive: (id: number, from: number) => void }} options
 */
export function createStepper({ neighbours, onArrive }) {
  let steps = 0;
  let walking = false;

  /** @param {number} from */
  async function walk(from) {
    walking = true;
    let id = from;
    try {
      while (steps !== 0) {
        const by = Math.sign(steps);
        const { previous, next } = await neighbours(id);
        const to = by < 0 ? previous : next;
        if (to === null) break; // the end of the list
        id = to;
        steps -= by;
      }
    } catch {
      // The list could not be read, which stands above the graph already.
    }
    steps = 0;
    walking = false;
    if (id !== from) onArrive(id, from);
  }

  return {
    /** @param {1 | -1} by @param {number} from where the reader is, or is on the way to */
    step(by, from) {
      steps += by;
      if (!walking) void walk(from);
    },
  };
}
