/** Groups or pairs compared. */

import { fill } from './dom.js';
import { noStats, pageFrame } from './page-parts.js';
import { statsOf } from './stats-data.js';

/** @param {import('./pages.js').Options} options */
export function createContrast({ data }) {
  const { el, body } = pageFrame('Contrasts', 'Which components matter for one group of prompts and not for another.');

  /** @param {import('./state.js').PageState} now */
  async function update(now) {
    const index = await data.run(now.run);
    if (!statsOf(index)) return fill(body, noStats(index));
  }

  return { el, update, title: () => 'Contrasts' };
}
