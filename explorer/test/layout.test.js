import { describe, expect, it } from 'vitest';
import { curvesOf, distanceTo, layoutFor, mlpAt, pathOf, polyline, rowsOf, xOf, yOf } from '../src/layout.js';
import { binOf, radiusOf, scaleOf, sideOf, widthOf } from '../src/sizes.js';
import { tellApart } from '../src/axes.js';
import { tellable } from '../src/background.js';
import { histogram, nudged, positionOf, readTau, tauAt } from '../src/slider.js';

const room = { nTokens: 14, nLayers: 4, parallel: false, width: 900, height: 520 };
const edge = (layer, kind, dst, src = dst) => ({ key: '', layer, kind, dst, src, to: '', from: '', share: 0.2, heads: [] });
const start = ([[x, y]]) => [x, y];
const end = (curves) => curves.at(-1).slice(6);

describe('layout', () => {
  const layout = layoutFor(room);

  it('layers go up, tokens to the right, mid between the posts', () => {
    const heights = rowsOf(layout).map(({ layer, point }) => yOf(layout, layer, point));
    expect(heights).toHaveLength(9);
    expect(heights.every((y, i) => i === 0 || y < heights[i - 1])).toBe(true);
    expect(xOf(layout, 1)).toBeGreaterThan(xOf(layout, 0));
  });

  it('fills the room, inside it', () => {
    expect(layout.width).toBeCloseTo(900, 0);
    expect(layout.height).toBeLessThanOrEqual(520);
    for (const { layer, point } of rowsOf(layout)) {
      expect(yOf(layout, layer, point)).toBeGreaterThan(0);
      expect(yOf(layout, layer, point)).toBeLessThan(layout.height);
    }
    expect(mlpAt(layout, 3, 13).x).toBeLessThan(layout.width);
  });

  it.each([[64, 32, 880, 480], [64, 12, 340, 300], [8, 4, 340, 420], [15, 4, 1900, 900]])('%i tokens x %i layers fit %i x %i pixels, spread over both directions', (nTokens, nLayers, width, height) => {
    const { dx, dy, ...made } = layoutFor({ nTokens, nLayers, parallel: false, width, height });
    expect(made.width).toBeLessThanOrEqual(width + 0.01);
    expect(made.height).toBeLessThanOrEqual(height + 0.01);
    expect(made.width).toBeGreaterThan(Math.min(width, nTokens * 118) * 0.9);
    expect(made.height).toBeGreaterThan(height * 0.95);
    expect(dx * dy).toBeGreaterThan(0);
  });

  it('does not spread two tokens over a screen', () => {
    expect(layoutFor({ ...room, nTokens: 2, width: 2500 }).dx).toBeLessThan(120);
    expect(layoutFor({ ...room, nTokens: 1, nLayers: 1 }).width).toBeGreaterThan(0);
  });

  it('edges start and end at their nodes', () => {
    const at = (layer, point, pos) => [xOf(layout, pos), yOf(layout, layer, point)];
    for (const one of [edge(2, 'attn', 9, 3), edge(2, 'attn', 9, 9), edge(2, 'resid_attn', 9)]) {
      expect(start(curvesOf(layout, one))).toEqual(at(1, 'post', one.src));
      expect(end(curvesOf(layout, one))).toEqual(at(2, 'mid', 9));
    }
    for (const one of [edge(2, 'mlp', 9), edge(2, 'resid_mlp', 9)]) {
      expect(start(curvesOf(layout, one))).toEqual(at(2, 'mid', 9));
      expect(end(curvesOf(layout, one))).toEqual(at(2, 'post', 9));
    }
  });

  it('residual, attention to itself and MLP of one column do not lie on one another', () => {
    const middle = (one) => polyline(curvesOf(layout, one), 2)[2];
    expect(middle(edge(2, 'attn', 9, 9))).toBeLessThan(middle(edge(2, 'resid_attn', 9)) - 5);
    expect(middle(edge(2, 'mlp', 9))).toBeGreaterThan(middle(edge(2, 'resid_mlp', 9)) + 5);
  });

  it('parallel blocks: every edge spans from post to post, and there are no mid rows', () => {
    const parallel = layoutFor({ ...room, parallel: true });
    expect(rowsOf(parallel)).toHaveLength(5);
    for (const one of [edge(2, 'mlp', 9), edge(2, 'attn', 9, 1), edge(2, 'resid_attn', 9)]) {
      expect(start(curvesOf(parallel, one))[1]).toBe(yOf(parallel, 1, 'post'));
      expect(end(curvesOf(parallel, one))[1]).toBe(yOf(parallel, 2, 'post'));
    }
  });

  it('finds what is near a curve', () => {
    const curves = curvesOf(layout, edge(2, 'attn', 9, 3));
    const line = polyline(curves);
    expect(distanceTo(line, xOf(layout, 3), yOf(layout, 1, 'post'))).toBeCloseTo(0, 3);
    expect(distanceTo(line, -100, -100)).toBeGreaterThan(100);
    expect(pathOf(curves)).toMatch(/^M[\d.]+,[\d.]+C[\d.,]+$/);
  });
});

