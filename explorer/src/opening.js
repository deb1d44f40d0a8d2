/** What the open button and the key `e` are about, and in words why there is nothing to open. Pure. */

import { nodeName, tokenAt } from './describe.js';
import { headsInto, neuronsInto } from './expand.js';
import { BLOCK_LEVEL, hasPlace, isBlockLevel } from './places.js';
import { parseNode } from './routes.js';

/**
 * @typedef {{ selection: string | null, open: string, route: import('./routes.js').Route, graph: import('./routes.js').Graph,
 *   data: import('./data.js').PromptData, index: import('./data.js').RunIndex, expansion: (key: string) => import('./expand.js').Expansion }} About
 */

/** The node that a selection is about: itself, or the one that an edge or an MLP's square enters. @param {About} about */
export function nodeToOpen({ selection, graph }) {
  if (selection === null) return null;
  return /\.(mid|post)\./.test(selection) ? selection : (graph.parts.find((one) => one.key === selection)?.to ?? null);
}

/** Why a node has nothing to open into; empty where it has, or where that is not known yet. @param {string} key @param {About} about */
export function whyNot(key, { route, data, index, expansion }) {
  const { layer, point, pos } = parseNode(key);
  const where = `${nodeName({ layer, point })} at ${tokenAt(data.prompt.tokens, pos)}`;
  if (layer < 0) return `${where} opens into nothing: no head or neuron writes it.`;
  if (!route.nodes.has(key)) return `${where} is not on this route, so it does not open. Lower the threshold for more of the route.`;
  const heads = headsInto(route, key, null).length > 0;
  if (point === 'mid' || (index.parallel && heads)) return heads ? '' : `${where} opens into heads, and no attention edge into it is on the route at this threshold. Its neurons are at L${layer} post.`;
  if (!route.edges.has(`${layer}.mlp.${pos}`)) {
    return index.parallel
      ? `${where} opens into nothing: neither attention nor MLP into it is on the route at this threshold.`
      : `${where} opens into neurons, and its MLP is not on the route at this threshold. Its heads are at L${layer} mid.`;
  }
  if (isBlockLevel(index, layer)) return `${where} does not open into neurons. ${BLOCK_LEVEL}`;
  const found = expansion(key);
  if (!found || found instanceof Error || neuronsInto(route, key, found).length) return '';
  return `${where} opens into neurons, and none of its MLP is stored here.`;
}

/** What to say about nodes that the address opens and that show nothing. @param {About} about */
export function unopened(about) {
  const of = { index: about.index, nTokens: about.data.prompt.n_tokens };
  const there = about.open.split(',').filter((key) => key && hasPlace(key, of)); // what is not is said above the graph
  return there.map((key) => whyNot(key, about)).filter(Boolean).slice(0, 2).join(' ');
}
