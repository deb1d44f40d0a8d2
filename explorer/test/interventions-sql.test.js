/** An intervention over 40 prompts of the demo (`make_golden_stats.py`): its questions on the shipped engine. */
import { beforeAll, describe, expect, it } from 'vitest';
import { chosen, createInterventions, interventionsOf, NAMES } from '../src/interventions-data.js';
import { CHANGES } from '../src/measures.js';
import { asked as question } from '../src/sql-link.js';
import { planOf, sourceOf, viewOf } from '../src/sql-plan.js';
import { sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const PLACE = 'demo/interventions/golden';
const whole = (table) => ({ [table]: [`${PLACE}/${table}.parquet`] });
const intervention = 'golden';
const bucket = (...tables) => Object.fromEntries(tables.map((table) => [table, [`${PLACE}/${table}/bucket-0.parquet`]]));

describe('over all prompts', () => {
  it('intervention_summary: a change is the difference of its sides, inside its interval', async () => {
    const rows = await query(sql('intervention_summary'), { intervention }, whole('summary'));
    expect(new Set(rows.map((row) => row.measure))).toEqual(new Set(Object.keys(CHANGES)));
    expect(rows.filter((row) => row.group === null)).toHaveLength(8);
    for (const row of rows) {
      if (row.before !== null) expect(row.change).toBeCloseTo(row.after - row.before, 5);
      if (row.change_low !== null) expect(row.change_low <= row.change + 1e-6 && row.change <= row.change_high + 1e-6).toBe(true);
    }
  });

  it('intervention_largest: the largest changes are those of the prompts themselves', async () => {
    const rows = await query(sql('intervention_largest'), { intervention, group: null, measure: 'kl' }, whole('largest'));
    expect(rows).toHaveLength(20);
    const all = await query('SELECT prompt_id, kl FROM {predictions} ORDER BY kl DESC LIMIT 20', {}, { predictions: [0, 1].map((k) => `${PLACE}/predictions/bucket-${k}.parquet`) });
    expect(rows.map((row) => row.change)).toEqual(all.map((row) => row.kl));
    const groups = await query('SELECT DISTINCT "group" FROM {largest} WHERE "group" IS NOT NULL', {}, whole('largest'));
    const own = await query(sql('intervention_largest'), { intervention, group: groups[0].group, measure: 'kl' }, whole('largest'));
    expect(own[0].change).toBeLessThanOrEqual(rows[0].change);
  });
});

describe('of a prompt', () => {
  it('intervention_prediction, intervention_nodes and intervention_continuation agree', async () => {
    const [row] = await query(sql('intervention_prediction'), { id: 3, intervention }, bucket('predictions'));
    const nodes = await query(sql('intervention_nodes'), { id: 3, intervention }, bucket('course', 'lens'));
    expect(nodes.map(({ layer, point }) => `${layer}.${point}`)).toEqual(['3.post', '3.mid', '2.post', '2.mid', '1.post', '1.mid', '0.post', '0.mid', '-1.post']);
    expect(nodes[0]).toMatchObject({ top_before: row.predicted_before, top_after: row.predicted_after, rank_after: row.answer_rank_after });
    expect(nodes[0].prob_after).toBeCloseTo(Math.exp(row.answer_logprob_after), 5);
    // L1H1 is the first that is edited: nothing before it changes.
    for (const node of nodes.slice(-3)) expect(node.prob_after).toBe(node.prob_before);
    const [text] = await query(sql('intervention_continuation'), { id: 3, intervention }, bucket('continuations'));
    expect(text.text_before.startsWith(row.predicted_before)).toBe(true);
  });

  it('a prompt that was not asked again has none', async () => {
    const one = { folder: 'golden', tables: { predictions: { buckets: [[0, 0]] }, course: { buckets: [[0, 0]] }, lens: { buckets: [[0, 0]] }, continuations: { buckets: [] } } };
    const index = { bucket_size: 20, interventions: [one] };
    const asked = createInterventions({ query, address: (_, path) => `demo/${path}` });
    expect(await asked.prompt(index, one, 33)).toBe(null);
    expect((await asked.prompt(index, one, 3)).text).toBe(undefined);
    expect(await asked.prompt(index, { ...one, folder: 'another' }, 33)).toBe(null);
    expect([interventionsOf({}), chosen(index, 'gone'), chosen({}, null)]).toEqual([[], one, undefined]);
  });
});

describe('in the console', () => {
  const cut = { bytes: 100, buckets: [[0, 1]] };
  const file = (folder, table) => ({ bytes: 7, files: [{ file: `interventions/${folder}/${table}.parquet` }] });
  const one = (folder) => ({ folder, tables: { summary: file(folder, 'summary'), largest: file(folder, 'largest'), predictions: cut, course: cut, lens: cut, continuations: { bytes: 0, buckets: [] } } });
  const index = { bucket_size: 20, tables: {}, interventions: [one('golden'), one('other')] };

  it('a table is that of all interventions; of a prompt its buckets alone', () => {
    expect(sourceOf(index, 'interventions.summary')).toMatchObject({ files: ['golden', 'other'].map((folder) => `interventions/${folder}/summary.parquet`), bytes: 14 });
    expect(sourceOf(index, 'interventions.predictions')).toMatchObject({ files: ['golden', 'other'].flatMap((folder) => [0, 1].map((k) => `interventions/${folder}/predictions/bucket-${k}.parquet`)), bytes: 200 });
    const plan = planOf(index, question(sql('intervention_nodes'), { id: 25, intervention }, NAMES));
    expect(plan.sources.map(({ table, files }) => [table.name, files])).toEqual(['course', 'lens'].map((table) => [`interventions.${table}`, ['golden', 'other'].map((folder) => `interventions/${folder}/${table}/bucket-1.parquet`)]));
    expect(plan).toMatchObject({ bytes: 200, partly: true, prompts: [[25, 25]] });
    for (const none of [{ bucket_size: 20, tables: {} }, index]) expect(sourceOf(none, 'interventions.continuations').files).toEqual([]);
  });

  it('the question of a figure is answered as on the page', async () => {
    await query('CREATE SCHEMA IF NOT EXISTS interventions');
    for (const [table, names] of Object.entries(bucket('course', 'lens'))) await query(viewOf(sourceOf(index, `interventions.${table}`), names));
    const shown = await query(sql('intervention_nodes'), { id: 3, intervention }, bucket('course', 'lens'));
    expect(await query(question(sql('intervention_nodes'), { id: 3, intervention }, NAMES))).toEqual(shown);
  });
});
