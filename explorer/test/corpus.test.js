/** What the pages over the corpus work out for themselves. */
import { describe, expect, it } from 'vitest';
import { componentAddress, componentName, typedComponent } from '../src/component-names.js';
import { questionOf } from '../src/component-data.js';
import { chosenContrast, surprise, turnedRow } from '../src/contrast-rows.js';
import { ranksOf } from '../src/corpus.js';
import { matching, numbersOfRows } from '../src/data-table.js';
import { exampleState, positionsAround } from '../src/example-list.js';
import { intervalWords } from '../src/interval.js';
import { noSuchNeuron } from '../src/model-shape.js';
import { nearestTau } from '../src/page-parts.js';
import { bestPerComponent } from '../src/search.js';
import { stabilityWords } from '../src/stability-figure.js';
import { parse } from '../src/state.js';
import { parseNeuron } from '../src/tabs.js';
import { spanOf, ticksBetween } from '../src/ticks.js';
import { stepPoint } from '../src/volcano.js';

const head = (layer, index) => ({ component: 'head', layer, expert: -1, index });

describe('a neuron that the model does not have', () => {
  const index = (/** @type {any} */ model) => /** @type {any} */ ({ n_layers: 4, manifest: { model } });
  const dense = index({ d_mlp: 512, mixture: false, without_neurons: [3] });

  it.each([['L0N511', ''], ['L0N512', 'no neuron L0N512'], ['L4N1', 'no layer 4'], ['L3N1', 'no neurons'], ['L0E1N3', 'no experts']])('%s: %s', (name, words) => {
    const said = noSuchNeuron(dense, /** @type {any} */ (parseNeuron(name)));
    if (words) expect(said).toContain(words);
    else expect(said).toBe('');
  });

  it('is not refused where layers may differ or their width is not known', () => {
    for (const model of [{ d_mlp: 8, mixture: true }, { d_mlp: 8 }, undefined]) expect(noSuchNeuron(index(model), { layer: 0, expert: -1, neuron: 99999 })).toBe('');
  });
});

describe('components by name', () => {
  it.each(['5.1', '5:1', 'L5H1', 'l5h1', 'L5.H1', ' L5:H1 ', '5h1'])('%j is a head', (typed) => expect(typedComponent(typed)).toEqual(head(5, 1)));
  it.each([['L5N12', -1], ['5.n12', -1], ['L5E2N12', 2], ['L5.E2.N12', 2]])('%j is a neuron', (typed, expert) => expect(typedComponent(typed)).toEqual({ component: 'neuron', layer: 5, expert, index: 12 }));
  it.each([['L5 MLP', 'mlp'], ['5 mlp', 'mlp'], ['L5 attention', 'attn']])('%j is a block', (typed, component) => expect(typedComponent(typed)).toMatchObject({ component, layer: 5 }));
  it.each(['51', '', 'Mary', '5.', '.5', '5.1.2', 'L5', 'L5E2H1', '3 4', '-1.2'])('%j is none', (typed) => expect(typedComponent(typed)).toBe(null));
  it('a name that is written can be typed, and its address leads to it', () => {
    for (const of of [head(3, 7), { component: 'neuron', layer: 0, expert: 4, index: 9 }]) {
      expect(typedComponent(componentName(of))).toEqual(of);
      expect(parse(componentAddress('demo', of)).state).toMatchObject({ view: of.component, name: componentName(of) });
    }
    expect(componentAddress('demo', { component: 'mlp', layer: 1, expert: -1, index: 0 })).toBe(null);
  });
});