describe('marks', () => {
  it('width and lightness grow with the share', () => {
    const shares = [0, 0.01, 0.05, 0.2, 0.6, 1];
    expect(shares.map(widthOf)).toEqual([...shares.map(widthOf)].sort((a, b) => a - b));
    expect(shares.map(binOf)).toEqual([...shares.map(binOf)].sort((a, b) => a - b));
    expect(binOf(1)).toBe(7);
  });
});

describe('threshold scale', () => {
  it('starts exactly at the floor and never goes below it', () => {
    for (const floor of [0.01, 0.001, 1 / 3, 1e-6]) {
      expect(tauAt(0, floor)).toBe(floor);
      expect(tauAt(1, floor)).toBeGreaterThanOrEqual(floor);
      expect(tauAt(1000, floor)).toBeLessThan(1);
    }
  });

  it('goes there and back within a step', () => {
    for (const tau of [0.01, 0.011, 0.04, 0.2, 0.9]) expect(tauAt(positionOf(tau, 0.01), 0.01) / tau).toBeCloseTo(1, 2);
    expect(positionOf(0.0001, 0.01)).toBe(0);
    expect(positionOf(1, 0.01)).toBe(1000);
  });

  it('counts every share above the floor once', () => {
    const counts = histogram([0.005, 0.01, 0.011, 0.5, 0.5, 1], 0.01, 10);
    expect(counts.reduce((a, b) => a + b)).toBe(4);
    expect(counts.at(-1)).toBe(1);
  });
});

describe('sizes', () => {
  const [wide, crowded] = [layoutFor(room), layoutFor({ ...room, nTokens: 64, nLayers: 32 })];
  it('are smaller in a crowd, and grow under zoom no further than where there is room', () => {
    expect(radiusOf(crowded, 1)).toBeLessThan(radiusOf(wide, 1));
    expect(sideOf(crowded, 1)).toBeLessThan(sideOf(wide, 1));
    expect(scaleOf(crowded, 1)).toBeLessThan(scaleOf(wide, 1));
    expect(scaleOf(wide, 8)).toBe(scaleOf(wide, 1));
    expect(radiusOf(wide, 8)).toBe(radiusOf(wide, 1));
    expect(radiusOf(crowded, 100)).toBe(radiusOf(wide, 1));
  });
});

describe('what stands behind', () => {
  const parts = Array.from({ length: 400 }, (_, i) => ({ ...edge(0, 'attn', 63, i % 60), share: (i % 97) / 97 }));
  const own = Array.from({ length: 14 }, (_, i) => edge(0, 'resid_attn', i));
  it('in a crowd only the strongest edges between tokens, none within a column', () => {
    const drawn = tellable([...parts, ...own], layoutFor({ ...room, nTokens: 64, nLayers: 12 }));
    expect(drawn.length).toBeLessThan(60);
    const least = Math.min(...drawn.map((one) => one.share));
    expect(parts.filter((one) => one.share > least).length).toBeLessThanOrEqual(drawn.length);
    expect(drawn.every((one) => one.src !== one.dst)).toBe(true);
  });
  it('all of a small prompt', () => expect(tellable(own, layoutFor(room))).toHaveLength(14));
});

describe('token labels', () => {
  it('leave out what has no room, never the target', () => {
    expect(tellApart([0, 5, 10, 15, 20, 25], 10, 5)).toEqual([true, false, true, false, false, true]);
    expect(tellApart([0, 20, 40], 10, 1)).toEqual([true, true, true]);
  });
});

describe('thresholds by key and by hand', () => {
  it.each([0.01, 0.04, 0.1, 0.91, 0.99])('one step back undoes one step forth from %d', (tau) => {
    if (tau < 0.99) expect(nudged(nudged(tau, 1, 0.01), -1, 0.01)).toBe(tau);
    if (tau > 0.01) expect(nudged(nudged(tau, -1, 0.01), 1, 0.01)).toBe(tau);
  });
  it('from any other number the next round one, within the scale', () => {
    expect([nudged(0.0401, -1, 0.01), nudged(0.0401, 1, 0.01)]).toEqual([0.04, 0.043]);
    expect([nudged(0.013, -1, 0.0125), nudged(0.0125, -1, 0.0125), nudged(0.99, 1, 0.01)]).toEqual([0.0125, 0.0125, 0.99]);
  });
  it.each([['0.2', 0.2], [' 0,05 ', 0.05], ['1e-3', 0.001], ['abc', null], ['', null], ['-1', null], ['5', null], ['1', null], ['0', null]])('reads %j as %j', (text, value) => {
    expect(readTau(text)).toBe(value);
  });
});
