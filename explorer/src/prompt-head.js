/** Above the graph: which prompt this is, its neighbours and partners, the tokens, and what the model predicts. */

import { askedAt } from './asked.js';
import { answerFrom } from './describe.js';
import { attr, fill, h, text } from './dom.js';
import { clip, exact, fraction, integer, showText } from './format.js';
import { tokenMark } from './panel-parts.js';
import { format, promptsState, promptState } from './state.js';
import { createStrip } from './strip.js';

/**
 * @typedef {{ text: string, retry?: () => void }} Note
 * @typedef {{ number: number, previous: number | null, next: number | null,
 *   partners: import('./rows.js').Row[] }} Around place in the run, and the other prompts of the pair
 * @typedef {{ index: import('./data.js').RunIndex, data: import('./data.js').PromptData, target: number,
 *   outcome: import('./data.js').Target | undefined, around: Around | null, notes: Note[],
 *   kept: Partial<import('./state.js').PromptState>, comparing: boolean, change: string | null }} HeadProps `change` is the way to the form of a prompt of one's own; `kept` is what stays when another prompt is opened
 */

const MOST_ACCEPTED = 6;
const PART_OF_CHARACTER = /<0x[0-9A-F]{2}>/;

/** @param {string} name @param {string | null} token @param {number | null} prob @param {number | null} rank @param {string} [title] */
function result(name, token, prob, rank, title) {
  return h(
    'span',
    { class: `result ${name}`, title },
    h('span', { class: 'quiet' }, name),
    ' ',
    tokenMark(token ?? '?'),
    ' ',
    h('span', { class: 'num', title: exact(prob) }, fraction(prob)),
    rank === null ? null : h('span', { class: 'quiet' }, ` rank ${integer(rank)}`),
  );
}

/** The other answers that count as right, and what the model went on to write. @param {import('./data.js').PromptData} data */
function besides({ answers, generated }) {
  const others = answers.filter(({ explained }) => !explained);
  return [
    others.length
      ? h('span', { class: 'result accepted', 'data-testid': 'accepted' }, h('span', { class: 'quiet' }, 'also accepted '), ...others.slice(0, MOST_ACCEPTED).flatMap(({ text: said, prob, rank }) => [tokenMark(said), h('span', { class: 'num', title: `first token: probability ${exact(prob)}` }, ` ${fraction(prob)}`), h('span', { class: 'quiet' }, ` rank ${integer(rank)} `)]), others.length > MOST_ACCEPTED ? `and ${others.length - MOST_ACCEPTED} more` : null)
      : null,
    generated ? h('span', { class: 'result continued', 'data-testid': 'continued', title: generated.ended ? 'The model ended its text here.' : 'Greedily continued; cut off at generate.max_new_tokens or at the end of the context.' }, h('span', { class: 'quiet' }, 'wrote '), h('bdi', {}, clip(showText(generated.text), 400)), generated.ended ? '' : h('span', { class: 'quiet' }, ' …')) : null,
  ];
}

