import { describe, expect, it } from 'vitest';
import { format, HIDEABLE, pageState, parse, promptsState, promptState, selectionKind, toggled, withEmbed } from '../src/state.js';

describe('round trip', () => {
  it.each([
    { view: 'catalogue' },
    promptsState('demo'),
    promptsState('demo', { q: 'a b&c=d#e?f+g%h', group: 'x/y', sort: '-prob', page: 3 }),
    promptsState('demo', { group: '' }),
    promptsState('ümläut run', { q: '😀 "quotes" <b>' }),
    promptState('demo', 17),
    promptState('demo', 0, { t: 0, tau: 0.0123, mode: 'renormalised', sel: '-1.post.3', faint: false }),
    promptState('demo', 2, { sel: '3.attn.12-4', tau: 0.1 }),
    promptState('demo', 2, { tau: 1.5e-7 }),
    promptState('demo', 2, { hide: 'resid,self', open: '3.mid.4,2.post.0', pair: 7 }),
    promptState('demo', 2, { zoom: '-0.12,0.5,2.375' }),
    promptState('demo', 2, { sel: '3.attn.12-4', tab: 'heads', head: 'L3H1' }),
    promptState('demo', 2, { tab: 'mlp', neuron: 'L1E7N300', by: 'strength' }),
    promptState('demo', 2, { tab: 'effects', of: 'difference', raw: true }),
    promptState('demo', 2, { sel: '1.mid.3', order: 'lens.4d,heads-node.0a' }),
    pageState('corpus', 'demo', { measure: 'frequency', group: 'x & y', tau: 0.04, list: 'neuron', find: 'L1', order: 'ranking.2d' }),
    pageState('contrast', 'demo', { by: 'roles', a: 'clean', b: 'corrupt', group: '', measure: 'effect', y: 'p', specific: true }),
    pageState('head', 'demo', { name: 'L5H1' }),
    pageState('neuron', 'demo', { name: 'L5E2N12', measure: 'effect', tau: 0.08, source: 'maps', pick: 'decile', order: 'roles.1d' }),
    pageState('search', 'demo', { q: 'L5.H1' }),
    pageState('sql', 'demo', { q: "SELECT * FROM edges WHERE kind = 'attn' -- 1,2\n" }),
    ...['map', 'data', 'trust'].map((view) => pageState(view, 'demo')),
    pageState('compare', 'base run', { other: 'a/b' }),
  ])('%j', (state) => expect(parse(format(state))).toEqual({ state, problems: [] }));

  it('writes only what differs from the default', () => {
    expect(format(promptState('demo', 17))).toBe('#/demo/p/17');
    expect(format(promptState('demo', 17, { mode: 'per_head' }))).toBe('#/demo/p/17?mode=per_head');
    expect(format(promptsState('demo'))).toBe('#/demo/prompts');
    expect(format({ view: 'catalogue' })).toBe('#/');
  });

  it('a run may be called as a page is', () => {
    expect(format(pageState('compare', 'a', { other: 'b' }))).toBe('#/compare/a/b');
    expect(parse('#/compare/p/3').state).toEqual(promptState('compare', 3));
    expect(parse('#/compare/sql').state).toEqual(pageState('sql', 'compare'));
    expect(parse('#/map/map').state).toEqual(pageState('map', 'map'));
  });

  it('half a surrogate pair does not break the address', () => {
    expect(parse(format(promptsState('demo', { q: 'a\ud800b' }))).state.q).toBe('a\ufffdb');
  });
});

it('embed may stand before the hash too', () => {
  expect(withEmbed('?embed=graph', '#/demo/p/3')).toBe('#/demo/p/3?embed=graph');
  expect(withEmbed('?v=1&embed=panel', '#/demo/p/3?sel=1.post.2')).toBe('#/demo/p/3?sel=1.post.2&embed=panel');
  expect(withEmbed('?embed=graph', '#/demo/p/3?embed=panel')).toBe('#/demo/p/3?embed=panel');
  expect(withEmbed('?v=1', '#/demo/p/3')).toBe('#/demo/p/3');
  expect(parse(withEmbed('?embed=%23/x%3Fq%3D1', '#/demo/p/3'))).toMatchObject({ state: { ...promptState('demo', 3), embed: null }, problems: [expect.stringContaining('embed')] });
  expect(parse(withEmbed('?embed=page', '')).problems).toEqual(['embed=page']);
});

