"""Intervals and tests over prompts: pure arrays, no tables.

Prompts are the units that are drawn: positions, edges and neurons of one prompt depend on each other. Large corpora are
dealt at random into bins first, and the bins are drawn: the variance of a mean of bins is that of the mean of prompts
(a bin is a small random sample), at a bounded cost. Axes: `boot`, `unit` (a prompt or a bin), `col` (what is measured).

* Intervals are percentiles of the bootstrap, widened for small samples as Hesterberg (2015, *What Teachers Should Know
  About the Bootstrap*, section 5.2) has it: the nominal tail alpha becomes Phi(-sqrt(n / (n - 1)) t(n - 1, alpha)).
* Two sets of prompts are compared by permuting labels, pairs by flipping signs. Where fewer than ten of the
  permutations reach the difference, the p-value is the tail of the distribution with their exact first three moments
  (Pearson III; Winkler et al. 2016, *Faster permutation inference in brain imaging*). Deviation: moments are computed, not
  estimated from the permutations.
"""

from typing import NamedTuple

import numpy as np
from scipy import special, stats

BOOTSTRAPS = 1000
PERMUTATIONS = 999
RARE = 10  # permutations that reach the difference, under which a tail is fitted

Array = np.ndarray


def draw_units(rng: np.random.Generator, n_units: int, n_boot: int = BOOTSTRAPS) -> Array:
    """How often each unit is drawn: float32 [boot, unit]; each row sums to n_units."""
    drawn = rng.integers(0, n_units, (n_boot, n_units), dtype=np.int64)
    drawn += np.arange(n_boot, dtype=np.int64)[:, None] * n_units
    return np.bincount(drawn.ravel(), minlength=n_boot * n_units).reshape(n_boot, n_units).astype(np.float32)