/** @param {{ onTarget: (pos: number) => void }} options */
export function createHead({ onTarget }) {
  const strip = createStrip({ onTarget });
  const title = h('h1', { class: 'sr' }, 'Prediction');
  let told = '[]';
  const position = h('span', { class: 'position' });
  const about = h('span', { class: 'about' });
  const previous = h('a', { class: 'icon', 'aria-label': 'Previous prompt', title: 'Previous prompt  [', 'aria-disabled': 'true' }, '‹');
  const next = h('a', { class: 'icon', 'aria-label': 'Next prompt', title: 'Next prompt  ]', 'aria-disabled': 'true' }, '›');
  const whole = h('p', { class: 'whole quiet', 'data-testid': 'whole-text', dir: 'auto', hidden: true });
  const outcome = h('p', { class: 'outcome-line', 'data-testid': 'outcome' });
  const notice = h('p', { class: 'notice', role: 'status', 'data-testid': 'notice' });
  const el = h(
    'header',
    { class: 'prompt-head' },
    title,
    h('div', { class: 'where' }, h('nav', { 'aria-label': 'Prompts' }, previous, position, next), about),
    strip.el,
    whole,
    outcome,
    notice,
  );

  /** @param {HeadProps} props */
  function drawPlace({ index, data: { prompt }, around, kept }) {
    const link = (/** @type {HTMLAnchorElement} */ a, /** @type {number | null} */ id) => {
      attr(a, 'href', id === null ? null : format(promptState(index.id, id, kept)));
      attr(a, 'aria-disabled', id === null ? 'true' : null);
    };
    link(previous, around?.previous ?? null);
    link(next, around?.next ?? null);
    const total = index.counts?.prompts;
    if (around) fill(position, h('b', {}, integer(around.number)), total ? ` of ${integer(total)}` : '');
    else fill(position, `prompt ${prompt.prompt_id}`);
  }

  /** @param {HeadProps} props */
  function drawAbout(props) {
    const { index, data: { prompt }, around, kept, comparing, change } = props;
    const word = (/** @type {string} */ given, length = 24) => h('bdi', {}, clip(showText(given), length));
    const links = (around?.partners ?? []).map((row) =>
      h('a', { href: format(promptState(index.id, row.prompt_id, kept)) }, word(row.role ?? `prompt ${row.prompt_id}`)),
    );
    fill(
      about,
      prompt.group === null ? null : h('a', { href: format(promptsState(index.id, { group: prompt.group })) }, word(prompt.group, 60)),
      prompt.pair_id === null ? null : h('span', {}, word(prompt.role ?? 'one'), ' of pair ', word(prompt.pair_id)),
      links.length ? h('span', {}, 'other: ', ...links.flatMap((link, i) => (i ? [', ', link] : [link]))) : null,
      ...(comparing ? [] : (around?.partners ?? []).slice(0, 2).map((row) =>
        h('a', { class: 'button compare', 'data-testid': 'pair-open', title: 'Compare the two routes  p', href: format(promptState(index.id, prompt.prompt_id, { ...kept, t: props.target === askedAt(props.data) ? null : props.target, pair: row.prompt_id })) }, 'Compare with ', word(row.role ?? `prompt ${row.prompt_id}`)))),
      change === null ? null : h('a', { class: 'button', href: change, 'data-testid': 'change-prompt' }, 'Change this prompt'),
      prompt.source_id === String(prompt.prompt_id)
        ? null
        : h('span', { class: 'quiet', title: clip(showText(prompt.source_id), 400) }, word(prompt.source_id, 32)),
    );
  }

  /** @param {HeadProps} props */
  function update(props) {
    const { data, target, outcome: found, notes } = props;
    text(title, `Prediction for “${clip(showText(data.prompt.text), 80)}”`);
    strip.update({ data, target });
    strip.el.hidden = outcome.hidden = props.comparing; // the comparison shows both prompts’ own
    // Tokens that are parts of a character say nothing by themselves: show the text as well.
    whole.hidden = props.comparing || !data.prompt.tokens.some((token) => PART_OF_CHARACTER.test(token));
    text(whole, whole.hidden ? '' : clip(showText(data.prompt.text), 2000));
    drawPlace(props);
    drawAbout(props);
    if (found) {
      fill(
        outcome,
        result('prediction', found.predicted, found.predicted_prob, null),
        result('answer', found.answer, found.answer_prob, found.answer_rank, answerFrom(found.answer_from)),
        found.foil_id === null ? null : result('foil', found.foil, found.foil_prob, found.foil_rank),
        ...besides(data),
      );
    } else fill(outcome, 'No prediction is stored for this prompt.');
    const words = JSON.stringify(notes);
    if (words !== told) fill(notice, ...notes.flatMap(({ text: said, retry }) => [h('span', {}, said), retry ? h('button', { type: 'button', class: 'link', onclick: retry }, 'Retry') : null]));
    told = words; // what has not changed is not said again
  }

  return { el, update };
}
