/** The questions about one component over all prompts: each is a `.sql` file on tables of statistics, asked here and in the console. */

import { asked } from './sql-link.js';
import examplesSql from './sql/component_examples.sql?raw';
import groupsSql from './sql/component_groups.sql?raw';
import kindsSql from './sql/component_kinds.sql?raw';
import pairsSql from './sql/component_pairs.sql?raw';
import promotedSql from './sql/component_promoted.sql?raw';
import rankSql from './sql/component_rank.sql?raw';
import rolesSql from './sql/component_roles.sql?raw';
import specificSql from './sql/component_specific.sql?raw';
import activationSql from './sql/neuron_activation.sql?raw';

/** @typedef {import('./component-names.js').Component} Component */
/** @typedef {import('./stats-data.js').Wanted} Wanted */

/** @type {Record<string, { sql: string, tables: Record<string, Wanted> }>} tables, with what is wanted of them beside the component */
const QUESTIONS = {
  rank: { sql: rankSql, tables: { importance: { group: null } } },
  groups: { sql: groupsSql, tables: { importance: {}, activity: {} } },
  specific: { sql: specificSql, tables: { contrasts: { contrast: 'rest' } } },
  roles: { sql: rolesSql, tables: { roles: { group: null } } },
  kinds: { sql: kindsSql, tables: { by_kind: {} } },
  pairs: { sql: pairsSql, tables: { token_pairs: {} } },
  promoted: { sql: promotedSql, tables: { promoted: {} } },
  activation: { sql: activationSql, tables: { activations: {} } },
  examples: { sql: examplesSql, tables: { examples: {} } },
};

/**
 * @param {string} name of the question @param {Component} of @param {Record<string, string | number>} [more] further values
 * @returns {{ key: string, sql: string, tables: Record<string, Wanted>, values: Record<string, any>, text: string }} `text` is
 *   what a reader would type in the console
 */
export function questionOf(name, of, more = {}) {
  const { sql, tables } = QUESTIONS[name];
  const { component, layer, expert, index } = of;
  const values = { component, layer, expert, index, ...more };
  const wanted = Object.entries(tables).map(([table, also]) => [table, { ...values, ...also }]);
  const names = Object.keys(tables).map((table) => [table, `stats.${table}`]);
  return { key: `${name} ${JSON.stringify(values)}`, sql, tables: Object.fromEntries(wanted), values, text: asked(sql, values, Object.fromEntries(names)) };
}
