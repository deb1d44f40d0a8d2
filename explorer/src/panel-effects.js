/** The panel's direct logit effects: every component's own push on the answer, the foil, or the one minus the other. */

import { h } from './dom.js';
import { effectsFigure, effectLabel, effectsOf } from './effects-figure.js';
import { exact, quantity } from './format.js';
import { nameWords } from './name-label.js';
import { answered, at, factList, heading, signed, tokenMark } from './panel-parts.js';
import { removalsPart } from './panel-removals.js';
import { figureSql } from './prompt-sql.js';
import { nodeKey } from './routes.js';
import { headName } from './tabs.js';

/** @typedef {import('./panel.js').PanelProps} PanelProps */
/** @typedef {import('./panel.js').Tab} Tab */
/** @typedef {import('./effects-figure.js').Effect} Effect */

const LISTED = 10;

/** The state that shows a component. @param {PanelProps} props @param {Effect} effect */
function goTo({ index, route, onGo }, { component, layer, index: head }) {
  const pos = route.target;
  const after = nodeKey(layer, index.parallel ? 'post' : 'mid', pos);
  if (component === 'head') onGo({ sel: after, tab: 'heads', head: headName(layer, head) });
  else if (component === 'mlp') onGo({ sel: `${layer}.mlp.${pos}`, tab: null, neuron: null });
  else onGo({ sel: component === 'embed' ? nodeKey(-1, 'post', pos) : after, tab: null });
}

/** Answer, foil, or the difference. @param {PanelProps} props @param {import('./tabs.js').Outcome} of */
function chooser({ target, onGo }, of) {
  const choices = /** @type {[import('./tabs.js').Outcome, (Node | string)[]][]} */ ([
    ['answer', ['answer ', tokenMark(target?.answer ?? '?')]],
    ['foil', ['foil ', tokenMark(target?.foil ?? '?')]],
    ['difference', ['answer − foil']],
  ]);
  const buttons = choices.map(([name, words]) => h('button', { type: 'button', class: 'choice', 'aria-pressed': name === of ? 'true' : 'false', 'data-go': `of ${name}`, 'data-testid': `of-${name}`, onclick: () => onGo({ of: name }) }, ...words));
  return h('div', { class: 'choices', role: 'group', 'aria-label': 'Effect on' }, ...buttons);
}

/** @param {PanelProps} props @param {Effect[]} effects */
function largestList(props, effects) {
  const sorted = [...effects].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, LISTED);
  const most = Math.abs(sorted[0]?.value ?? 1) || 1;
  const line = (/** @type {Effect} */ effect) => {
    const inner = h('span', { class: `bar-fill ${effect.value < 0 ? 'minus' : 'plus'}` });
    inner.style.inlineSize = `${(100 * Math.abs(effect.value)) / most}%`;
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', class: 'line', 'data-go': `effect ${effectLabel(effect)}`, 'data-testid': 'effect-row', title: `${exact(effect.value)} logits`, onclick: () => goTo(props, effect) },
        h('span', { class: `swatch ${effect.value < 0 ? 'minus' : 'plus'}`, 'aria-hidden': 'true' }),
        h('span', { class: 'words' }, ...nameWords(props.index, effectLabel(effect))),
        h('span', { class: 'bar', 'aria-hidden': 'true' }, inner),
        h('span', { class: 'num' }, signed(effect.value)),
      ),
    );
  };
  return h('ul', { class: 'lines' }, ...sorted.map(line));
}

/**
 * From the effects to the logit: their sum, the constant that no component writes, the soft-cap where there is one.
 * @param {PanelProps} props @param {number} total of the effects @param {import('./tabs.js').Outcome} of @param {Map<number, number>} bias
 */
function sumFacts({ data, index, route, target }, total, of, bias) {
  if (!target) return [];
  const last = data.nodes.get(nodeKey(index.n_layers - 1, 'post', route.target));
  const pick = (/** @type {number | null | undefined} */ answer, /** @type {number | null | undefined} */ foil) => (of === 'answer' ? answer : of === 'foil' ? foil : (answer ?? NaN) - (foil ?? NaN)) ?? NaN;
  const constant = pick(bias.get(target.answer_id) ?? 0, target.foil_id === null ? null : (bias.get(target.foil_id) ?? 0));
  const stored = pick(last?.answer_logit, last?.foil_logit);
  const logit = total + constant;
  // Stored as float32: what is off by more has been through a soft-cap.
  const capped = Number.isFinite(stored) && Math.abs(stored - logit) > 2e-3 * Math.max(1, Math.abs(logit));
  const name = of === 'difference' ? 'difference of the logits' : `logit of the ${of}`;
  const facts = factList([
    ['components', `${quantity(total)} logits`, `sum of every effect above: ${exact(total)}`],
    ['constant', signed(constant), `biases of the final norm and the unembedding, which no component writes: ${exact(constant)}`],
    [capped ? 'before the soft-cap' : name, quantity(logit), exact(logit)],
    [capped ? name : '', capped ? quantity(stored) : null, exact(stored)],
  ]);
  facts.dataset.testid = 'effect-sum';
  return [facts, capped ? h('p', { class: 'quiet' }, of === 'difference' ? 'Each logit passes a soft-cap of its own, so the difference shown by the lens is smaller.' : 'The model passes its logits through a soft-cap; effects add up before it.') : null];
}

/** @param {PanelProps} props @param {import('./details.js').EffectRow[]} rows */
function show(props, rows) {
  const { index, route, state, target } = props;
  if (!rows.length) return [h('p', { class: 'quiet' }, 'No direct effects are stored for this target.')];
  const of = target?.foil_id === null ? 'answer' : state.of;
  const effects = effectsOf(rows, of);
  const total = effects.reduce((sum, effect) => sum + effect.value, 0);
  const name = of === 'difference' ? 'answer − foil' : of;
  const bias = props.ask(`logit bias ${target?.answer_id} ${target?.foil_id}`, () => props.source.details.logitBias(index, target?.answer_id ?? -1, target?.foil_id ?? null));
  return [
    target?.foil_id === null ? null : chooser(props, of),
    props.memo(`effects ${route.target} ${of}`, () => effectsFigure({ sql: figureSql(props, 'effects', { target: route.target }), effects, words: (effect) => nameWords(index, effectLabel(effect)), nLayers: index.n_layers, nHeads: index.n_heads, name, width: props.width, onChoose: (effect) => goTo(props, effect) })),
    ...answered(bias, 'The constant of this logit', (found) => sumFacts(props, total, of, found), 1),
    heading('Largest', `direct effects on the ${name === 'answer' ? 'answer' : name}`),
    largestList(props, effects),
  ].filter((part) => part !== null);
}

/** @type {Tab} */
export const effectsTab = {
  id: 'effects',
  label: () => 'Effects',
  render(props) {
    const { index, data, source, route, target } = props;
    const answer = props.ask(`effects ${route.target}`, () => source.details.effects(index, data.prompt.prompt_id, route.target));
    return [
      h('h2', {}, 'Direct logit effects ', h('span', { class: 'at' }, 'after '), ...at(data.prompt.tokens, route.target)),
      h('p', { class: 'quiet' }, 'What each component writes at this token, read by the unembedding with the last node’s norm', target && target.foil_id === null ? [', at the answer ', tokenMark(target.answer ?? '?')] : [], '.'),
      ...answered(answer, 'The direct effects', (rows) => show(props, rows), 8),
      ...removalsPart(props),
    ];
  },
};