describe('hostile or stale hashes', () => {
  it.each(['', '#', '#/', '#//'])('%j is the catalogue, without complaint', (hash) => {
    expect(parse(hash)).toEqual({ state: { view: 'catalogue' }, problems: [] });
  });

  it.each(['#/demo/p/-1', '#/demo/p/x', '#/demo/p/99999999999', '#/demo/p/', '#/demo/b/c/d', '#/demo/nothing', '#/demo/prompts/3', '#/demo/head', '#/demo/map/3', '#/demo/compare/a'])('%s stays in the run and says so', (hash) => {
    const { state, problems } = parse(hash);
    expect(state).toEqual(promptsState('demo'));
    expect(problems).toHaveLength(1);
  });

  it.each(['head/L1N2', 'head/xx', 'neuron/L1H2'])('#/demo/%s names no such thing: it is looked for', (path) => {
    const { state, problems } = parse(`#/demo/${path}`);
    expect(state).toEqual(pageState('search', 'demo', { q: path.split('/')[1] }));
    expect(problems).toHaveLength(1);
  });

  it('what follows a prompt is left out, and said', () => {
    expect(parse('#/demo/p/3/extra?mode=per_head')).toEqual({ state: promptState('demo', 3, { mode: 'per_head' }), problems: ['extra'] });
  });

  it.each(['#/%E0%A4%A/p/1', `#/${'x'.repeat(300)}`])(
    '%s goes to the catalogue and says so',
    (hash) => {
      const { state, problems } = parse(hash);
      expect(state).toEqual({ view: 'catalogue' });
      expect(problems).toHaveLength(1);
    },
  );

  it.each(['tau=abc', 'tau=', 'tau=-1', 'tau=1', 'tau=NaN', 'tau=Infinity', 't=-1', 't=1.5', 'mode=evil', 'mode=__proto__', 'sel=x', 'sel=1.pre.2', "sel=1.post.2'--", '__proto__=1', 'constructor=1', 'zzz', 'faint=2', 'hide=attn', 'open=2.attn.3-1', 'pair=-1', 'tab=all', 'head=3', 'head=L3N1', 'neuron=L3H1', 'of=both', 'raw=0', 'zoom=1,2', 'zoom=a,0,1', 'zoom=0,0,1e9', 'order=lens', 'order=lens.4', 'order=lens.4d,lens.2a', 't=%E0%A4%A'])(
    'leaves out %s and says so',
    (piece) => {
      const { state, problems } = parse(`#/demo/p/3?${piece}&mode=per_head`);
      expect(state).toEqual(promptState('demo', 3, { mode: 'per_head' }));
      expect(problems).toEqual([piece]);
    },
  );

  it.each(['page=0', 'page=-2', 'page=1e9', 'sort=;drop', 'sort=-'])('list: leaves out %s', (piece) => {
    expect(parse(`#/demo/prompts?${piece}`)).toEqual({ state: promptsState('demo'), problems: [piece] });
  });

  it('markup in the hash stays a string', () => {
    expect(parse('#/demo/prompts?q=<img+src=x+onerror=alert(1)>').state.q).toBe('<img src=x onerror=alert(1)>');
  });
});

it('lists: a word goes in and out, in order, once', () => {
  expect(toggled('', 'self', HIDEABLE)).toBe('self');
  expect(toggled('self', 'resid', HIDEABLE)).toBe('resid,self');
  expect(toggled('resid,self', 'resid', HIDEABLE)).toBe('self');
  expect(parse('#/demo/p/3?hide=self,resid,self').state.hide).toBe('resid,self');
});

it('tells nodes from edges', () => {
  expect(selectionKind(null)).toBe(null);
  expect(selectionKind('-1.post.0')).toBe('node');
  expect(selectionKind('2.resid_mlp.4')).toBe('edge');
});

describe('the map, the console and two runs', () => {
  it.each([
    ['#/r/map?clusters=0,3&lasso=-1.5,2,3,0.25,0,-7&least=0.75', { view: 'map', clusters: '0,3', lasso: '-1.5,2,3,0.25,0,-7', least: 0.75, template: null }],
    ['#/r/sql?q=SELECT+1&as=chart&kind=line&x=layer&with=other', { view: 'sql', q: 'SELECT 1', as: 'chart', kind: 'line', x: 'layer', with: 'other' }],
    ['#/compare/a/b?measure=effect&list=neuron', { view: 'compare', run: 'a', other: 'b', measure: 'effect', list: 'neuron' }],
    ['#/r/data?group=ioi', { view: 'data', group: 'ioi' }],
  ])('reads and writes %s', (hash, state) => {
    const found = parse(hash);
    expect(found.problems).toEqual([]);
    expect(found.state).toMatchObject(state);
    expect(format(found.state)).toBe(hash);
  });

  it.each(['#/r/map?clusters=x', '#/r/map?lasso=1,2,3', '#/r/map?least=0.3', '#/r/sql?kind=pie', '#/r/sql?as=picture'])('leaves out what it does not know: %s', (hash) => {
    expect(parse(hash).problems).toHaveLength(1);
  });
});
