/** Where a reader's own names wait until they are downloaded: in this browser, by run. */

/**
 * @param {string} address of the run's data: another site of the same host has names of its own
 * @param {Storage | null} [storage] null where the browser gives none (a frame without rights, private windows)
 * @returns {import('./names.js').Drafts}
 */
export function createDrafts(address, storage = browserStorage()) {
  const key = `flowatlas names ${address}`;
  return {
    read() {
      try {
        return JSON.parse(storage?.getItem(key) ?? '{}');
      } catch {
        return {}; // not ours, or cut off
      }
    },
    write(changes) {
      try {
        if (Object.keys(changes).length) storage?.setItem(key, JSON.stringify(changes));
        else storage?.removeItem(key);
        return storage !== null;
      } catch {
        return false; // full
      }
    },
  };
}

function browserStorage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
