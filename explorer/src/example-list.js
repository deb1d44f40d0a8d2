/** Examples of a component as a list: the prompt with the two tokens marked, its route in small, the way to its page. Prompts are read as they come into view. */

import { askedAt } from './asked.js';
import { fill, h } from './dom.js';
import { exact, fraction, showText, showToken } from './format.js';
import { miniRoute } from './mini-route.js';
import { failed, tokenMark, waiting } from './panel-parts.js';
import { format, promptState } from './state.js';
import { componentName } from './component-names.js';

const TAU = 0.04; // the route as a prompt's page shows it at first
const AROUND = 14; // tokens on either side of what is marked

/** @typedef {import('./component-names.js').Component} Component */
/** @typedef {{ place: number, choice: string, prompt_id: number, dst: number, src: number, share: number }} Example */

/**
 * The page of the prompt with the edge or MLP selected, on the route of the prediction made there where that is explained.
 * @param {string} run @param {Component} of @param {Example} example @param {boolean} [everywhere] every position is a target
 */
export function exampleState(run, of, { prompt_id, dst, src }, everywhere = false) {
  const [name, t] = [componentName(of), everywhere ? dst : null];
  if (of.component === 'head') return promptState(run, prompt_id, { t, sel: `${of.layer}.attn.${dst}-${src}`, head: name });
  return promptState(run, prompt_id, { t, sel: `${of.layer}.mlp.${dst}`, neuron: of.component === 'neuron' ? name : null });
}

/** The positions to show: all of a short prompt, else what stands around the marked ones and the end. @param {number} n @param {Example} example */
export function positionsAround(n, { dst, src }) {
  const near = (/** @type {number} */ pos) => Math.abs(pos - dst) <= AROUND || Math.abs(pos - src) <= 4 || pos >= n - 2;
  return Array.from({ length: n }, (_, pos) => pos).filter((pos) => n <= 2 * AROUND || near(pos));
}

/** @param {import('./data.js').PromptData} data @param {Example} example */
function tokensOf({ prompt }, example) {
  let last = -1;
  return positionsAround(prompt.n_tokens, example).flatMap((pos) => {
    const gap = pos > last + 1 ? [h('span', { class: 'quiet' }, '… ')] : [];
    last = pos;
    const mark = pos === example.dst ? 'to' : pos === example.src ? 'from' : '';
    const token = prompt.tokens[pos];
    const words = mark === 'to' ? 'it writes here' : 'it reads here';
    return [...gap, mark ? h('mark', { class: mark, title: `position ${pos}: ${words}` }, showToken(token)) : h('span', {}, showText(token))];
  });
}

/** The target that the card is about: the one that its link opens. @param {import('./data.js').RunIndex} index @param {Component} of @param {Example} example @param {import('./data.js').PromptData} data */
export function cardTarget(index, of, example, data) {
  return exampleState(index.id, of, example, index.targets === 'all').t ?? askedAt(data);
}

/**
 * @param {Component} of @param {import('./data.js').RunIndex} index @param {Example} example @param {import('./data.js').PromptData} data
 */
function filled(of, index, example, data) {
  const target = cardTarget(index, of, example, data);
  const opened = data.targets.find((one) => one.target === target);
  /** @type {import('./mini-route.js').Pointed} */
  const pointed = { layer: of.layer, kind: of.component === 'head' ? 'attn' : 'mlp', dst: example.dst, src: example.src };
  return [
    miniRoute(data, { nLayers: index.n_layers, parallel: index.parallel }, { tau: Math.max(TAU, index.floor), target, pointed }),
    h(
      'div',
      { class: 'example-words' },
      h('p', { class: 'example-text', dir: 'auto' }, h('bdi', {}, ...tokensOf(data, example))),
      h('p', { class: 'quiet' }, 'share ', h('b', { class: 'num', title: exact(example.share) }, fraction(example.share)), of.component === 'head' ? ['  ', tokenMark(data.prompt.tokens[example.src]), ' → ', tokenMark(data.prompt.tokens[example.dst])] : ['  at ', tokenMark(data.prompt.tokens[example.dst])], opened ? ['  ·  predicts ', h('span', { 'data-testid': 'example-predicts' }, tokenMark(opened.predicted ?? '?')), ` ${fraction(opened.predicted_prob)}`] : null, data.prompt.group === null ? null : `  ·  ${showText(data.prompt.group)}`),
    ),
  ];
}

/**
 * @param {{ of: Component, run: string, index: import('./data.js').RunIndex, examples: Example[], load: (id: number) => Promise<import('./data.js').PromptData> }} props
 *   `load` reads one prompt
 * @returns {HTMLElement}
 */
export function exampleList({ of, run, index, examples, load }) {
  /** @type {Map<Element, () => void>} */
  const waitingFor = new Map();
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watch.unobserve(target);
      waitingFor.get(target)?.();
    }
  }, { rootMargin: '200px' });
  const items = examples.map((example) => {
    const link = h('a', { class: 'example', href: format(exampleState(run, of, example, index.targets === 'all')), 'data-testid': 'example', 'data-id': example.prompt_id, 'data-share': example.share });
    const place = h('span', { class: 'example-place', title: `prompt ${example.prompt_id}` }, example.choice === 'decile' ? (example.place === 0 ? 'most' : example.place === 10 ? 'least' : `${example.place * 10}%`) : String(example.place));
    const item = h('li', {}, link);
    const show = async () => {
      fill(item, link);
      fill(link, place, waiting(2));
      try {
        fill(link, place, ...filled(of, index, example, await load(example.prompt_id)));
      } catch (error) {
        fill(item, failed(`Prompt ${example.prompt_id}`, /** @type {Error} */ (error), () => void show()));
      }
    };
    fill(link, place, h('span', { class: 'example-later' }, `prompt ${example.prompt_id}, share ${fraction(example.share)}`));
    waitingFor.set(link, () => void show());
    watch.observe(link);
    return item;
  });
  return h('ul', { class: 'examples', 'data-testid': 'examples' }, ...items);
}
