/** One neuron over the corpus: what it carries for whom, where it fires, what it promotes, and where to see it at work. */

import { askAbout, examplesPart, groupsPart, neighbours, pairsPart, standing } from './component-parts.js';
import { clusterName } from './clusters-page.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, fraction, plural, quantity } from './format.js';
import { createMemo } from './memo.js';
import { noSuchNeuron, widthOf } from './model-shape.js';
import { nameWords } from './name-label.js';
import { createNameEditor } from './name-editor.js';
import { createStatsPage, halfOf } from './page-parts.js';
import { answered, factList } from './panel-parts.js';
import { promotedLists } from './promoted.js';
import { asked, sqlLink } from './sql-link.js';
import neuronTokensSql from './sql/neuron_tokens.sql?raw';
import atlasTokensSql from './sql/vocab_neuron_tokens.sql?raw';
import neuronSql from './sql/vocab_neuron.sql?raw';
import { format, pageState } from './state.js';
import { parseNeuron } from './tabs.js';
import { hasAtlas } from './vocab-data.js';
import { placeLink } from './vocab-parts.js';

/** @typedef {import('./component-parts.js').Props} Props */

/** @param {Props} props */
function activationPart(props) {
  const { answer } = askAbout(props, 'activation');
  return answered(answer, 'Its activation', ([found]) => {
    if (!found) return [];
    const facts = factList([
      ['stored at', `${plural(found.n, 'position')} of ${plural(found.n_prompts, 'prompt')}`, 'where it is among the top of its MLP on a route'],
      ['activation there', `${quantity(found.activation)} (${quantity(found.activation_least)} to ${quantity(found.activation_most)})`, `mean, least and most: ${exact(found.activation)}`],
      ['positive', fraction(found.positive), `part of these positions with an activation above 0: ${exact(found.positive)}`],
      ['mean share there', fraction(found.share), exact(found.share)],
      ['largest at', placeLink(props.index, props.of, found), 'where its share is largest'],
    ]);
    facts.dataset.testid = 'activation';
    return [facts];
  }, 1);
}

/** Its cluster, and how long its value vector is. @param {Props} props */
function clusterLine({ index, ask, of, data, state }) {
  if (!hasAtlas(index)) return '';
  const { layer, expert, index: neuron } = of;
  const answer = ask(`cluster of ${state.name}`, () => data.vocab.rows(index, neuronSql, { neurons: { layer, expert } }, { layer, expert, neuron }));
  const [found] = answer.value ?? [];
  if (!found) return '';
  return factList([
    ['cluster', h('a', { href: format(pageState('cluster', state.run, { cluster: found.cluster })), 'data-testid': 'its-cluster' }, ...nameWords(index, clusterName(found.cluster))), 'neurons of the model whose value vectors point alike'],
    ['alike', fraction(found.cosine), `cosine with the cluster’s mean: ${exact(found.cosine)}`],
    ['norm', quantity(found.norm), `length of its value vector: ${exact(found.norm)}`],
  ]);
}

const LIKE = 3;

/** To the neurons that have its first tokens too. @param {string} run @param {import('./details.js').WriteRow[]} up */
function likeLink(run, up) {
  const words = [...new Set(up.slice(0, LIKE).map(({ token }) => (token ?? '').trim()).filter((word) => word && !/\s/.test(word)))];
  return words.length ? h('p', {}, h('a', { href: format(pageState('search', run, { q: words.join(' '), exact: true })), 'data-testid': 'like-it' }, 'Neurons with its first tokens')) : '';
}

/** What its value vector does to the logits: the same in every prompt, up to the sign of its activation. @param {Props} props */
function tokensPart(props) {
  const { index, ask, of, data, state } = props;
  const neuron = { layer: of.layer, expert: of.expert, neuron: of.index };
  const answer = ask(`neuron tokens ${state.name}`, () => data.details.neuronTokens(index, neuron));
  const text = hasAtlas(index) ? asked(atlasTokensSql, neuron, { neuron_tokens: 'vocab.neuron_tokens' }) : asked(neuronTokensSql, neuron, { neuron_tokens: 'model.neuron_tokens', vocab: 'model.vocab' });
  const positive = askAbout(props, 'activation').answer.value?.[0]?.positive ?? null;
  return [
    h('h2', {}, 'Tokens of its direction'),
    h('p', { class: 'quiet' }, `By its weights alone: the same in every prompt, times its activation. ${positive === null ? '' : positive < 0.5 ? `Where it is stored its activation is ${positive ? `mostly negative (${fraction(1 - positive)})` : 'negative'}, so the two lists change places there.` : `Where it is stored its activation is positive${positive === 1 ? '' : ` in ${fraction(positive)} of positions`}.`}`),
    ...answered(answer, 'Its tokens', ({ up, down }) => [clusterLine(props), likeLink(state.run, up), promotedLists([...up, ...down], { sql: sqlLink(state.run, text, 'its tokens'), words: ['promoted when positive', 'suppressed when positive'] })], 8),
  ];
}

/** @param {import('./pages.js').Options} options */
export function createNeuronPage({ data, navigate }) {
  const fires = createDataTable({ id: 'fires', name: 'tokens-where-it-fires', first: 10 });
  const memo = createMemo();
  const editor = createNameEditor();

  /** @param {import('./component-parts.js').PageProps} page */
  function render(page) {
    const { layer, expert, neuron } = /** @type {import('./details.js').Neuron} */ (parseNeuron(page.state.name));
    const props = { ...page, data, of: { component: 'neuron', layer, expert, index: neuron } };
    memo.turn();
    const refused = noSuchNeuron(page.index, { layer, expert, neuron });
    if (refused) return [h('p', { class: 'hint', role: 'status', 'data-testid': 'not-here' }, refused)];
    return [
      editor.update(page, page.state.name),
      neighbours(props, widthOf(page.index)),
      ...standing(props),
      ...activationPart(props),
      h('div', { class: 'halves' }, h('section', {}, ...groupsPart({ ...props, width: halfOf(props.width) })), h('section', {}, h('h2', {}, 'Where it fires'), pairsPart(props, fires, 'fires', 'Tokens at which it is stored'))),
      ...tokensPart(props),
      ...examplesPart(props, memo.get),
    ];
  }

  return createStatsPage({ data, navigate, heading: ({ name }) => `Neuron ${name}`, lead: 'What this neuron does over all prompts.', render });
}
