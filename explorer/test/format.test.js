import { describe, expect, it } from 'vitest';
import { clip, day, exact, fraction, quantity, showText, showToken, size, threshold } from '../src/format.js';

describe('tokens', () => {
  it.each([
    [' Mary', '·Mary'],
    ['\n', '↵'],
    ['\n\n  x', '↵↵··x'],
    ['\t', '⇥'],
    ['\r', '<0x0D>'],
    ['\x00', '<0x00>'],
    ['\x1b[31m', '<0x1B>[31m'],
    ['\x7f', '<0x7F>'],
    ['\u00a0', '<U+00A0>'],
    ['\u202eevil', '<U+202E>evil'],
    ['\u200b', '<U+200B>'],
    ['\ufeff', '<U+FEFF>'],
    ['\ud83d', '<U+D83D>'],
    ['', '∅'],
    ['<0xE2><0x80>', '<0xE2><0x80>'],
    ['<script>', '<script>'],
    ['👨‍👩‍👧', '👨‍👩‍👧'],
    ['مرحبا', 'مرحبا'],
  ])('%j shows as %s', (token, expected) => expect(showToken(token)).toBe(expected));

  it('text keeps its spaces', () => expect(showText('a b\nc\u202ed')).toBe('a b↵c<U+202E>d'));

  it('clips between code points', () => {
    expect(clip('abcdef', 4)).toBe('abc…');
    expect(clip('abc', 4)).toBe('abc');
    expect(clip('👍👍👍👍', 3)).toBe('👍👍…');
    expect(clip('x'.repeat(20000), 10)).toHaveLength(10);
  });
});

describe('numbers', () => {
  it.each([
    [0, '0'],
    [1, '1'],
    [0.123456, '0.12'],
    [0.0104, '0.010'],
    [0.934, '0.93'],
    [0.996, '0.996'],
    [0.99999, '>0.999'],
    [0.00002, '2e−5'],
    [null, '–'],
    [undefined, '–'],
    [Number.NaN, '–'],
  ])('fraction %s is %s', (value, expected) => expect(fraction(value)).toBe(expected));

  it.each([
    [3.14159, '3.14'],
    [-1.2, '−1.20'],
    [12.345, '12.3'],
    [123.4, '123'],
    [null, '–'],
  ])('quantity %s is %s', (value, expected) => expect(quantity(value)).toBe(expected));

  it('exact gives a float32 back without noise', () => {
    expect(Math.fround(Number(exact(Math.fround(0.1))))).toBe(Math.fround(0.1));
    expect(exact(null)).toBe('not stored');
  });

  it('sizes, days, thresholds', () => {
    expect(size(12)).toBe('12 B');
    expect(size(1234)).toBe('1.2 kB');
    expect(size(56_789_000)).toBe('57 MB');
    expect(size(undefined)).toBe('–');
    expect(day('2026-11-20T12:00:00Z')).toBe('2026-11-20');
    expect(day('')).toBe('–');
    expect(threshold(0.04)).toBe('0.04');
    expect(threshold(0.1 + 0.2)).toBe('0.3');
  });
});
