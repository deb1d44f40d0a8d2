/** All that people call the components of a run: found, changed here, downloaded as the file that a site is built with. */

import { componentAddress, typedComponent } from './component-names.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { download } from './figure.js';
import { clip, oneLine, plural, showText } from './format.js';
import { createNameForm } from './name-form.js';
import { canonical, yamlOf } from './names.js';
import { createStatsPage } from './page-parts.js';
import { format, pageState } from './state.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').NamesState>} Props */

const NOTE = 160;

/** Why the model has no such component; empty where it has, or where nobody knows. @param {import('./data.js').RunIndex} index @param {string} name */
export function whyAbsent(index, name) {
  const of = typedComponent(name);
  const n = index.vocab?.n_clusters;
  if (n !== undefined && /^cluster \d+$/.test(name) && Number(name.slice(8)) >= n) return `its clusters are 0 to ${n - 1}`;
  const { d_mlp = null, without_neurons = [] } = index.manifest?.model ?? {};
  if (!of) return '';
  if (of.layer >= index.n_layers) return `its layers are L0 to L${index.n_layers - 1}`;
  if (of.component === 'head' && of.index >= index.n_heads) return `its heads are H0 to H${index.n_heads - 1}`;
  if (of.component !== 'neuron') return '';
  if (without_neurons.includes(of.layer)) return `the neurons of layer ${of.layer} cannot be told apart`;
  return of.expert < 0 && d_mlp !== null && of.index >= d_mlp ? `its neurons are N0 to N${d_mlp - 1}` : '';
}

/** @param {Props} props @returns {import('./data-table.js').Column[]} */
function columnsOf({ index, state }) {
  const page = (/** @type {string} */ name) => {
    if (name.startsWith('cluster ')) return format(pageState('cluster', index.id, { cluster: Number(name.slice(8)) }));
    const of = typedComponent(name);
    return of && componentAddress(index.id, of);
  };
  const edit = (/** @type {import('./rows.js').Row} */ { name }) => h('a', { href: format({ ...state, of: name }), 'data-go': `edit ${name}`, 'aria-label': `Change ${name}` }, 'change');
  return [
    { name: 'component', text: true, value: (row) => row.name, show: (row) => (page(row.name) ? h('a', { href: page(row.name) }, row.name) : row.name) },
    { name: 'label', text: true, value: (row) => row.label, show: (row) => h('bdi', {}, showText(row.label)) },
    { name: 'note', text: true, class: 'note-cell', value: (row) => row.note, show: (row) => h('bdi', {}, oneLine(row.note, NOTE)), hint: (row) => showText(row.note) },
    { name: 'changed', label: 'change', text: true, value: (row) => (row.changed ? 'changed here' : ''), show: (row) => [edit(row), row.changed ? h('small', {}, ' changed here') : ''] },
  ];
}

/** @param {import('./pages.js').Options} options */
export function createNamesPage({ data, navigate }) {
  /** @type {Props | null} */
  let now = null;
  const table = createDataTable({ id: 'names', name: 'names', first: 100, onFind: (q) => now?.go({ q }, true) });
  const form = createNameForm({ onDone: () => now?.redraw() });
  const which = h('input', { type: 'text', class: 'find-name', placeholder: 'L1H2, L3 MLP, L0N5', 'aria-label': 'Component to name', maxlength: 40, spellcheck: 'false', autocomplete: 'off', 'data-testid': 'name-which' });
  const said = h('span', { class: 'quiet', role: 'alert', 'data-testid': 'name-refused' });
  const chooser = h('form', { class: 'controls-row', 'data-testid': 'name-chooser' }, h('label', { class: 'field' }, h('span', {}, 'component'), which), h('button', { type: 'submit', class: 'button' }, 'Name it'), said);
  const about = h('h2', {});
  const editor = h('section', { class: 'naming' }, about, form.el);

  chooser.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = canonical(which.value);
    const why = name && now ? whyAbsent(now.index, name) : 'heads are written L1H2, neurons L0N5, MLPs L3 MLP, clusters of neurons cluster 7';
    said.textContent = why ? `This model has no ${clip(showText(which.value.trim()), 40) || 'component without a name'}: ${why}.` : '';
    if (name && !why) now?.go({ of: name });
  });

  /** @param {Props} props */
  function fileLine({ index, redraw }) {
    const { n, kept } = index.names.changes();
    const total = index.names.all().length;
    const discard = () => {
      index.names.discard();
      redraw();
    };
    return h(
      'div',
      { class: 'controls-row' },
      h('button', { type: 'button', class: 'button', 'data-go': 'download', 'data-testid': 'names-download', onclick: () => download('names.yaml', new Blob([yamlOf(index.names)], { type: 'application/yaml' })) }, 'Download names.yaml'),
      n ? h('button', { type: 'button', class: 'button', 'data-go': 'discard', 'data-testid': 'names-discard', onclick: discard }, `Discard ${plural(n, 'change')}`) : null,
      h('span', { class: 'quiet', role: 'status', 'data-testid': 'names-count' }, n ? `${plural(total, 'name')}; ${plural(n, 'change')} in this browser only${kept ? '' : ', and gone with this page'}.` : `${plural(total, 'name')}, as published.`),
    );
  }

  /** @param {Props} props */
  function render(props) {
    now = props;
    const { index, state, sorting } = props;
    if (state.of !== null) {
      form.update(index, state.of);
      about.textContent = state.of;
    }
    table.update({ rows: index.names.all(), columns: columnsOf(props), sorting, find: state.q, empty: 'Nothing has a name yet: write a component above, or open the page of a head or neuron.' });
    return [
      index.names.problem ? h('p', { class: 'inline-error', role: 'alert' }, 'The published names could not be read: ', h('small', {}, index.names.problem)) : null,
      index.names.dropped ? h('p', { class: 'hint', role: 'status', 'data-testid': 'names-dropped' }, `${plural(index.names.dropped, 'name')} that this browser kept ${index.names.dropped === 1 ? 'was of a cluster' : 'were of clusters'} of another clustering, and ${index.names.dropped === 1 ? 'is' : 'are'} left out.`) : null,
      chooser,
      ...(state.of === null ? [] : [editor]),
      h('h2', {}, 'Names'),
      fileLine(props),
      table.el,
      h('p', { class: 'quiet' }, 'The file belongs into the folder of the run, as names.yaml: ', h('code', {}, 'flowatlas site'), ' then publishes it.'),
    ];
  }

  return createStatsPage({ data, navigate, evenWithout: true, heading: () => 'Names', lead: 'What people call heads, neurons, MLPs and clusters, and what they noted about them.', render });
}
