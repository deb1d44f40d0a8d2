/** The corpus: heads and MLPs by importance. */

import { fill } from './dom.js';
import { noStats, pageFrame } from './page-parts.js';
import { statsOf } from './stats-data.js';

/** @param {import('./pages.js').Options} options */
export function createCorpus({ data }) {
  const { el, body } = pageFrame('Corpus', 'Which heads, MLPs and neurons carry the most over all prompts, and how sure that is.');

  /** @param {import('./state.js').PageState} now */
  async function update(now) {
    const index = await data.run(now.run);
    if (!statsOf(index)) return fill(body, noStats(index));
  }

  return { el, update, title: () => 'Corpus' };
}
