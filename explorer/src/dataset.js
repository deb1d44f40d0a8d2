/** The figures of the dataset. */

import { fill } from './dom.js';
import { noStats, pageFrame } from './page-parts.js';
import { statsOf } from './stats-data.js';

/** @param {import('./pages.js').Options} options */
export function createDataset({ data }) {
  const { el, body } = pageFrame('Data', 'The figures of the dataset itself: lengths, groups, accuracy, rejects.');

  /** @param {import('./state.js').PageState} now */
  async function update(now) {
    const index = await data.run(now.run);
    if (!statsOf(index)) return fill(body, noStats(index));
  }

  return { el, update, title: () => 'Data' };
}
