/** Components of a model by name: what a person types, what the page writes, where each has its page. Pure. */

import { format, pageState } from './state.js';
import { headName, neuronName } from './tabs.js';

/**
 * @typedef {{ component: string, layer: number, expert: number, index: number }} Component `component` as in `measures.js`; `expert` is -1 outside of mixtures
 */

const TYPED = /^L?(\d{1,4})[.: ]?(?:(?:E(\d{1,4})[.:]?)?(H|N)?(\d{1,7})|(MLP|ATTN|ATTENTION))$/i;

/**
 * The component that was typed: `5.1`, `L5.H1`, `5:1`, `L5H1` are a head, `L5N12` and `L5E2N12` a neuron, `L5 MLP` an MLP.
 * @param {string} text @returns {Component | null}
 */
export function typedComponent(text) {
  const found = TYPED.exec(text.trim());
  if (!found) return null;
  const [, layer, expert, kind, index, block] = found;
  if (block) return { component: block.toLowerCase() === 'mlp' ? 'mlp' : 'attn', layer: Number(layer), expert: -1, index: 0 };
  const neuron = kind?.toUpperCase() === 'N';
  if (!kind && !/[.:]/.test(text)) return null; // 51 is a number, not a head
  if (expert !== undefined && !neuron) return null;
  return { component: neuron ? 'neuron' : 'head', layer: Number(layer), expert: expert === undefined ? -1 : Number(expert), index: Number(index) };
}

/** @param {Component} of */
export function componentName({ component, layer, expert, index }) {
  if (component === 'head') return headName(layer, index);
  if (component === 'neuron') return neuronName({ layer, expert, neuron: index });
  return component === 'mlp' ? `L${layer} MLP` : `L${layer} attention`;
}

/** Its page; null for what has none. @param {string} run @param {Component} of */
export function componentState(run, of) {
  if (of.component !== 'head' && of.component !== 'neuron') return null;
  return pageState(of.component, run, { name: componentName(of) });
}

/** The address of its page; null for what has none. @param {string} run @param {Component} of @returns {string | null} */
export function componentAddress(run, of) {
  const state = componentState(run, of);
  return state && format(state);
}
