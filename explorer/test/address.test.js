import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createAddress } from '../src/address.js';

describe('the address', () => {
  let written;
  let address;
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('window', globalThis);
    written = [];
    const history = { replaceState: (_, __, hash) => written.push(`= ${hash}`), pushState: (_, __, hash) => written.push(`+ ${hash}`) };
    address = createAddress({ history: /** @type {any} */ (history), now: () => Date.now() });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('is written few times while a slider moves, and holds the last place', () => {
    for (let i = 0; i < 100; i += 1) {
      address.replace(`#${i}`);
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(1000);
    expect(written.length).toBeLessThan(10);
    expect(written[0]).toBe('= #0');
    expect(written.at(-1)).toBe('= #99');
  });

  it('what waits is written before a new entry, and forgotten when a reader goes back', () => {
    address.replace('#a');
    address.replace('#b');
    address.push('#c');
    address.replace('#d');
    address.replace('#e');
    address.forget();
    vi.advanceTimersByTime(1000);
    expect(written).toEqual(['= #a', '= #b', '+ #c']);
  });
});
