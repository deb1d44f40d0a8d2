/** What a head does by its weights alone: the directions of its OV circuit with their tokens, and its strongest pairs of tokens. */

import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { exact, fraction, integer, quantity } from './format.js';
import { answered, factList, signed, tokenMark } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import directionsSql from './sql/vocab_directions.sql?raw';
import pairsSql from './sql/vocab_pairs.sql?raw';
import { hasAtlas } from './vocab-data.js';
import { NO_CIRCUIT, noAtlas, tokensColumn } from './vocab-parts.js';

/** @typedef {import('./component-parts.js').Props} Props */
/** @typedef {import('./rows.js').Row} Row */

/** @type {import('./data-table.js').Column[]} */
const DIRECTIONS = [
  { name: 'direction', label: '#', title: 'singular direction, the strongest first', value: (row) => row.direction },
  { name: 'part', label: 'part', title: 'its part of the circuit: its squared singular value over the sum of all', value: (row) => row.part, show: (row) => fraction(row.part), hint: (row) => exact(row.part), also: { singular_value: (row) => row.singular_value } },
  tokensColumn('reads', 'reads', 5),
  tokensColumn('writes', 'and promotes', 5),
  tokensColumn('writes_against', 'suppresses', 5),
  tokensColumn('reads_against', 'the reverse when it reads', 5),
];

/** @param {number} copying */
function copyingWords(copying) {
  const said = copying > 0.5 ? 'it mostly promotes what it reads' : copying < -0.5 ? 'it mostly suppresses what it reads' : 'it neither copies nor suppresses what it reads throughout';
  return `${quantity(copying)}: ${said}`;
}

/** @type {import('./data-table.js').Column[]} */
const PAIRS = [
  { name: 'source', label: 'reads', text: true, class: 'token-cell', value: (row) => row.source, show: (row) => tokenMark(row.source) },
  { name: 'to', label: 'moves', text: true, class: 'token-cell', value: (row) => row.to, show: (row) => tokenMark(row.to) },
  { name: 'score', title: 'static score of the token that is moved, for an attention of 1', value: (row) => row.score, show: (row) => signed(row.score), hint: (row) => exact(row.score), also: { sign: (row) => row.sign, place: (row) => row.place } },
];

export function createHeadWeights() {
  const directions = createDataTable({ id: 'directions', name: 'ov-directions' });
  const pairs = { 1: createDataTable({ id: 'promoted-pairs', name: 'token-pairs-promoted', first: 10 }), [-1]: createDataTable({ id: 'suppressed-pairs', name: 'token-pairs-suppressed', first: 10 }) };

  /** @param {Props} props */
  return function headWeights(props) {
    const { index, of, state, ask, data, sorting } = props;
    const title = h('h2', {}, 'By its weights alone');
    if (!hasAtlas(index)) return [title, noAtlas(index)];
    if (index.vocab?.without_heads?.includes(of.layer)) return [title, h('p', { class: 'hint', 'data-testid': 'no-circuit' }, NO_CIRCUIT)];
    const values = { layer: of.layer, head: of.index };
    const wanted = { layer: of.layer };
    const found = ask(`directions ${state.name}`, () => data.vocab.rows(index, directionsSql, { heads: wanted, head_tokens: wanted }, values));
    const strongest = ask(`pairs by weights ${state.name}`, () => data.vocab.rows(index, pairsSql, { head_pairs: wanted }, values));
    const pairsLink = () => sqlLink(state.run, asked(pairsSql, values, { head_pairs: 'vocab.head_pairs' }), 'its pairs by weights');
    return [
      title,
      h('p', { class: 'quiet' }, 'Its OV circuit: what it writes when it attends to a token, whatever makes it attend. Tokens are read as bare embeddings.'),
      ...answered(found, 'Its circuit', (rows) => {
        if (!rows.length) return [h('p', { class: 'empty' }, 'Nothing is known of its circuit.')];
        const [{ copying }] = rows;
        directions.update({ rows, columns: DIRECTIONS, sorting, sql: sqlLink(state.run, asked(directionsSql, values, { heads: 'vocab.heads', head_tokens: 'vocab.head_tokens' }), 'its directions') });
        const facts = factList([['copying', copying === null ? null : copyingWords(copying), copying === null ? '' : `sum over absolute sum of the eigenvalues of its circuit from token to token: ${exact(copying)}`]]);
        facts.dataset.testid = 'copying';
        return [facts, directions.el];
      }, 6),
      ...answered(strongest, 'Its pairs of tokens', (rows) => [
        h('h3', {}, 'Strongest pairs of tokens', h('small', {}, ` of the whole vocabulary, ${integer(index.vocab?.settings?.pairs ?? 0)} of each sign`)),
        h('div', { class: 'halves' }, .../** @type {const} */ ([1, -1]).map((sign) => {
          pairs[sign].update({ rows: rows.filter((row) => row.sign === sign), columns: PAIRS.map((column) => (column.name === 'to' ? { ...column, label: sign > 0 ? 'promotes' : 'suppresses' } : column)), sorting, sql: pairsLink(), empty: 'No such pair.' });
          return h('section', {}, pairs[sign].el);
        })),
      ], 6),
    ];
  };
}
