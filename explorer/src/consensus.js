/** Consensus routes: prompts that align token by token, and how many of them hold each edge. */

import { columnsOf, consensusFigure } from './consensus-figure.js';
import { edgeName, tokenAt } from './describe.js';
import { h } from './dom.js';
import { clip, exact, fraction, integer, plural, showText, showToken } from './format.js';
import { LEAST } from './measures.js';
import { nameWords } from './name-label.js';
import { choiceField, selectField } from './page-parts.js';
import { answered } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import consensusSql from './sql/consensus.sql?raw';
import templatesSql from './sql/templates.sql?raw';
import { format, promptState } from './state.js';
import { headName } from './tabs.js';

/** @typedef {import('./page-parts.js').PageProps<import('./state.js').MapState>} Props */
/** @typedef {import('./consensus-figure.js').Template} Template */

/** A template in a line. @param {Template} template */
const nameOf = (template) => `${template.group === null ? '' : `${showText(template.group)}, `}${plural(template.n_prompts, 'prompt')}: ${clip(columnsOf(template).map((token) => (token === '…' ? ' … ' : showToken(token))).join('').replaceAll('·', ' '), 70)}`;

/** @param {Props['index']} index @param {Template} template @returns {import('./data-table.js').Column[]} */
function columns(index, template) {
  const tokens = columnsOf(template);
  const name = (/** @type {import('./rows.js').Row} */ row) => (row.head >= 0 ? headName(row.layer, row.head) : edgeName(/** @type {any} */ (row)));
  return [
    { name: 'edge', text: true, value: name, show: (row) => nameWords(index, name(row)) },
    { name: 'from', text: true, value: (row) => tokenAt(tokens, row.src), also: { src: (row) => row.src } },
    { name: 'to', text: true, value: (row) => tokenAt(tokens, row.dst), also: { dst: (row) => row.dst } },
    { name: 'n_holding', label: 'prompts that hold it', value: (row) => row.n_holding, show: (row) => `${integer(row.n_holding)} of ${integer(template.n_prompts)}`, hint: (row) => exact(row.frequency) },
    { name: 'share', label: 'mean share among them', value: (row) => row.share, show: (row) => fraction(row.share), hint: (row) => exact(row.share) },
  ];
}

/** @param {Props} props @param {import('./data.js').Data} data @param {ReturnType<typeof import('./data-table.js').createDataTable>} table */
export function consensusPart({ index, state, ask, go, width, sorting }, data, table) {
  const templates = ask('templates', () => data.stats.rows(index, templatesSql, { templates: {} }));
  const head = [
    h('h2', { id: 'consensus' }, 'Routes that prompts share'),
    h('p', { class: 'quiet' }, 'Prompts of one group with as many tokens, of the same sorts in the same places, align token by token. An edge is as wide as its mean share, and as dark as the part of them that store it on their route at the floor.'),
  ];
  return [
    ...head,
    ...answered(templates, 'The templates', (rows) => {
      const listed = /** @type {Template[]} */ (rows);
      if (!listed.length) return [h('p', { class: 'hint' }, 'No three prompts of this run align token by token, so there is no route to share.')];
      const template = listed.find((one) => one.template === state.template) ?? listed[0];
      const values = { template: template.template, least: state.least };
      const edges = ask(`consensus ${template.template} ${state.least}`, () => data.stats.rows(index, consensusSql, { consensus: { template: template.template } }, values));
      const title = `Edges held by ${state.least === 1 ? 'all' : `at least ${Math.round(100 * state.least)}%`} of ${plural(template.n_prompts, 'prompt')}`;
      const link = () => sqlLink(state.run, asked(consensusSql, values, { consensus: 'stats.consensus' }), title);
      return [
        h(
          'div',
          { class: 'controls-row' },
          selectField({ label: 'prompts', value: String(template.template), options: listed.map((one) => [String(one.template), nameOf(one)]), onChange: (value) => go({ template: value === '0' ? null : Number(value), order: '' }), testid: 'template' }),
          choiceField({ label: 'held by at least', value: String(state.least), options: LEAST.map((least) => [String(least), `${100 * least}%`]), onChange: (value) => go({ least: Number(value) }, true), testid: 'least' }),
          h('a', { class: 'button', href: format(promptState(state.run, template.example_id)) }, `Its first prompt, ${template.example_id}`),
        ),
        ...answered(edges, 'The edges', (found) => {
          table.update({ rows: found, columns: columns(index, template), sorting, sql: link(), empty: 'No edge is held by so many of them.' });
          return [consensusFigure({ edges: found.filter(({ head: one }) => one < 0), template, nLayers: index.n_layers, parallel: index.parallel, width, sql: link(), title }), table.el];
        }, 8),
      ];
    }, 3),
  ];
}
