import { describe, expect, it } from 'vitest';
import { hasPlace, isBlockLevel, openNotes } from '../src/places.js';

const index = { n_layers: 4, parallel: false, manifest: { model: {} } };
const mixed = { ...index, manifest: { model: { without_neurons: [1, 2] } } };

it.each([['0.mid.3', true], ['-1.post.0', true], ['3.attn.4-2', true], ['-1.mid.0', false], ['4.post.0', false], ['0.post.5', false], ['0.attn.2-5', false]])('%s is there: %s', (key, there) => {
  expect(hasPlace(key, { index, nTokens: 5 })).toBe(there);
});

it('parallel blocks have no node between attention and MLP', () => {
  expect(hasPlace('1.mid.2', { index: { n_layers: 4, parallel: true }, nTokens: 5 })).toBe(false);
});

describe('what an address opens', () => {
  it('is said where it does not exist', () => {
    expect(openNotes(['1.post.2', '9.post.99'], { index, nTokens: 5 })).toEqual(['There is no 9.post.99 in this prompt, so it is not opened.']);
  });
  it('is nothing where all of it exists', () => {
    expect(openNotes(['3.post.2'], { index, nTokens: 5 })).toEqual([]);
  });
});

describe('neurons that cannot be told apart', () => {
  it('are those of the layers that the run lists', () => {
    expect([0, 1, 2].map((layer) => isBlockLevel(mixed, layer))).toEqual([false, true, true]);
    expect(isBlockLevel(index, 1)).toBe(false);
    expect(isBlockLevel({ manifest: { model: {} } }, 1)).toBe(false);
  });
});
