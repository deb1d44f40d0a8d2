import { expect, it } from 'vitest';
import { checkWhole } from '../src/whole.js';

const index = { id: 'demo', n_layers: 2 };
const prompt = { prompt_id: 7, targets: [1, 2] };
const node = (layer, pos, stored_share = 0.9) => ({ layer, point: 'post', pos, stored_share });
const whole = { targets: [{ target: 1 }, { target: 2 }], nodes: [node(1, 1), node(1, 2), node(-1, 0, 0)], edges: [{}] };

it('takes what agrees', () => {
  expect(() => checkWhole(index, prompt, whole)).not.toThrow();
});

it('takes a prompt whose nodes have no part above the floor', () => {
  expect(() => checkWhole(index, prompt, { ...whole, nodes: [node(1, 1, 0), node(1, 2, 0)], edges: [] })).not.toThrow();
});

it.each([['targets', { targets: [{ target: 1 }] }], ['nodes', { nodes: [node(1, 1), node(0, 2)] }], ['edges', { edges: [] }]])('says that %s lacks rows', (table, change) => {
  expect(() => checkWhole(index, prompt, { ...whole, ...change })).toThrow(table);
});
