/** What people call components: the published names, a reader's changes over them, and the file they are downloaded as. */
import { describe, expect, it } from 'vitest';
import { createDrafts } from '../src/name-drafts.js';
import { nameText } from '../src/name-label.js';
import { byPlace, canonical, createNames, yamlOf } from '../src/names.js';
import { whyAbsent } from '../src/names-page.js';
import { format, pageState, parse } from '../src/state.js';

/** A browser's storage of one item. */
function storageOf(text = null) {
  const kept = { text };
  return { kept, getItem: () => kept.text, setItem: (_, value) => void (kept.text = value), removeItem: () => void (kept.text = null) };
}

const PUBLISHED = { L1H2: { label: 'name mover', note: 'Copies the name.' }, 'L0 MLP': { label: 'lookup', note: '' } };
const make = (storage = storageOf(), published = PUBLISHED) => ({ storage, names: createNames({ published, drafts: createDrafts('data/demo', storage) }) });

describe('what has a name', () => {
  it.each([['1.2', 'L1H2'], ['l0e3n44', 'L0E3N44'], ['3 mlp', 'L3 MLP'], ['L2 attention', 'L2 attention'], ['Cluster 07', 'cluster 7'], [' cluster7 ', 'cluster 7']])('%j is %s', (typed, name) => expect(canonical(typed)).toBe(name));
  it.each(['Mary', '', 'cluster', 'cluster x', '__proto__', 'L1H2 L1H3'])('%j has none', (typed) => expect(canonical(typed)).toBe(null));
  it('they stand by layer, heads before neurons before blocks, clusters last', () => {
    const names = ['L0H1', 'L0H10', 'L0N3', 'L0E1N2', 'L0 MLP', 'L0 attention', 'L2H0', 'L10H0', 'cluster 2', 'cluster 11'];
    expect([...names].reverse().sort(byPlace)).toEqual(names);
  });
  it('what the model has not is said with the reason', () => {
    const index = { n_layers: 4, n_heads: 2, manifest: { model: { d_mlp: 8, without_neurons: [3] } } };
    expect(['L4H0', 'L0H2', 'L0N8', 'L3N0'].map((name) => whyAbsent(index, name))).toEqual(['its layers are L0 to L3', 'its heads are H0 to H1', 'its neurons are N0 to N7', 'the neurons of layer 3 cannot be told apart']);
    expect(['L3H1', 'L0N7', 'L0E9N70', 'L3 MLP', 'cluster 99'].map((name) => whyAbsent(index, name)).join('')).toBe('');
    expect(['cluster 8', 'cluster 7'].map((name) => whyAbsent({ ...index, vocab: { n_clusters: 8 } }, name))).toEqual(['its clusters are 0 to 7', '']);
    expect(whyAbsent({ n_layers: 4, n_heads: 2, manifest: {} }, 'L0N99')).toBe('');
  });
});

