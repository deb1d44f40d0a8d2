/** Do shares say what is missed? Over the corpus: the effect of removing each head and MLP, against what it carries. */

import { componentColumn } from './component-link.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, fraction, integer, plural, showText } from './format.js';
import { estimateOf, exactWords, intervalWords } from './interval.js';
import { selectField } from './page-parts.js';
import { answered, signed } from './panel-parts.js';
import { effectAgainstShare, REMOVAL_WORDS, removalField, SHARE_WORDS } from './removal-words.js';
import { asked, sqlLink } from './sql-link.js';
import agreementSql from './sql/corpus_agreement.sql?raw';
import knockoutsSql from './sql/corpus_knockouts.sql?raw';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./page-parts.js').PageProps<import('./state.js').CorpusState>} Props */

const NAMES = { knockouts: 'stats.knockouts', agreement: 'stats.agreement' };
const SIDE_WORDS = { size: 'size of the effect', signed: 'effect, for or against the answer' };

const two = (/** @type {number | null} */ value) => (value === null ? '–' : value.toFixed(2).replace('-', '−'));

/** The column that a share is in: a direct effect has a sign, as the effect of a removal has. @param {import('./state.js').CorpusState} state */
const shareColumn = ({ share, side }) => (share === 'direct' && side === 'size' ? 'direct_size' : share);

/** @param {Row | undefined} found @param {import('./state.js').CorpusState} state */
export function agreementWords(found, { share }) {
  if (!found) return 'There are no rank correlations for these prompts.';
  const [over, within] = [estimateOf(found, 'rank_correlation'), estimateOf(found, 'within')];
  const range = (/** @type {import('./interval.js').Estimate} */ of) => (of.low === null ? '' : ` (95%: ${intervalWords(of, two)})`);
  const first = over.value === null ? 'Too few components were removed often enough to be ranked' : `Rank correlation with the ${SHARE_WORDS[share]} over ${plural(found.n_components, 'component')}: ${two(over.value)}${range(over)}`;
  const second = within.value === null ? 'no prompt had enough of them' : `within a prompt, on average over ${plural(found.n, 'prompt')}: ${two(within.value)}${range(within)}`;
  return `${first}; ${second}.`;
}

/** @param {import('./data.js').RunIndex} index @returns {import('./data-table.js').Column[]} */
function columnsOf(index) {
  const estimate = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ title, secondary = false) => ({
    name,
    label,
    title,
    class: secondary ? 'secondary' : undefined,
    value: (/** @type {Row} */ row) => row[name],
    show: (/** @type {Row} */ row) => [signed(row[name]), h('small', { class: 'quiet' }, row[`${name}_low`] === null ? '' : ` ${intervalWords(estimateOf(row, name), signed)}`)],
    hint: (/** @type {Row} */ row) => exactWords(estimateOf(row, name)),
    also: { [`${name}_low`]: (/** @type {Row} */ row) => row[`${name}_low`], [`${name}_high`]: (/** @type {Row} */ row) => row[`${name}_high`] },
  });
  const share = (/** @type {string} */ name, /** @type {string} */ label) => ({ name, label, class: 'secondary', value: (/** @type {Row} */ row) => row[name], show: (/** @type {Row} */ row) => (name === 'direct' ? signed(row[name]) : fraction(row[name])), hint: (/** @type {Row} */ row) => exact(row[name]) });
  return [
    componentColumn(index),
    estimate('effect', 'lost of the logit', 'mean of the answer’s logit less what it is without the component, and its 95% interval'),
    estimate('effect_logprob', 'of log p', 'mean of the answer’s log probability less that, nats', true),
    { name: 'size', label: 'size', title: 'mean absolute effect on the logit', value: (row) => row.size, show: (row) => signed(row.size), hint: (row) => exactWords(estimateOf(row, 'size')) },
    share('mean_share', 'mean share'),
    share('target_share', 'at target'),
    share('direct', 'direct effect'),
    { name: 'n', label: 'of', title: 'prompts from which it was removed', value: (row) => row.n, show: (row) => integer(row.n) },
  ];
}

/** @param {{ data: import('./data.js').Data }} options */
export function createCorpusRemovals({ data }) {
  const table = createDataTable({ id: 'removals', name: 'removals', first: 20 });

  /** @param {Props} props @param {Row[]} rows @param {Row | undefined} agreement */
  function figures({ index, state, width, sorting }, rows, agreement) {
    const { run, removal, group, share, side } = state;
    const values = { removal, group };
    const title = `Effect of removal against ${SHARE_WORDS[share]}, ${group === null ? 'all prompts' : showText(group)}`;
    table.update({ rows, columns: columnsOf(index), sorting, sql: sqlLink(run, asked(knockoutsSql, values, NAMES), 'the removals') });
    const figure = effectAgainstShare({
      rows,
      x: { column: shareColumn(state), name: `${SHARE_WORDS[share]}${share === 'direct' ? ', logits' : ''}` },
      y: { column: side === 'size' ? 'size' : 'effect', name: `${side === 'size' ? 'mean size of what the answer’s logit loses' : 'mean of what the answer’s logit loses'}` },
      width: Math.min(width, 760),
      name: 'effect-against-share',
      title,
      sql: sqlLink(run, asked(knockoutsSql, values, NAMES), title),
    });
    return [h('p', { 'data-testid': 'agreement-words', 'data-value': agreement?.rank_correlation }, agreementWords(agreement, state)), figure, table.el];
  }

  /** @param {Props} props @returns {(Node | string)[]} none where the run removed nothing */
  return function part(props) {
    const { index, stats, state, ask, go } = props;
    if (!stats.tables.knockouts?.rows) return [];
    const { removal, group, share, side } = state;
    const answer = ask(`removals ${removal} ${group} ${share} ${side}`, () =>
      Promise.all([data.stats.rows(index, knockoutsSql, { knockouts: { removal, group } }, { removal, group }), data.stats.rows(index, agreementSql, { agreement: {} }, { removal, group, share, side })]));
    return [
      h('h2', {}, 'Do shares say what is missed?'),
      h('p', { class: 'quiet' }, 'Heads and MLPs of each prompt were removed, one at a time, and the answer was asked for again. ', REMOVAL_WORDS[removal][1], '.'),
      h(
        'div',
        { class: 'controls-row' },
        removalField(removal, (next) => go({ removal: next })),
        selectField({ label: 'against', value: share, options: Object.entries(SHARE_WORDS), onChange: (next) => go({ share: /** @type {any} */ (next) }), testid: 'share' }),
        selectField({ label: 'as', value: side, options: Object.entries(SIDE_WORDS), onChange: (next) => go({ side: /** @type {any} */ (next) }), testid: 'side' }),
      ),
      ...answered(answer, 'The knock-outs', ([rows, [agreement]]) => (rows.length ? figures(props, rows, agreement) : [h('p', { class: 'empty' }, 'Nothing was removed from these prompts.')]), 8),
    ];
  };
}
