/** Which neurons the model of a run has, as far as its manifest tells. Pure. */

import { integer } from './format.js';

/** Neurons of each layer; null where layers may differ (mixtures), or it is not known (runs made before it was kept). @param {import('./data.js').RunIndex} index @returns {number | null} */
export const widthOf = ({ manifest }) => (manifest?.model?.mixture === false ? manifest.model.d_mlp : null);

/** Why the model has no such neuron; empty where it has, or may have. @param {import('./data.js').RunIndex} index @param {import('./details.js').Neuron} of */
export function noSuchNeuron(index, { layer, expert, neuron }) {
  const width = widthOf(index);
  if (layer >= index.n_layers) return `This model has no layer ${layer}: its layers are L0 to L${integer(index.n_layers - 1)}.`;
  if (index.manifest?.model?.without_neurons?.includes(layer)) return `Layer ${layer} of this model has no neurons that can be told apart.`;
  if (width !== null && expert >= 0) return `This model has no experts: those of a layer are N0 to N${width - 1}.`;
  if (width !== null && neuron >= width) return `This model has no neuron L${layer}N${neuron}: those of its layers are N0 to N${width - 1}.`;
  return '';
}
