/** The other prompt of a comparison, with its own route at the same threshold. */

import { askedAt } from './asked.js';
import { createResources } from './resources.js';
import { buildGraph, reachFrom, routeAt, sharesOf } from './routes.js';

/**
 * @typedef {import('./pair-view.js').Side} Side
 * @typedef {{ there: Side | Error | null, note: string, shares: number[], retry: () => void }} Other `there` is null while it loads
 */

/** @param {{ data: import('./data.js').Data, onSettled: () => void }} options */
export function createPartner({ data, onSettled }) {
  const prompts = createResources({ onSettled, limit: 8 });
  /** @type {{ key: string, reach: import('./routes.js').Reach, shares: number[] } | null} */
  let kept = null;

  /**
   * @param {Side} here @param {number} id of the other prompt @param {{ mode: import('./routes.js').Mode, tau: number }} at
   * @returns {Other}
   */
  return function beside(here, id, { mode, tau }) {
    const { index } = here;
    const answer = prompts.ask(`${index.id} ${id}`, async () => {
      const found = await data.prompt(index, id);
      return { data: found, graph: buildGraph(found.edges, { parallel: index.parallel, nLayers: index.n_layers }) };
    });
    const { retry } = answer;
    if (answer.error || !answer.value) return { there: answer.error, note: '', shares: [], retry };
    const other = answer.value;
    const { targets, n_tokens: length } = other.data.prompt;
    const wanted = here.route.target;
    const same = length === here.data.prompt.n_tokens;
    const target = same && targets.includes(wanted) ? wanted : askedAt(other.data);
    const note = same && target !== wanted ? `Position ${wanted} is no stored target of the other prompt; ${target} is shown.` : '';
    const key = `${index.id} ${id} ${target} ${mode}`;
    if (kept?.key !== key) {
      const reach = reachFrom(other.graph, target, mode);
      kept = { key, reach, shares: sharesOf(other.graph, reach) };
    }
    const there = { ...here, ...other, route: routeAt(other.graph, kept.reach, tau), tops: null, target: other.data.targets.find((one) => one.target === target) };
    return { there, note, shares: kept.shares, retry };
  };
}
