"""Intervals and tests over prompts: pure arrays, no tables.

Prompts are the units that are drawn: positions, edges and neurons of one prompt depend on each other. Large corpora are
dealt at random into bins first, and the bins are drawn: the variance of a mean of bins is that of the mean of prompts
(a bin is a small random sample), at a bounded cost. Axes: `boot`, `unit` (a prompt or a bin), `col` (what is measured).

* Intervals are percentiles of the bootstrap, widened for small samples as Hesterberg (2015, *What Teachers Should Know
  About the Bootstrap*, section 5.2) has it: the nominal tail alpha becomes Phi(-sqrt(n / (n - 1)) t(n - 1, alpha)).
* Frequencies have Wilson's interval (Brown, Cai & DasGupta 2001, *Interval Estimation for a Binomial Proportion*): a
  bootstrap of prompts that are all alike would have no width.
* Rank correlations between means get both the percentile interval and its mirror image about the estimate: noise in the means
  pulls estimates towards 0 and replicates further, so each alone misses the truth too often on one side. Simulated in
  tests/test_inference.py.
* Two sets of prompts are compared by permuting labels, pairs by flipping signs. Where fewer than ten of the
  permutations reach the difference, and where prompts are too many to permute them one by one, the p-value is the tail
  of the distribution with the permutations' exact first three moments (Pearson III; Winkler et al. 2016, *Faster
  permutation inference in brain imaging*). Deviation: moments are computed, not estimated from the permutations.
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
    """Bootstrap replicates [col, boot] of sum over units / count over units; counts [unit] or [unit, col].

    NaN where a replicate holds none of what is counted.
    """
    draws = drawn.T
    above, below = (np.ascontiguousarray(values.T, dtype=np.float32) @ draws for values in (sums, counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        return above / below


def interval(replicates: Array, n_units: int | Array) -> tuple[Array, Array]:
    """Both ends [col] of the 95% interval of replicates [col, boot] that came from n_units units; NaN under 2 units."""
    units = np.broadcast_to(np.asarray(n_units), len(replicates))
    low, high = (np.full(len(replicates), np.nan, np.float32) for _ in range(2))
    ordered = np.sort(replicates, axis=1)  # NaN last
    known = np.sum(~np.isnan(ordered), axis=1)
    good = (units >= 2) & (known > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.maximum(units, 2)
        tail = stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.isf(0.025, n - 1))
    low[good], high[good] = (_quantile(ordered, q, known)[good] for q in (tail, 1 - tail))
    return low, high


def _quantile(ordered: Array, q: Array, known: Array) -> Array:
    """Linear quantiles q [col] of sorted rows [col, boot], over the first `known` of each."""
    place = q * np.maximum(known - 1, 0)
    below = np.floor(place).astype(int)
    rows = np.arange(len(ordered))
    a, b = ordered[rows, below], ordered[rows, np.minimum(below + 1, np.maximum(known - 1, 0))]
    return a + (b - a) * (place - below)


def estimate(name: str, drawn: Array, sums: Array, counts: Array) -> dict[str, Array]:
    """Mean [col] and its interval, under the names `name`, `name_low`, `name_high`; NaN where nothing is counted."""
    below = counts.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums.sum(0, dtype=np.float64) / below
    low, high = interval(ratios(drawn, sums, counts), np.sum(counts > 0, axis=0))
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def correlation_interval(found: float, a: Array, b: Array, n_units: int) -> tuple[float, float]:
    """95% interval of Spearman's correlation of means, from replicates a, b [col, boot] of these; `found` is the estimate."""
    replicates = rank_correlations(a.T, b.T)
    low, high = (float(end[0]) for end in interval(replicates[None], n_units))
    return max(-1.0, min(low, 2 * found - high)), min(1.0, max(high, 2 * found - low))


def rank_correlations(a: Array, b: Array) -> Array:
    """Spearman's correlation [row] of rows a, b [row, col]; columns that are NaN in a row are left out of it, and it is NaN
    where fewer than 2 are left or one of the two has no order."""
    found = np.full(len(a), np.nan)
    whole = ~np.isnan(a + b).any(1)
    found[whole] = _correlations(stats.rankdata(a[whole], axis=1), stats.rankdata(b[whole], axis=1))
    for row in np.flatnonzero(~whole):
        known = ~np.isnan(a[row] + b[row])
        if known.sum() > 1:
            found[row] = rank_correlations(a[row, known][None], b[row, known][None])[0]
    return found


def _correlations(a: Array, b: Array) -> Array:
    """Pearson's of rows a, b [row, col]; NaN without spread."""
    if not a.size:
        return np.full(len(a), np.nan)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


def proportion(name: str, hits: Array, n: Array | int) -> dict[str, Array]:
    """hits / n and Wilson's 95% interval, named as above; NaN where n is 0, no interval under 2."""
    z = stats.norm.isf(0.025)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.asarray(hits, float) / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    few = np.asarray(n) < 2
    low, high = np.where(share == 0, 0, middle - half), np.where(share == 1, 1, middle + half)
    return {name: share, f"{name}_low": np.where(few, np.nan, low), f"{name}_high": np.where(few, np.nan, high)}