describe('published names and changes over them', () => {
  it('a change covers what was published, and is gone when it says the same', () => {
    const { names, storage } = make();
    names.set('L1H2', { label: ' duplicate \n token ', note: ' two\nlines ' });
    expect(names.get('L1H2')).toEqual({ label: 'duplicate token', note: 'two\nlines' });
    expect(names.changes()).toEqual({ n: 1, kept: true });
    names.set('L1H2', PUBLISHED.L1H2);
    expect(names.changes().n).toBe(0);
    expect(storage.kept.text).toBe(null);
  });
  it('one can be taken away, and all changes discarded', () => {
    const { names } = make();
    names.set('L0 MLP', null);
    names.set('L3H3', { label: 'new', note: '' });
    expect(names.all().map(({ name, changed }) => [name, changed])).toEqual([['L1H2', false], ['L3H3', true]]);
    names.discard();
    expect(names.all().map(({ name }) => name)).toEqual(['L0 MLP', 'L1H2']);
  });
  it('they outlast the page, and vanish once they were published', () => {
    const { names, storage } = make();
    names.set('L3H3', { label: 'new', note: 'why' });
    names.set('L0 MLP', null);
    const later = make(storage).names;
    expect(later.get('L3H3')).toEqual({ label: 'new', note: 'why' });
    expect(later.get('L0 MLP')).toBe(null);
    expect(make(storage, { L1H2: PUBLISHED.L1H2, L3H3: { label: 'new', note: 'why' } }).names.changes().n).toBe(0);
  });
  it.each([[null], [{ getItem: () => 'not json', setItem() { throw new Error('full'); }, removeItem() {} }]])('a browser that keeps nothing says so', (storage) => {
    const { names } = make(storage);
    names.set('L3H3', { label: 'new', note: '' });
    expect(names.changes()).toEqual({ n: 1, kept: false });
    expect(names.label('L3H3')).toBe('new');
  });
  it('names of clusters are of one clustering: a browser’s of another are left out, and the file says which', () => {
    const of = (clustering, storage = storageOf()) => ({ storage, names: createNames({ published: {}, clustering, drafts: createDrafts('data/demo', storage) }) });
    const { names, storage } = of('aaa');
    names.set('L1H1', { label: 'head', note: '' });
    expect(JSON.parse(storage.kept.text)).toEqual({ L1H1: { label: 'head', note: '' } });
    expect(yamlOf(names)).not.toContain('clustering');
    names.set('cluster 3', { label: 'years', note: '' });
    expect(yamlOf(names)).toContain('\nclustering: "aaa"\nL1H1:');
    expect([of('aaa', storage).names.label('cluster 3'), of('aaa', storage).names.dropped]).toEqual(['years', 0]);
    const other = of('bbb', storage).names;
    expect([other.label('cluster 3'), other.label('L1H1'), other.dropped]).toEqual(['', 'head', 1]);
  });
  it('every word must occur, in name, label or note', () => {
    const { names } = make();
    const found = (/** @type {string} */ words) => names.find(words).map(({ name }) => name);
    expect(['COPIES mover', 'l1h2', 'mlp lookup', 'copies lookup', ''].map(found)).toEqual([['L1H2'], ['L1H2'], ['L0 MLP'], [], ['L0 MLP', 'L1H2']]);
  });
  it('whatever a file or storage holds beside names is passed over', () => {
    const strange = JSON.parse('{"__proto__": {"label": "x"}, "constructor": {"label": "x"}, "1.2": {"label": "not canonical"}, "L0H0": {"label": 5, "note": ["x"]}, "L0H1": "text", "L0H2": {"label": "y", "extra": 1}}');
    const { names } = make(storageOf(JSON.stringify(strange)), strange);
    expect(names.all()).toEqual([{ name: 'L0H2', label: 'y', note: '', changed: false }]);
    expect(names.label('constructor')).toBe('');
    for (const published of [null, 'text', [1], 7]) expect(make(storageOf('[]'), published).names.all()).toEqual([]);
  });
  it('lengths count characters, and none is cut in two', () => {
    const { names } = make();
    names.set('L3H3', { label: '😀'.repeat(90), note: 'x'.repeat(2100) });
    expect(names.label('L3H3')).toBe('😀'.repeat(80));
    expect(names.get('L3H3')?.note).toHaveLength(2000);
  });
  it('in a figure a label is cut short, and hidden characters are seen', () => {
    const { names } = make();
    names.set('L3H3', { label: 'left\u202eright and a good deal more', note: '' });
    expect(nameText({ names }, 'L3H3')).toBe('L3H3 left<U+202E>right and a…');
    expect(nameText({ names }, 'L3H2')).toBe('L3H2');
  });
});

describe('the file', () => {
  it('holds every name as quoted text, whatever its characters are', () => {
    const { names } = make();
    names.set('L0H0', { label: `"quotes" 'and' : # \\ {} 😀`, note: 'line\u2028end\u0085\ud800\u0007' });
    names.set('L1H2', { label: '', note: 'only a note' });
    expect(yamlOf(names).split('\n')).toEqual([
      expect.stringMatching(/^# /),
      'L0H0:',
      `  label: "\\"quotes\\" 'and' : # \\\\ {} 😀"`,
      '  note: "line\\u2028end\\u0085\ufffd\\u0007"',
      'L0 MLP:',
      '  label: "lookup"',
      'L1H2:',
      '  note: "only a note"',
      '',
    ]);
  });
});

describe('the address', () => {
  it.each(['L1H2', 'L0E3N44', 'L3 MLP', 'L2 attention', 'cluster 7'])('%s can be named from it', (of) => {
    const state = pageState('names', 'demo', { of, q: 'a b' });
    expect(parse(format(state))).toEqual({ state, problems: [] });
  });
  it.each(['Mary', 'L1', 'cluster', 'L1H2<b>', 'L1 mlp'])('%j is not understood', (of) => expect(parse(`#/demo/names?of=${of}`).problems).toHaveLength(1));
});
