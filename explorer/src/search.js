/** Search for components and prompts. */

import { fill } from './dom.js';
import { noStats, pageFrame } from './page-parts.js';
import { statsOf } from './stats-data.js';

/** @param {import('./pages.js').Options} options */
export function createSearch({ data }) {
  const { el, body } = pageFrame('Components', 'Heads, neurons and prompts by name, by the tokens they promote, by text.');

  /** @param {import('./state.js').PageState} now */
  async function update(now) {
    const index = await data.run(now.run);
    if (!statsOf(index)) return fill(body, noStats(index));
  }

  return { el, update, title: () => 'Components' };
}