describe('scales', () => {
  it('ticks are round, inside, and not more than asked for by much', () => {
    expect(ticksBetween(0, 1, 6)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticksBetween(-0.13, 0.09, 4)).toEqual([-0.1, 0]);
    expect(ticksBetween(0, 0.00034, 4)).toEqual([0, 0.0002]);
    expect(ticksBetween(2, 2, 5)).toEqual([2]);
  });
  it('a span holds zero, and is never empty', () => {
    expect(spanOf([0.2, null, 0.5])).toEqual([0, 0.5]);
    expect(spanOf([-1, undefined, -0.5])).toEqual([-1, 0]);
    expect(spanOf([])).toEqual([0, 1]);
  });
  it('the threshold of the statistics that is nearest', () => {
    expect(nearestTau([0.01, 0.02, 0.04, 0.08], null)).toBe(0.04);
    expect(nearestTau([0.1, 0.2], null)).toBe(0.1);
    expect(nearestTau([0.01, 0.02], 0.5)).toBe(0.02);
  });
});

describe('rankings and tables', () => {
  const rows = [{ name: 'L0H0', x: 1 }, { name: 'L0H1', x: 3 }, { name: 'L1H0', x: 3 }, { name: 'L1H1', x: null }];
  it('equal ones share a rank; what has no number has none', () => {
    const ranks = ranksOf(rows, 'x');
    expect(rows.map((row) => ranks.get(row))).toEqual([3, 1, 1, undefined]);
  });
  it('three alike share the first rank, and the next is fourth', () => {
    const alike = [{ x: 2 }, { x: 2 }, { x: 2 }, { x: 1 }];
    const ranks = ranksOf(alike, 'x');
    expect(alike.map((row) => ranks.get(row))).toEqual([1, 1, 1, 4]);
  });
  it('files hold what the page shows within another column', () => {
    const columns = [{ name: 'name', text: true, value: (row) => row.name }, { name: 'x', value: (row) => row.x, also: { twice: (row) => row.x && row.x * 2 } }];
    expect(numbersOfRows(rows.slice(1, 3), columns)).toEqual({ columns: ['name', 'x', 'twice'], rows: [['L0H1', 3, 6], ['L1H0', 3, 6]] });
    expect(matching(rows, columns, 'l1 h0').map((row) => row.name)).toEqual(['L1H0']);
    expect(matching(rows, columns, '3')).toEqual([]);
    expect(matching(rows, columns, ' ')).toBe(rows);
  });
  it('an interval that is not there is a dash', () => {
    expect(intervalWords({ value: 1, low: null, high: null }, String)).toBe('–');
    expect(intervalWords({ value: 1, low: 0, high: 2 }, String)).toBe('0 to 2');
  });
  it('a component is listed once for each sign, with its best token', () => {
    const found = bestPerComponent([{ layer: 1, sign: 1, token: 'a' }, { layer: 1, sign: 1, token: 'ab' }, { layer: 1, sign: -1, token: 'a' }], (row) => head(row.layer, 0));
    expect(found).toEqual([{ row: { layer: 1, sign: 1, token: 'a' }, more: 1 }, { row: { layer: 1, sign: -1, token: 'a' }, more: 0 }]);
  });
});

