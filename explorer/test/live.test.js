import { afterEach, describe, expect, it, vi } from 'vitest';
import { connect, LiveError } from '../src/live.js';
import { format, parse, tryState } from '../src/state.js';

const BASE = 'http://127.0.0.1:8000/live/token/';
const known = { model: 'demo', weights_hash: 'w', n_layers: 2, n_heads: 2, asked: [{ run: 'live-1', text: 'a b', answer: null, foil: null, edits: ['L0H1=off'], new_tokens: 3 }] };
const answer = (status, content) => ({ status, ok: status < 400, headers: new Headers({ 'Content-Type': 'application/json' }), json: async () => content });

/** A server that answers by path; a list is answered one after the other. */
function serve(paths) {
  const asked = [];
  vi.stubGlobal('fetch', async (url, init = {}) => {
    const path = String(url).replace(BASE, '');
    asked.push([path, init.body && JSON.parse(init.body)]);
    const found = paths[path];
    const next = Array.isArray(found) && found.length && !Number.isInteger(found[0]) ? found.shift() : found;
    if (!next) throw new TypeError('Failed to fetch');
    return answer(...next);
  });
  return asked;
}

afterEach(() => vi.unstubAllGlobals());

const request = { text: 'a', answer: null, foil: null, edits: [], new_tokens: 0 };
const troubleOf = async (live) => live.run(request).then(() => null, (error) => [error instanceof LiveError, error.trouble, error.message]);

describe('a prompt that is run', () => {
  it('is asked after until it is done', async () => {
    const asked = serve({ state: [200, known], prompts: [202, { job: 4 }], 'jobs/4': [[200, { state: 'waiting' }], [200, { state: 'done', run: 'live-2' }]] });
    const live = await connect(BASE);
    expect(await live.run(request)).toBe('live-2');
    expect(asked.map(([path]) => path)).toEqual(['state', 'prompts', 'jobs/4', 'jobs/4', 'state']);
    expect(asked[1][1]).toEqual(request);
  });

  it.each([
    ['busy', { prompts: [429, {}] }, 'Too many'],
    ['token', { prompts: [404, {}] }, 'does not know this address'],
    ['gone', {}, 'does not answer'],
    ['refused', { prompts: [400, { message: 'a prompt needs a text' }] }, 'a prompt needs a text'],
    ['refused', { prompts: [202, { job: 1 }], 'jobs/1': [200, { state: 'failed', message: 'too long' }] }, 'too long'],
  ])('says what went wrong: %s', async (trouble, paths, words) => {
    serve({ state: [200, known], ...paths });
    const found = await troubleOf(await connect(BASE));
    expect(found).toEqual([true, trouble, expect.stringContaining(words)]);
  });

  it('is run though the server was slow to start', async () => {
    serve({ prompts: [202, { job: 1 }], 'jobs/1': [200, { state: 'done', run: 'live-1' }] });
    expect(await (await connect(BASE)).run(request)).toBe('live-1');
  });
});

describe('the form of a prompt', () => {
  const index = (id, weights = 'w') => ({ id, manifest: { weights_hash: weights } });
  const prompt = { text: 'a + b?', answer_text: ' c', foil_text: null };
  const stateOf = (href) => parse(href).state;

  it('holds what was asked, or the prompt of any run of the same model', async () => {
    serve({ state: [200, known] });
    const live = await connect(BASE);
    expect(stateOf(live.change(index('live-1'), prompt))).toEqual(tryState({ text: 'a b', edits: 'L0H1=off', n: 3 }));
    expect(stateOf(live.change(index('demo'), prompt))).toEqual(tryState({ text: 'a + b?', answer: ' c' }));
    expect(live.change(index('other', 'v'), prompt)).toBeNull();
    expect(live.without(index('other', 'v'), prompt)('L0H0')).toBeNull();
  });

  it('has the component off in the place of whatever else was done to it', async () => {
    serve({ state: [200, known] });
    const live = await connect(BASE);
    expect(stateOf(live.without(index('live-1'), prompt)('L0 MLP'))).toMatchObject({ edits: 'L0H1=off;L0 MLP=off' });
    expect(stateOf(live.without(index('live-1'), prompt)('L0H1'))).toMatchObject({ edits: 'L0H1=off' });
  });

  it.each([
    ['#/try', tryState()],
    ['#/try?text=a%26b&answer=c&edits=L0H1%3Doff&n=5', tryState({ text: 'a&b', answer: 'c', edits: 'L0H1=off', n: 5 })],
  ])('is an address: %s', (hash, state) => {
    expect(parse(hash)).toEqual({ state, problems: [] });
    expect(format(state)).toBe(hash);
  });

  it('leaves out what is none, and a run of that name keeps its pages', () => {
    expect(parse('#/try?n=65&x=1')).toEqual({ state: tryState(), problems: ['n=65', 'x=1'] });
    expect(parse('#/try/prompts').state).toMatchObject({ view: 'prompts', run: 'try' });
  });
});
