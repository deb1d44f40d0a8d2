import { describe, expect, it } from 'vitest';
import { focusOf, headName, kindOf, naturalTab, neuronName, parseHead, parseNeuron, tabAfter } from '../src/tabs.js';

describe('names', () => {
  it('heads and neurons come back as they were written', () => {
    expect(parseHead(headName(5, 11))).toEqual({ layer: 5, head: 11 });
    for (const neuron of [{ layer: 0, expert: -1, neuron: 3071 }, { layer: 2, expert: 7, neuron: 0 }]) expect(parseNeuron(neuronName(neuron))).toEqual(neuron);
    expect(parseHead('L5N1')).toBeUndefined();
    expect(parseNeuron('L5H1')).toBeUndefined();
  });
});

describe('the tab that answers', () => {
  it.each([[null, 'node'], ['2.mid.3', 'node'], ['2.attn.3-1', 'heads'], ['2.mlp.3', 'mlp'], ['2.resid_mlp.3', 'node']])('%s opens %s', (sel, tab) => {
    expect(naturalTab(sel)).toBe(tab);
  });

  it('walking nodes keeps heads, neurons and the trace, but not the views of the whole prompt', () => {
    expect(tabAfter('heads', '2.mid.3')).toBe('heads');
    expect(tabAfter('trace', '2.mid.3')).toBe('trace'); // it reads the selected token
    expect(tabAfter('effects', '2.mid.3')).toBeNull();
    expect(tabAfter('node', '2.mid.3')).toBeNull(); // it is the default there
  });

  it('an edge opens its own; clearing keeps what is shown of the prompt', () => {
    expect(tabAfter('mlp', '2.attn.3-1')).toBeNull();
    expect(tabAfter('effects', null)).toBe('effects');
  });
});

describe('what a selection is about', () => {
  const shape = { nLayers: 4, parallel: false, target: 9 };
  it.each([
    [null, { layer: 3, point: 'post', pos: 9 }],
    ['-1.post.2', { layer: -1, point: 'post', pos: 2 }],
    ['2.attn.7-1', { layer: 2, point: 'mid', pos: 7 }],
    ['2.mlp.7', { layer: 2, point: 'post', pos: 7 }],
  ])('%s', (sel, focus) => expect(focusOf(sel, shape)).toEqual(focus));

  it('there is no mid node in parallel blocks', () => {
    expect(focusOf('2.attn.7-1', { ...shape, parallel: true })).toEqual({ layer: 2, point: 'post', pos: 7 });
    expect(kindOf('2.attn.7-1')).toBe('attn');
  });
});