def change_of_proportion(name: str, gained: Array, lost: Array, n: Array | int) -> dict[str, Array]:
    """(gained - lost) / n of the same n units before and after, and a 95% interval, named as above; none under 2.

    By Agresti & Min (2005, *Simple improved confidence intervals for comparing matched proportions*): half a unit is added to
    each of the four cells, so that the interval has a width where nothing changes.
    """
    z, units = stats.norm.isf(0.025), np.asarray(n) + 2
    middle = (gained - lost) / units
    half = z * np.sqrt((gained + lost + 1) / units - middle**2) / np.sqrt(units)
    low, high = (np.where(np.asarray(n) < 2, np.nan, np.clip(middle + side * half, -1, 1)) for side in (-1, 1))
    return {name: (gained - lost) / np.asarray(n), f"{name}_low": low, f"{name}_high": high}


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


def students(name: str, of: Moments) -> dict[str, Array]:
    """The mean of a share (0 to 1) and Student's 95% interval, named as above; no interval under 2 prompts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        half = stats.t.isf(0.025, np.maximum(of.n - 1, 1)) * np.sqrt(of.variance / of.n)
    return {name: of.mean, f"{name}_low": np.maximum(of.mean - half, 0), f"{name}_high": np.minimum(of.mean + half, 1)}


def skewness(n: int, total: Array, squares: Array, cubes: Array) -> Array:
    """Skewness [col] (third central moment over the cubed deviation, n below) from sums over n values; 0 without spread."""
    mean = total / n
    variance = squares / n - mean**2
    third = cubes / n - 3 * mean * squares / n + 2 * mean**3
    any_spread = variance > 1e-12 * mean**2
    return np.where(any_spread, third / np.where(any_spread, variance, 1) ** 1.5, 0)


def hedges_g(a: Moments, b: Moments) -> Array:
    """Standardised difference of means with Hedges' small-sample factor [col]; NaN without spread or freedom."""
    free = a.n + b.n - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = ((a.n - 1) * a.variance + (b.n - 1) * b.variance) / free
        exact = np.exp(special.gammaln(free / 2) - special.gammaln((free - 1) / 2)) / np.sqrt(free / 2)
        return np.where(pooled > 0, (a.mean - b.mean) / np.sqrt(pooled) * exact, np.nan)


def permutation_p(rng: np.random.Generator, a: Array, b: Array, n: int = PERMUTATIONS) -> Array:
    """Two-sided p [col] of the difference of means of a [prompt, col] and b [prompt, col], labels permuted; NaN under 2."""
    if min(len(a), len(b)) < 2:
        return np.full(a.shape[1], np.nan)
    both = np.concatenate([a, b]).astype(np.float32)
    # scaled by its own spread: differences of a column then keep their digits in float32
    scale = np.max(np.abs(both - both.mean(0)), axis=0)
    centred = (both - both.mean(0)) / np.where(scale > 0, scale, 1)
    n_a, n_all = len(a), len(both)
    weight = n_all / (n_a * len(b))  # times the sum over a of centred values: the difference of means
    observed = centred[:n_a].sum(0) * weight
    keys = rng.random((n, n_all), dtype=np.float32)
    chosen = (keys <= np.partition(keys, n_a - 1, axis=1)[:, n_a - 1 : n_a]).astype(np.float32)
    reached = np.sum(np.abs(chosen @ centred) * weight >= np.abs(observed) - 1e-5 * weight, axis=0)
    exact = centred.astype(np.float64)
    skew = skewness(n_all, *(np.sum(exact**power, axis=0) for power in (1, 2, 3)))
    tail = split_p(n_a, len(b), observed, centred.var(0, ddof=1), skew)
    counted = (1 + reached) / (1 + n)
    return np.where(reached < RARE, np.minimum(tail, counted * RARE), counted).clip(max=1)


def split_p(n_a: int, n_b: int, difference: Array, variance: Array, skew: Array) -> Array:
    """Two-sided p [col] of a difference of means among all splits of the prompts into n_a and n_b, by three moments.

    `variance` (n - 1 below) and `skew` are those of all n_a + n_b prompts. NaN under 2 prompts in a set.
    """
    n = n_a + n_b
    if min(n_a, n_b) < 2:
        return np.full(len(difference), np.nan)
    spread = np.sqrt(variance * n / (n_a * n_b))
    # of the mean of n_a values drawn without replacement from all; that of the difference is the same
    skew = skew * (n_b - n_a) * np.sqrt((n - 1) / (n_a * n_b)) / (n - 2)
    splits = special.gammaln(n + 1) - special.gammaln(n_a + 1) - special.gammaln(n_b + 1)
    return _tail(difference, spread, skew, np.exp(-splits))


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
    tail = _tail(observed, spread, np.zeros(len(observed)), 2.0 ** (1 - units))
    counted = (1 + reached) / (1 + n)
    return np.where(reached < RARE, np.minimum(tail, counted * RARE), counted).clip(max=1)


def _tail(observed: Array, spread: Array, skew: Array, least: float) -> Array:
    """Both tails [col] beyond +-observed of Pearson III with mean 0; never under `least`, the chance of one outcome alone."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, np.abs(observed) / spread, 0)
    both = stats.pearson3.sf(z, skew) + stats.pearson3.cdf(-z, skew)
    return np.clip(both, max(least, 1e-30), 1)


def adjusted(p: Array) -> Array:
    """Benjamini-Hochberg q-values of p [col]; NaN (not tested) stays and does not count."""
    q, known = np.full(len(p), np.nan), ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q
