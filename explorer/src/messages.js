/** What a person reads when something is not there or does not work: what, why, and what to do. Never a blank page. */

import { h } from './dom.js';
import { SiteError } from './errors.js';
import { clip } from './format.js';
import { format, promptsState, promptState } from './state.js';

/** @typedef {{ title: string, text: string, links: { label: string, href: string }[], retry: boolean }} Words */

const HOME = { label: 'All runs', href: '#/' };

/** @type {Record<import('./errors.js').Kind, (info: Record<string, any>) => Words>} */
const WORDS = {
  'no-data': () => ({
    title: 'There is no data beside this page',
    text: 'The explorer shows runs stored in the folder data/ next to it. Make one with “flowatlas run …”, then “flowatlas site RUN --out SITE”, and open SITE through a web server, for instance “flowatlas serve SITE”.',
    links: [],
    retry: true,
  }),
  missing: () => ({
    title: 'A file of this run is missing',
    text: 'The site lists it, but the server does not have it. If the site was copied, copy it whole; else make it again with “flowatlas site”.',
    links: [HOME],
    retry: true,
  }),
  network: () => ({
    title: 'The data could not be fetched',
    text: 'The server did not answer as it should, or the connection broke. Nothing is lost: try again.',
    links: [HOME],
    retry: true,
  }),
  damaged: () => ({
    title: 'A file arrived damaged',
    text: 'It is truncated or not what its name says. Try again; if that does not help, the copy on the server is damaged: make the site again with “flowatlas site”.',
    links: [HOME],
    retry: true,
  }),
  incomplete: ({ tables = [] }) => ({
    title: 'The data of this prompt is incomplete',
    text: `The run says that it stored more than the ${tables.length === 1 ? 'file' : 'files'} of ${tables.join(' and ')} hold. A file of another run or prompt may stand in their place: make the site again with “flowatlas site”.`,
    links: [HOME],
    retry: true,
  }),
  'schema-newer': ({ version }) => ({
    title: 'This data is newer than the page',
    text: `The data has schema ${version}, which this page does not know. Reload without the browser’s cache; if you host the site, make it again with the flowatlas that wrote the run.`,
    links: [HOME],
    retry: true,
  }),
  'schema-older': () => ({
    title: 'This data is older than the page',
    text: 'It was written by an earlier flowatlas whose tables this page does not read. Run “flowatlas run” again with the same settings in a new folder, then “flowatlas site”.',
    links: [HOME],
    retry: true,
  }),
  'unknown-run': ({ run, runs }) => ({
    title: `There is no run “${clip(String(run), 60)}” on this site`,
    text: runs?.length ? 'It may have been renamed or left out when the site was made. These are here:' : 'The catalogue is empty.',
    links: [...(runs ?? []).slice(0, 12).map((/** @type {any} */ one) => ({ label: one.title || one.id, href: format(promptsState(one.id)) })), HOME],
    retry: false,
  }),
  'left-out': () => ({
    title: 'This site was made without it',
    text: 'The run has it, and the site holds only a part of the run: “flowatlas site --select” says which.',
    links: [HOME],
    retry: false,
  }),
  'unknown-prompt': ({ run, id, nearest, selected }) => ({
    title: selected ? `Prompt ${id} is not part of this site` : `There is no prompt ${id} in this run`,
    text: selected ? 'The site holds a selection of the run’s prompts, and this one, if the run has it, is not among them.' : 'Prompts are numbered by their row in the dataset; this row is not part of the run.',
    links: [...near(run, nearest), { label: 'All prompts', href: format(promptsState(run)) }],
    retry: false,
  }),
  'rejected-prompt': ({ run, id, nearest, reject }) => ({
    title: `Prompt ${id} was not processed`,
    text: `The run rejected this row: ${reject.reason}. ${reject.detail}`,
    links: [...near(run, nearest), { label: 'All prompts', href: format(promptsState(run)) }],
    retry: false,
  }),
  'no-prompts': () => ({
    title: 'This run has no prompts',
    text: 'Every row of its dataset was rejected, or none has been processed yet. “flowatlas status RUN” says which.',
    links: [HOME],
    retry: true,
  }),
  engine: () => ({
    title: 'The SQL engine did not start',
    text: 'The page reads its data with DuckDB compiled to WebAssembly, in a worker. A strict content policy, an extension or an old browser may forbid it. A current Firefox, Chrome, Edge or Safari runs it.',
    links: [HOME],
    retry: true,
  }),
  query: () => ({
    title: 'The data could not be read',
    text: 'A file was fetched whole but its tables are not what this page expects. Make the site again with “flowatlas site”; if it stays, it is a fault worth reporting with the line below.',
    links: [HOME],
    retry: true,
  }),
};

/** @param {string} run @param {number | null} nearest */
function near(run, nearest) {
  return nearest === null || nearest === undefined ? [] : [{ label: `Prompt ${nearest}, the nearest`, href: format(promptState(run, nearest)) }];
}

/**
 * @param {unknown} error
 * @returns {Words & { detail: string }}
 */
export function wordsFor(error) {
  if (error instanceof SiteError) return { ...WORDS[error.kind](error.info), detail: error.message };
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { title: 'The page made a mistake', text: 'This should not happen. Try again, or go back to the catalogue.', links: [HOME], retry: true, detail };
}

/** @param {unknown} error @param {() => void} onRetry */
export function messageFor(error, onRetry) {
  const { title, text, links, retry, detail } = wordsFor(error);
  return h(
    'section',
    { class: 'message', role: 'alert', 'data-testid': 'message' },
    h('h1', {}, title),
    h('p', {}, text),
    h(
      'p',
      { class: 'actions' },
      retry ? h('button', { type: 'button', class: 'primary', onclick: onRetry }, 'Retry') : null,
      ...links.map(({ label, href }) => h('a', { class: 'button', href }, clip(label, 60))),
    ),
    h('p', { class: 'small-print' }, h('code', {}, clip(detail, 600))),
  );
}

/** What this browser lacks, in words; empty when nothing. @param {any} [scope] */
export function missingFeatures(scope = globalThis) {
  const needs = /** @type {[string, boolean][]} */ ([
    ['WebAssembly', typeof scope.WebAssembly === 'object'],
    ['WebAssembly exceptions', typeof scope.WebAssembly?.Tag === 'function' || typeof scope.WebAssembly?.Exception === 'function'],
    ['web workers', typeof scope.Worker === 'function'],
    ['ResizeObserver', typeof scope.ResizeObserver === 'function'],
    ['current CSS', Boolean(scope.CSS?.supports?.('color', 'color-mix(in oklab, red, blue)'))],
  ]);
  return needs.filter(([, there]) => !there).map(([name]) => name);
}
