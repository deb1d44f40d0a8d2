import { beforeAll, describe, expect, it, vi } from 'vitest';
import { askedAt, isGenerated } from '../src/asked.js';
import { createData } from '../src/data.js';
import { json, startEngine } from './engine.js';

/** @type {import('../src/data.js').Data} */
let data;
beforeAll(async () => {
  const { query } = await startEngine();
  const plain = (files) => Object.fromEntries(Object.entries(files).map(([name, list]) => [name, Array.isArray(list) ? list.map((file) => file.split('?')[0]) : list]));
  vi.stubGlobal('fetch', async (path) => ({ ok: true, status: 200, text: async () => JSON.stringify(json(path)) }));
  let last = Promise.resolve();
  const oneByOne = (sql, values, files) => (last = last.then(() => query(sql, values, plain(files)))); // the engine in Node answers one at a time
  data = createData({ base: '', db: { query: oneByOne, prefetch: async () => {} } });
});

const open = async (id) => data.prompt(await data.run('golden'), id);

describe('a prompt that the model continued', () => {
  it('is explained first where the text as given ends', async () => {
    const found = await open(6);
    expect(found.generated).toMatchObject({ ended: false });
    const { prompt: { tokens, n_tokens: n, targets }, generated: { n_given: given, text } } = found;
    expect([askedAt(found), n - given, text]).toEqual([given - 1, 3, tokens.slice(given).join('')]);
    expect(targets.at(-1)).toBe(n - 2);
    expect(found.targets.find(({ target }) => target === askedAt(found))).toMatchObject({ answer: ' Thursday', answer_from: 'dataset' });
    expect([isGenerated(found, given - 1), isGenerated(found, given)]).toEqual([false, true]);
  });

  it('has each token as the prediction of the position before', async () => {
    const { prompt, targets, generated } = await open(6);
    for (let pos = generated.n_given; pos < prompt.n_tokens; pos += 1) {
      expect(targets.find(({ target }) => target === pos - 1)?.predicted).toBe(prompt.tokens[pos]);
    }
  });
});

describe('others', () => {
  it('a prompt that is not continued is explained at its last target', async () => {
    const found = await open(0);
    expect([found.generated, found.answers, askedAt(found)]).toEqual([null, [], found.prompt.targets.at(-1)]);
    expect(isGenerated(found, 3)).toBe(false);
    expect(askedAt({ prompt: { targets: [], n_tokens: 5 }, generated: null })).toBe(4);
  });

  it('several accepted answers: in the order of the dataset, the explained one marked', async () => {
    const { answers, targets } = await open(3);
    expect(answers.map(({ text, explained }) => [text, explained])).toEqual([[' Rome', false], [' Paris', true]]);
    expect(answers[1].prob).toBeCloseTo(targets.at(-1).answer_prob, 6);
  });
});
