/** Knock-outs and the audit of 40 prompts of the demo (`make_golden_stats.py`): the questions on the shipped engine, and their words. */
import { beforeAll, describe, expect, it } from 'vitest';
import { agreementWords } from '../src/corpus-removals.js';
import { sourceOf } from '../src/sql-plan.js';
import { filesOf } from '../src/stats-data.js';
import { verdict } from '../src/trust-audit.js';
import { sql, startEngine } from './engine.js';

let query;
beforeAll(async () => {
  ({ query } = await startEngine());
});

const STATS = { knockouts: ['demo/stats/knockouts.parquet'], agreement: ['demo/stats/agreement.parquet'] };
const PROMPT = { knockouts: ['demo/knockouts.parquet'], components: ['demo/components.parquet'] };
const CURVES = { curves: ['demo/audit_curves.parquet'] };

describe('knock-outs', () => {
  it('knockouts: every removed head and MLP of a prompt with its shares, the most missed first', async () => {
    const rows = await query(sql('knockouts'), { id: 3, removal: 'mean' }, PROMPT);
    expect(rows).toHaveLength(20);
    expect(rows.every((row, i) => i === 0 || Math.abs(row.effect_answer) <= Math.abs(rows[i - 1].effect_answer))).toBe(true);
    expect(rows.every((row) => row.mean_share >= 0 && row.mean_share <= 1 && row.answer_rank >= 1)).toBe(true);
    const zero = await query(sql('knockouts'), { id: 3, removal: 'zero' }, PROMPT);
    expect(zero.map((row) => row.effect_answer)).not.toEqual(rows.map((row) => row.effect_answer));
    expect(await query(sql('knockouts'), { id: 3000, removal: 'zero' }, PROMPT)).toEqual([]);
  });

  it('corpus_knockouts: means over the prompts of a group', async () => {
    const all = await query(sql('corpus_knockouts'), { removal: 'mean', group: null }, STATS);
    expect(all).toHaveLength(20);
    expect(all.every((row) => row.n === 40 && row.effect_low <= row.effect && row.effect <= row.effect_high && row.size >= Math.abs(row.effect) - 1e-6)).toBe(true);
    const own = [];
    for (let id = 0; id < 40; id += 1) own.push(...(await query(sql('knockouts'), { id, removal: 'mean' }, PROMPT)).filter((row) => row.component === 'head' && row.layer === 1 && row.index === 2));
    expect(own).toHaveLength(40);
    const mean = own.reduce((sum, row) => sum + row.effect_answer, 0) / own.length;
    expect(all.find((row) => row.component === 'head' && row.layer === 1 && row.index === 2).effect).toBeCloseTo(mean, 4);
  });

  it('corpus_agreement: one row a question, in words', async () => {
    const state = { removal: 'mean', share: 'mean_share', side: 'size', group: null };
    const [found, ...more] = await query(sql('corpus_agreement'), state, STATS);
    expect(more).toEqual([]);
    expect(found.rank_correlation_low).toBeLessThanOrEqual(found.rank_correlation);
    expect(agreementWords(found, state)).toContain(`over 20 components: ${found.rank_correlation.toFixed(2)} (95%:`);
    expect(agreementWords(undefined, state)).toContain('no rank correlations');
    expect(agreementWords({ ...found, rank_correlation: null, within: null }, state)).toContain('Too few components');
  });
});

describe('the audit', () => {
  it('audit_curves: rules by thresholds, kept and removed', async () => {
    const rows = await query(sql('audit_curves'), { measure: 'logprob', group: null }, CURVES);
    expect(rows).toHaveLength(2 * 4 * 7);
    const of = (mode, chosen) => rows.filter((row) => row.mode === mode && row.chosen === chosen);
    expect(of('keep', 'route').every((row) => row.advantage === null && row.n === 30)).toBe(true);
    expect(of('keep', 'route')[0].part).toBeGreaterThan(of('keep', 'random')[0].part);
    expect(of('keep', 'random').map((row) => row.n_heads)).toEqual(of('keep', 'route').map((row) => row.n_heads));
    expect(await query(sql('audit_curves'), { measure: 'logprob', group: 'nobody' }, CURVES)).toEqual([]);
  });

  it('says who was better and who was worse, and what could not be told apart', () => {
    const row = (chosen, advantage, q) => ({ chosen, advantage, q });
    const rows = [row('route', null, null), row('random', 1, 0.01), row('random', 0.5, 0.2), row('attention', -1, 0.001), row('direct', 0.1, 0.6)];
    const words = verdict(rows, 'keep');
    expect(words).toContain('random: better at 1 of 2');
    expect(words).toContain('top attention: worse at 1 of 1');
    expect(words).toContain('top direct effect: not told apart at any of 1');
  });

  it('is a table of the console where the site has one', () => {
    const entry = { rows: 5, bytes: 70, cut: ['group'], files: [{ file: 'audit/curves.parquet', rows: 5, bytes: 70 }] };
    const audit = { n_prompts: 3, taus: [0.1], tables: { curves: entry } };
    expect(sourceOf({ audit }, 'audit.curves')).toMatchObject({ files: ['audit/curves.parquet'], bytes: 70 });
    expect(sourceOf({ audit: null }, 'audit.curves').files).toEqual([]);
    expect(filesOf(undefined, 'curves')).toEqual([]);
  });
});
