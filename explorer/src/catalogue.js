/** The catalogue: the runs of this site, each with a way straight to a prediction. */

import { fill, h } from './dom.js';
import { familiesSection } from './families.js';
import { clip, day, integer, plural, showText, size } from './format.js';
import { frontSection } from './front-page.js';
import { format, pageState, promptsState } from './state.js';

const GROUPS = 10;

/** @param {import('./data.js').CatalogueRun} run @param {(id: string) => void} open */
function card(run, open) {
  const list = format(promptsState(run.id));
  const groups = run.groups ?? [];
  const more = (run.n_groups ?? groups.length) - Math.min(groups.length, GROUPS);
  const name = showText(run.title || run.id);
  return h(
    'article',
    { class: 'run-card', 'data-testid': 'run-card', 'data-run': run.id },
    h(
      'header',
      {},
      h('h2', {}, h('bdi', { title: name }, clip(name, 120))),
      run.complete ? null : h('span', { class: 'badge', title: 'Not all shards of this run are finished; what is there can be explored.' }, 'partial'),
    ),
    h(
      'dl',
      { class: 'facts' },
      ...[
        ['model', clip(showText(run.model ?? '–'), 60)],
        ['dataset', clip(showText(run.dataset ?? '–'), 60)],
        ['prompts', plural(run.n_prompts, 'prompt') + (run.n_selected_from ? `, selected from ${integer(run.n_selected_from)}` : '') + (run.n_rejects ? `, ${integer(run.n_rejects)} rejected` : '')],
        ['made', day(run.created)],
        ['size', size(run.bytes)],
      ].map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, h('bdi', {}, value)))),
    ),
    groups.length
      ? h(
          'ul',
          { class: 'groups', 'aria-label': 'Groups of prompts' },
          ...groups.slice(0, GROUPS).map((group) => h('li', {}, h('a', { class: 'pill', href: format(promptsState(run.id, { group })) }, h('bdi', {}, clip(showText(group || 'no group'), 40))))),
          more > 0 ? h('li', { class: 'quiet' }, `and ${integer(more)} more`) : null,
        )
      : null,
    h(
      'p',
      { class: 'actions' },
      h('button', { type: 'button', class: 'primary', 'data-testid': 'run-open', onclick: () => open(run.id), disabled: run.n_prompts === 0 }, 'Open the first prediction'),
      h('a', { class: 'button', href: list }, 'List of prompts'),
      h('a', { class: 'button', href: format(pageState('corpus', run.id)) }, 'Corpus'),
    ),
  );
}

/** Ways to the comparisons of runs over the same prompts. @param {import('./data.js').Catalogue} catalogue */
function comparisons({ runs, compared = [] }) {
  if (!compared.length) return null;
  const name = (/** @type {string} */ id) => showText(runs.find((run) => run.id === id)?.title ?? id);
  const links = compared.map(({ a, b, n }) => h('li', {}, h('a', { href: format(pageState('compare', a, { other: b })) }, `${name(a)} and ${name(b)}`), h('small', {}, ` ${plural(n, 'prompt')} in both`)));
  return h('section', { class: 'run-card comparisons', 'data-testid': 'comparisons' }, h('h2', {}, 'The same prompts in two runs'), h('ul', {}, ...links));
}

/** @param {{ data: import('./data.js').Data, onOpen: (run: string) => void }} options */
export function createCatalogue({ data, onOpen }) {
  const body = h('div', { class: 'cards' });
  const title = h('h1', {}, 'Runs');
  const lead = h('p', { class: 'lead' }, 'Each run holds the routes by which one model came to its predictions on a dataset of prompts: which tokens, layers, heads and MLPs they passed through.');
  const front = h('div', {});
  const el = h('main', { class: 'catalogue page', id: 'main', tabindex: '-1' }, title, front, lead, body, familiesSection());
  let name = 'Runs';
  fill(body, ...[0, 1].map(() => h('div', { class: 'run-card skeleton', 'aria-hidden': 'true' })));

  async function update() {
    const found = await data.catalogue();
    name = found.title ? showText(found.title) : 'Runs';
    fill(title, name);
    fill(front, frontSection(found.front));
    const runs = found.runs.filter(({ live }) => !live);
    if (!runs.length) {
      fill(body, h('p', { class: 'empty' }, 'This site holds no run yet. Add one with “flowatlas site RUN --out SITE”.'));
      return;
    }
    fill(body, ...runs.map((run) => card(run, onOpen)), comparisons(found));
    data.warm();
  }

  return { el, update, title: () => clip(name, 120) };
}
