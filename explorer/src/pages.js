/** The pages of a run beside its prompts: where each one's code is, and how the header names it. */

import { createLater } from './later.js';

/** @typedef {import('./state.js').PageState['view']} PageView */
/** @typedef {{ data: import('./data.js').Data, navigate: (state: import('./state.js').State, options?: { replace?: boolean }) => void }} Options */

/** @type {Record<PageView, (options: Options) => Promise<import('./app.js').View>>} */
const LOADERS = {
  corpus: async (options) => (await import('./corpus.js')).createCorpus(options),
  contrast: async (options) => (await import('./contrast.js')).createContrast(options),
  head: async (options) => (await import('./head-page.js')).createHeadPage(options),
  neuron: async (options) => (await import('./neuron-page.js')).createNeuronPage(options),
  clusters: async (options) => (await import('./clusters-page.js')).createClustersPage(options),
  cluster: async (options) => (await import('./cluster-page.js')).createClusterPage(options),
  search: async (options) => (await import('./search.js')).createSearch(options),
  names: async (options) => (await import('./names-page.js')).createNamesPage(options),
  map: async (options) => (await import('./prompt-map.js')).createPromptMap(options),
  data: async (options) => (await import('./dataset.js')).createDataset(options),
  interventions: async (options) => (await import('./interventions.js')).createInterventions(options),
  trust: async (options) => (await import('./trust.js')).createTrust(options),
  sql: async (options) => (await import('./console.js')).createConsole(options),
  compare: async (options) => (await import('./runs.js')).createRuns(options),
};

let early = false;

/** Fetches the pages' code (60 kB) once the first view has all that it needs; the console's, which is larger, only when it is opened. */
export function fetchPages() {
  if (early) return;
  early = true;
  const soon = window.requestIdleCallback ?? ((/** @type {() => void} */ run) => setTimeout(run, 500));
  const pages = () => Promise.all([import('./corpus.js'), import('./contrast.js'), import('./head-page.js'), import('./neuron-page.js'), import('./prompt-map.js'), import('./dataset.js'), import('./trust.js'), import('./runs.js')]);
  soon(() => void pages().catch(() => {})); // what is missing is asked for again when it is opened, and said then
}

/** In the header: the view that a name leads to, and the views under which it is marked. @type {[string, Exclude<PageView, 'compare' | 'head' | 'neuron' | 'clusters' | 'cluster' | 'names'>, PageView[]][]} */
export const NAVIGATION = [
  ['Corpus', 'corpus', ['corpus', 'contrast']],
  ['Components', 'search', ['search', 'head', 'neuron', 'clusters', 'cluster', 'names']],
  ['Map', 'map', ['map']],
  ['Interventions', 'interventions', ['interventions']],
  ['Data', 'data', ['data']],
  ['SQL', 'sql', ['sql']],
  ['Trust', 'trust', ['trust']],
];

/** @param {PageView} view @param {Options} options */
export const createPage = (view, options) => createLater(() => LOADERS[view](options), { searches: view === 'search' });
