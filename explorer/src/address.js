/** Writing the address. Browsers refuse many changes in a row (a slider makes sixty a second), so replacing waits its turn. */

import { withEmbed } from './state.js';

const PAUSE_MS = 150;

/** @param {{ history?: History, now?: () => number }} [scope] */
export function createAddress({ history = window.history, now = () => performance.now() } = {}) {
  let last = -Infinity;
  /** @type {string | null} */
  let waiting = null;
  let timer = 0;

  /** Writes what waits. */
  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (waiting !== null) history.replaceState(null, '', waiting);
    if (waiting !== null) last = now();
    waiting = null;
  }

  /** The address was changed by someone else: what waits is out of date. */
  function forget() {
    clearTimeout(timer);
    timer = 0;
    waiting = null;
  }

  /** @param {string} hash */
  function replace(hash) {
    waiting = hash;
    if (now() - last >= PAUSE_MS) flush();
    else if (!timer) timer = window.setTimeout(flush, PAUSE_MS);
  }

  /** @param {string} hash */
  function push(hash) {
    flush(); // the entry left behind holds the last look
    history.pushState(null, '', hash);
  }

  /** What embeds a view stands in the hash from now on: a link out of the frame leaves it behind. @param {Location} location */
  function adopt({ pathname, search, hash }) {
    const rest = new URLSearchParams(search);
    if (!rest.has('embed')) return;
    rest.delete('embed');
    history.replaceState(null, '', `${pathname}${rest.size ? `?${rest}` : ''}${withEmbed(search, hash)}`);
  }

  return { push, replace, flush, forget, adopt };
}
