/** How far the numbers can be trusted. */

import { fill } from './dom.js';
import { noStats, pageFrame } from './page-parts.js';
import { statsOf } from './stats-data.js';

/** @param {import('./pages.js').Options} options */
export function createTrust({ data }) {
  const { el, body } = pageFrame('Trust', 'What was measured about the measurement itself.');

  /** @param {import('./state.js').PageState} now */
  async function update(now) {
    const index = await data.run(now.run);
    if (!statsOf(index)) return fill(body, noStats(index));
  }

  return { el, update, title: () => 'Trust' };
}