def ratios(drawn: Array, sums: Array, counts: Array) -> Array:
    """Bootstrap replicates [boot, col] of sum over units / count over units; counts [unit] or [unit, col].

    NaN where a replicate holds none of what is counted.
    """
    below = drawn @ np.ascontiguousarray(counts, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (drawn @ np.ascontiguousarray(sums, dtype=np.float32)) / (below[:, None] if below.ndim == 1 else below)


def interval(replicates: Array, n_units: int | Array) -> tuple[Array, Array]:
    """Both ends [col] of the 95% interval of replicates [boot, col] that came from n_units units; NaN under 2 units."""
    units = np.broadcast_to(np.asarray(n_units), replicates.shape[1:])
    low, high = (np.full(replicates.shape[1], np.nan, np.float32) for _ in range(2))
    ordered = np.sort(replicates, axis=0)  # NaN last
    known = np.sum(~np.isnan(ordered), axis=0)
    good = (units >= 2) & (known > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.maximum(units, 2)
        tail = stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.isf(0.025, n - 1))
    low[good], high[good] = (_quantile(ordered, q, known)[good] for q in (tail, 1 - tail))
    return low, high


def _quantile(ordered: Array, q: Array, known: Array) -> Array:
    """Linear quantiles q [col] of sorted columns [boot, col], over the first `known` of each."""
    place = q * np.maximum(known - 1, 0)
    below = np.floor(place).astype(int)
    columns = np.arange(ordered.shape[1])
    a, b = ordered[below, columns], ordered[np.minimum(below + 1, np.maximum(known - 1, 0)), columns]
    return a + (b - a) * (place - below)


def estimate(name: str, drawn: Array, sums: Array, counts: Array) -> dict[str, Array]:
    """Mean [part] and its interval, under the names `name`, `name_low`, `name_high`; NaN where nothing is counted."""
    below = counts.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums.sum(0, dtype=np.float64) / below
    low, high = interval(ratios(drawn, sums, counts), np.sum(counts > 0, axis=0))
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


class Moments(NamedTuple):
    """Of prompts, not of bins, by column: n, mean, and variance with n - 1 below (NaN under 2)."""

    n: Array
    mean: Array
    variance: Array


def moments(n: Array, total: Array, squares: Array) -> Moments:
    """From sums over prompts; a negative rounding error of the variance becomes 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        variance = np.where(n > 1, np.maximum(squares - n * mean**2, 0) / (n - 1), np.nan)
    return Moments(np.asarray(n), mean, np.where(variance < 1e-12 * mean**2, 0, variance))


def hedges_g(a: Moments, b: Moments) -> Array:
    """Standardised difference of means with Hedges' small-sample factor [col]; NaN without spread or freedom."""
    free = a.n + b.n - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = ((a.n - 1) * a.variance + (b.n - 1) * b.variance) / free
        exact = np.exp(special.gammaln(free / 2) - special.gammaln((free - 1) / 2)) / np.sqrt(free / 2)
        return np.where(pooled > 0, (a.mean - b.mean) / np.sqrt(pooled) * exact, np.nan)


def permutation_p(rng: np.random.Generator, a: Array, b: Array, n: int = PERMUTATIONS) -> Array:
    """Two-sided p [col] of the difference of means of a [unit, col] and b [unit, col], labels permuted; NaN under 2 units."""
    if min(len(a), len(b)) < 2:
        return np.full(a.shape[1], np.nan)
    both = np.concatenate([a, b]).astype(np.float32)
    # scaled by its own spread: differences of a column then keep their digits in float32
    scale = np.max(np.abs(both - both.mean(0)), axis=0)
    centred = (both - both.mean(0)) / np.where(scale > 0, scale, 1)
    n_a, n_all = len(a), len(both)
    weight = n_all / (n_a * len(b))  # times the sum over a of centred values: the difference of means
    observed = np.abs(centred[:n_a].sum(0) * weight)
    keys = rng.random((n, n_all), dtype=np.float32)
    chosen = (keys <= np.partition(keys, n_a - 1, axis=1)[:, n_a - 1 : n_a]).astype(np.float32)
    reached = np.sum(np.abs(chosen @ centred) * weight >= observed - 1e-5 * weight, axis=0)
    skew = _split_skew(centred, n_a)
    spread = np.sqrt(centred.var(0, ddof=1) * n_all / (n_a * len(b)))
    floor = np.exp(-special.gammaln(n_all + 1) + special.gammaln(n_a + 1) + special.gammaln(len(b) + 1))
    return _with_tail(reached, n, observed, spread, skew, floor)


def _split_skew(values: Array, n_a: int) -> Array:
    """Skewness [col] of the mean of n_a of all values [unit, col], drawn without replacement (exact)."""
    n = len(values)
    spread = values.std(0)
    if n < 3:
        return np.zeros(values.shape[1])
    skew = np.mean(values.astype(np.float64) ** 3, axis=0) / np.where(spread > 0, spread, 1) ** 3
    return skew * (n - 2 * n_a) * np.sqrt((n - 1) / (n_a * (n - n_a))) / (n - 2)


def sign_flip_p(rng: np.random.Generator, differences: Array, n: int = PERMUTATIONS) -> Array:
    """Two-sided p [col] of the mean of paired differences [unit, col], signs flipped; NaN under 2 units."""
    units = len(differences)
    if units < 2:
        return np.full(differences.shape[1], np.nan)
    scale = np.max(np.abs(differences), axis=0)
    scaled = (differences / np.where(scale > 0, scale, 1)).astype(np.float32)
    observed = np.abs(scaled.sum(0))
    signs = rng.integers(0, 2, (n, units), dtype=np.int8).astype(np.float32) * 2 - 1
    reached = np.sum(np.abs(signs @ scaled) >= observed - 1e-5, axis=0)
    spread = np.sqrt(np.sum(scaled.astype(np.float64) ** 2, axis=0))
    return _with_tail(reached, n, observed, spread, np.zeros(len(observed)), 2.0 ** (1 - units))


def _with_tail(reached: Array, n: int, observed: Array, spread: Array, skew: Array, floor: float) -> Array:
    """Counted p-values, and those of the fitted tail where too few permutations reach the observed difference."""
    counted = (1 + reached) / (1 + n)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, observed / spread, 0)
    tail = stats.pearson3.sf(z, skew) + stats.pearson3.cdf(-z, skew)
    return np.where(reached < RARE, np.clip(tail, max(floor, 1e-30), counted * RARE), counted).clip(max=1)


def adjusted(p: Array) -> Array:
    """Benjamini-Hochberg q-values of p [col]; NaN (not tested) stays and does not count."""
    q, known = np.full(len(p), np.nan), ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q
