import { describe, expect, it } from 'vitest';
import { csvCell, csvOf, fileName, tsvOf } from '../src/figure.js';
import { compare, ordered } from '../src/table.js';

describe('CSV', () => {
  it.each([
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ['two\nlines', '"two\nlines"'],
    [' Mary', '" Mary"'],
    [-0.25, '-0.25'],
    [1e-7, '1e-7'],
    [null, ''],
    [undefined, ''],
    [true, 'true'],
  ])('%j is %j', (value, text) => expect(csvCell(value)).toBe(text));

  it.each(['=1+1', '+1', '-1', '@x', ' =HYPERLINK("x")', '\t=1'])('no formula from the text %j', (value) => {
    expect(csvCell(value).replace(/^"/, '')).toMatch(/^'/);
  });

  it('has a header and CRLF', () => expect(csvOf({ columns: ['token', 'share'], rows: [[',', 0.5], ['a', null]] })).toBe('token,share\r\n",",0.5\r\na,\r\n'));

  it('TSV keeps one line a row, and no formula', () => {
    expect(tsvOf({ columns: ['a', 'b'], rows: [['x\ty\nz', -1], ['=1', null]] })).toBe("a\tb\nx y z\t-1\n'=1\t");
  });

  it('file names hold no path', () => {
    expect(fileName('../L2H3 of “a/b”')).toBe('L2H3-of-a-b');
    expect(fileName('…')).not.toBe('');
  });
});

describe('sorting', () => {
  const rows = [{ v: 2 }, { v: null }, { v: 10 }, { v: 2, second: true }];
  it('numbers by size, missing last either way, equals in place', () => {
    expect(ordered(rows, (row) => row.v, false)).toEqual([rows[0], rows[3], rows[2], rows[1]]);
    expect(ordered(rows, (row) => row.v, true)).toEqual([rows[2], rows[0], rows[3], rows[1]]);
  });
  it('components in texts by their numbers', () => expect(compare('L2H3', 'L10H1', false)).toBeLessThan(0));
});
