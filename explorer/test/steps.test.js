import { expect, it } from 'vitest';
import { buildGraph, reachFrom, routeAt } from '../src/routes.js';
import { step } from '../src/steps.js';

const row = (layer, kind, dst, src, share) => ({ layer, kind, dst, src, head: -1, share, attention: null });
const graph = buildGraph(
  [
    row(1, 'resid_mlp', 2, 2, 0.9),
    row(1, 'resid_attn', 2, 2, 0.4),
    row(1, 'attn', 2, 0, 0.2),
    row(1, 'attn', 2, 1, 0.3),
    row(0, 'resid_mlp', 1, 1, 0.8),
    row(0, 'attn', 1, 0, 0.6),
  ],
  { parallel: false, nLayers: 2 },
);
const route = routeAt(graph, reachFrom(graph, 2, 'summed'), 0.01);
const go = (key, direction, shift = false) => step(route, key, direction, { shift, nLayers: 2 });

it('starts at the prediction', () => expect(go(null, 'down')).toBe('1.post.2'));
it('goes down the column', () => expect(go('1.post.2', 'down')).toBe('1.mid.2'));
it('goes along the row to the nearest node of the route', () => {
  expect(go('0.post.2', 'left')).toBe('0.post.1');
  expect(go('0.post.1', 'left')).toBe('0.post.0');
  expect(go('0.post.0', 'left')).toBe(null);
});
it('follows the strongest attention edge with Shift', () => {
  expect(go('1.mid.2', 'down', true)).toBe('0.post.1');
  expect(go('1.post.2', 'down', true)).toBe('0.post.1');
  expect(go('0.post.1', 'up', true)).toBe('1.mid.2');
});
it('follows the strongest edge where the column ends', () => expect(go('0.mid.1', 'down')).toBe('-1.post.0'));
it('stays where nothing lies that way', () => expect(go('1.post.2', 'up')).toBe(null));
