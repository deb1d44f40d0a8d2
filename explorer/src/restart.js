/**
 * An engine that trapped. WebAssembly that has hit its own limits (a call of nothing, memory out of bounds) answers no query
 * any more, whatever it is; a new engine does.
 */

const TRAP = /null function|unreachable|out of bounds|indirect call|RuntimeError|call stack/i;

/** @param {unknown} error */
export const isTrap = (error) => TRAP.test(String(/** @type {Error} */ (error)?.message ?? error));

/**
 * What a task gives; where the engine trapped, what it gives with another one.
 * @template T
 * @param {() => Promise<T>} task @param {() => Promise<void>} restart @returns {Promise<T>}
 */
export async function surviving(task, restart) {
  try {
    return await task();
  } catch (error) {
    if (!isTrap(error)) throw error;
    await restart();
    return task();
  }
}
