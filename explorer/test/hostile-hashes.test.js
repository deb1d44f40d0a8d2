/** Whatever the address says, the page has a state whose own address leads to it again, and never throws. */

import { describe, expect, it } from 'vitest';
import { format, parse } from '../src/state.js';

const ROUNDS = 10_000;
const VIEWS = ['p', 'prompts', 'corpus', 'contrast', 'head', 'neuron', 'search', 'sql', 'map', 'names', 'trust', 'data', 'interventions', 'compare', '__proto__', 'constructor'];
const NAMES = ['q', 't', 'tau', 'sel', 'tab', 'head', 'neuron', 'order', 'zoom', 'lasso', 'clusters', 'open', 'hide', 'pair', 'group', 'measure', 'embed', 'of', 'page', 'sort', 'least', 'template', 'text', 'edits', 'edit', 'n', 'name', 'answer', '__proto__', 'hasOwnProperty', 'toString'];
const VALUES = ['0', '-1', '1e999', 'NaN', '0.05', '2147483648', '99999999999999999999', 'L1H2', 'L1N3', 'L9999H9', '3.post.14', '-1.post.0', '1.attn.14-2', '1.mid.3,1.mid.3', '0.1,0.2,1', '-9,-9,999.999', '0,1,2', 'page', 'graph', 'L1H2=off;L3N4=on', 'true', '%00', '%', '%ED%A0%80', '%F0%9F%98%80', '../../etc/passwd', '..%2F..', '<svg/onload=alert(1)>', "' OR 1=1 --", '${7*7}', '{{7*7}}', 'javascript:alert(1)', '\u202e', '\ud800', '\0', 'a'.repeat(20_000), `${'a'.repeat(499)}😀`, ','.repeat(300), '#?&=/#'];

/** Numbers from 0 to below n, the same ones every time (Park and Miller's generator). @param {number} seed */
function chance(seed) {
  let at = seed;
  return (/** @type {number} */ n) => {
    at = (at * 48271) % 2147483647;
    return at % n;
  };
}

/** @param {(n: number) => number} below */
function hashOf(below) {
  const some = (/** @type {string[]} */ of) => of[below(of.length)];
  const junk = () => String.fromCharCode(...Array.from({ length: below(12) }, () => (below(3) ? 32 + below(95) : below(65536))));
  const piece = () => (below(4) ? some(VALUES) : junk());
  const ofRun = () => [below(8) ? 'demo' : piece(), below(6) ? some(VIEWS) : piece(), ...Array.from({ length: below(3) }, piece)];
  const path = below(12) ? ofRun() : [some(['try', 'demo', ''])];
  const query = Array.from({ length: below(5) }, () => `${below(6) ? some(NAMES) : junk()}${below(9) ? '=' : ''}${piece()}`);
  return `#/${path.join('/')}${query.length ? `?${query.join('&')}` : ''}`;
}

/** Every value of a state is plain. @param {object} state */
const plain = (state) => Object.values(state).every((value) => value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value));

describe('any address', () => {
  const below = chance(20261121);
  const hashes = Array.from({ length: ROUNDS }, () => hashOf(below));

  it('has a state of plain values, and what was left out is said in a few short pieces', () => {
    for (const hash of hashes) {
      const { state, problems } = parse(hash);
      expect(Object.getPrototypeOf(state), hash).toBe(Object.prototype);
      expect(plain(state), hash).toBe(true);
      expect(problems.every((problem) => problem.length <= 120), hash).toBe(true);
    }
  });

  it('leads by its own address to the same state, without complaint', () => {
    for (const hash of hashes) {
      const { state } = parse(hash);
      expect(parse(format(state)), hash).toEqual({ state, problems: [] });
    }
  });

  it('reaches every view, some of them with all of it understood', () => {
    const states = hashes.map((hash) => parse(hash).state);
    const views = ['catalogue', 'try', 'prompt', ...VIEWS.slice(1, -2)];
    expect([...new Set(states.map(({ view }) => view))].sort()).toEqual(views.sort());
    expect(hashes.filter((hash) => parse(hash).problems.length === 0).length).toBeGreaterThan(ROUNDS / 50);
  });
});
