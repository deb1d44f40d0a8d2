import { describe, expect, it } from 'vitest';
import { webAddress } from '../src/front-page.js';
import { demand, selectionWords } from '../src/selection.js';

describe('links of site.yaml', () => {
  it('lead to the web and nowhere else', () => {
    expect(webAddress('https://a.example/b?c=d')).toBe('https://a.example/b?c=d');
    expect(webAddress('HTTP://a.example')).toBe('http://a.example/');
    for (const url of ['javascript:alert(1)', ' javascript:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'paper.pdf', '//a.example', '', null, {}]) {
      expect(webAddress(url)).toBeNull();
    }
  });
});

describe('what a site holds of a run', () => {
  const counts = { prompts: 1200 };
  it('is said in words, and nothing where it is all', () => {
    expect(selectionWords({ counts, selection: null })).toBe('');
    const selection = { prompts: 'answer_rank = 1', n_prompts: 100000, left_out: ['maps', 'writes'], top_k: { lens: 5 } };
    expect(selectionWords({ counts, selection })).toBe(
      'This site holds a part of the run: 1,200 of its 100,000 prompts (answer_rank = 1); without maps, writes; with lens to rank 5. Statistics are over all of it.',
    );
    expect(selectionWords({ counts, selection: { ...selection, prompts: null, left_out: ['stats'], top_k: {} } })).toBe('This site holds a part of the run: without stats.');
  });

  it('a table that was left out is no empty table', () => {
    const index = { selection: { prompts: null, n_prompts: 9, left_out: ['maps'], top_k: {} } };
    expect(() => demand(index, 'maps')).toThrow('this site was made without maps');
    expect(() => demand(index, 'edges')).not.toThrow();
    expect(() => demand({ selection: null }, 'maps')).not.toThrow();
  });
});
