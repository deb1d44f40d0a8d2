import { describe, expect, it } from 'vitest';
import { buildGraph, reachFrom, routeAt } from '../src/routes.js';
import { follow, step, stepFromEdge } from '../src/steps.js';

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

describe('edges', () => {
  const all = () => true;
  const edge = (key) => route.edges.get(key);
  it('Enter goes down the flow, from a node and from edge to edge', () => {
    expect(follow(route, '1.mid.2', all).key).toBe('1.resid_attn.2');
    expect(follow(route, edge('1.attn.2-1'), all).key).toBe('0.resid_mlp.1');
    expect(follow(route, '-1.post.0', all)).toBe(null);
  });
  it('left and right go through the edges into one node by share', () => {
    expect(stepFromEdge(route, edge('1.resid_attn.2'), 'right', all).key).toBe('1.attn.2-1');
    expect(stepFromEdge(route, edge('1.attn.2-1'), 'right', all).key).toBe('1.attn.2-0');
    expect(stepFromEdge(route, edge('1.attn.2-0'), 'left', all).key).toBe('1.attn.2-1');
    expect(stepFromEdge(route, edge('1.attn.2-0'), 'right', all)).toBe(null);
    expect(stepFromEdge(route, edge('1.resid_attn.2'), 'left', all)).toBe(null);
  });
  it('leaves out kinds that are hidden', () => {
    const attention = (one) => one.kind === 'attn';
    expect(follow(route, '1.mid.2', attention).key).toBe('1.attn.2-1');
    expect(stepFromEdge(route, edge('1.attn.2-1'), 'left', attention)).toBe(null);
  });
  it('from one that is off the route, left leads to the last that is on it', () => {
    expect(stepFromEdge(route, { key: '1.attn.2-2', to: '1.mid.2', from: '0.post.2', share: 0 }, 'left', all).key).toBe('1.attn.2-0');
  });
  it('up and down are its ends', () => {
    expect(stepFromEdge(route, edge('1.attn.2-0'), 'up', all)).toBe('1.mid.2');
    expect(stepFromEdge(route, edge('1.attn.2-0'), 'down', all)).toBe('0.post.0');
  });
});