describe('comparisons', () => {
  const choice = (contrast, a, b, group = null) => ({ contrast, a, b, group, n_a: 2, n_b: 3 });
  const choices = [choice('rest', 'x', null), choice('rest', 'y', null), choice('groups', 'x', 'y'), choice('roles', 'clean', 'corrupt'), choice('roles', 'clean', 'corrupt', 'x')];
  const asked = (given) => ({ by: 'rest', a: null, b: null, group: null, ...given });
  it('the first of its sort where nothing is named', () => {
    expect(chosenContrast(choices, asked({}))).toMatchObject({ choice: choices[0], exact: true });
    expect(chosenContrast(choices, asked({ a: 'y' })).choice).toBe(choices[1]);
    expect(chosenContrast(choices, asked({ by: 'roles', group: 'x' })).choice).toBe(choices[4]);
  });
  it('two groups either way round', () => {
    expect(chosenContrast(choices, asked({ by: 'groups', a: 'x', b: 'y' }))).toMatchObject({ turned: false });
    expect(chosenContrast(choices, asked({ by: 'groups', a: 'y', b: 'x' }))).toMatchObject({ choice: choices[2], turned: true, exact: true });
    expect(chosenContrast(choices, asked({ by: 'groups', a: 'y' }))).toMatchObject({ turned: true });
  });
  it('what is not stored is said, and nothing at all is null', () => {
    expect(chosenContrast(choices, asked({ a: 'gone' }))).toMatchObject({ choice: choices[0], exact: false });
    expect(chosenContrast([], asked({}))).toBe(null);
  });
  it('a turned row changes its signs and its sides, twice is as before', () => {
    const row = { n_a: 1, n_b: 2, mean_a: 5, mean_b: 3, difference: 2, difference_low: 1, difference_high: 4, standardised: null, frequency_a: 0.1, frequency_b: 0.2, specific: false, q: 0.01 };
    expect(turnedRow(row)).toMatchObject({ n_a: 2, mean_a: 3, difference: -2, difference_low: -4, difference_high: -1, standardised: null, frequency_a: 0.2, q: 0.01 });
    expect(turnedRow(turnedRow(row))).toEqual(row);
  });
  it('surprise: none without a test, bounded where p has no end', () => {
    expect(surprise(null)).toBe(null);
    expect(surprise(0.01)).toBeCloseTo(2);
    expect(surprise(0)).toBe(30);
  });
  it('the arrow keys reach every point of a plot', () => {
    const points = [[0, 5], [3, 1], [1, 9]].map(([x, y]) => ({ x, y, row: {} }));
    expect(stepPoint(points, null, 1, 0)).toBe(points[1]); // the most telling one first
    expect(stepPoint(points, points[1], -1, 0)).toBe(points[2]);
    expect(stepPoint(points, points[2], -1, 0)).toBe(points[0]);
    expect(stepPoint(points, points[0], -1, 0)).toBe(points[0]);
    expect(stepPoint(points, points[0], 0, 1)).toBe(points[2]);
    expect(stepPoint([], null, 1, 0)).toBe(null);
  });
});

describe('examples and questions', () => {
  const example = { place: 1, choice: 'top', prompt_id: 4, dst: 9, src: 3, share: 0.2 };
  it('lead to the prompt with the edge, or the MLP’s neuron, selected', () => {
    expect(exampleState('demo', head(1, 2), example)).toMatchObject({ id: 4, t: null, sel: '1.attn.9-3', head: 'L1H2' });
    expect(exampleState('demo', head(1, 2), example, true)).toMatchObject({ id: 4, t: 9, sel: '1.attn.9-3' });
    expect(exampleState('demo', { component: 'neuron', layer: 2, expert: -1, index: 7 }, { ...example, src: 9 })).toMatchObject({ sel: '2.mlp.9', neuron: 'L2N7' });
  });
  it('long prompts show what stands around the marked tokens and the end', () => {
    expect(positionsAround(12, example)).toHaveLength(12);
    const shown = positionsAround(1000, { ...example, dst: 500, src: 20 });
    expect(shown).toContain(20);
    expect(shown).toContain(999);
    expect(shown.length).toBeLessThan(50);
  });
  it('the text of a question stands alone: tables by name, values filled in', () => {
    const { text, tables } = questionOf('groups', head(1, 2), { tau: 0.04 });
    expect(text).toContain('FROM stats.importance i JOIN stats.activity a');
    expect(text).toContain("component = 'head' AND layer = 1");
    expect(text).not.toMatch(/[${}]/);
    expect(tables.importance).toMatchObject({ component: 'head', layer: 1 });
    expect(questionOf('rank', head(1, 2)).tables.importance.group).toBe(null);
  });
  it('how far a ranking hangs on the threshold, in words', () => {
    const pair = (value) => ({ tau_a: 0.01, tau_b: 0.02, n_components: 4, rank_correlation: value });
    expect(stabilityWords([pair(0.95), pair(0.99)], [0.01, 0.02, 0.04])).toMatch(/hardly.*0\.95 to 0\.99/);
    expect(stabilityWords([pair(0.2)], [0.01, 0.02])).toMatch(/say which/);
    expect(stabilityWords([pair(null)], [0.01, 0.02])).toMatch(/nothing to rank/);
  });
});
