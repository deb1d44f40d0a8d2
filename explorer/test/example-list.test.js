/** What an example's card is about is what its link opens. */
import { describe, expect, it } from 'vitest';
import { askedAt } from '../src/asked.js';
import { cardTarget, exampleState } from '../src/example-list.js';

const data = { prompt: { n_tokens: 9, targets: [2, 5, 8] }, targets: [2, 5, 8].map((target) => ({ target })), generated: null };
const head = { component: 'head', layer: 1, expert: -1, index: 2 };
const example = { prompt_id: 3, dst: 5, src: 1 };

describe('the target of an example', () => {
  it('is the position where it writes, where every position is explained', () => {
    const index = { id: 'demo', targets: 'all' };
    expect(cardTarget(index, head, example, data)).toBe(5);
    expect(exampleState('demo', head, example, true).t).toBe(5);
  });
  it('is the asked one otherwise, which the page opens by itself', () => {
    expect(cardTarget({ id: 'demo', targets: 'last' }, head, example, data)).toBe(askedAt(data));
    expect(exampleState('demo', head, example).t).toBe(null);
  });
});
