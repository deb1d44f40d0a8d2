/** The map of prompts. */

import { fill } from './dom.js';
import { noStats, pageFrame } from './page-parts.js';
import { statsOf } from './stats-data.js';

/** @param {import('./pages.js').Options} options */
export function createPromptMap({ data }) {
  const { el, body } = pageFrame('Map of prompts', 'Prompts that use the same components lie together.');

  /** @param {import('./state.js').PageState} now */
  async function update(now) {
    const index = await data.run(now.run);
    if (!statsOf(index)) return fill(body, noStats(index));
  }

  return { el, update, title: () => 'Map of prompts' };
}
