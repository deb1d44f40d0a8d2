"""Intervals and tests, against scipy, statsmodels, exact counts and simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from flowatlas import inference
from flowatlas.corpus import deal
from flowatlas.importance import spearman


def ends(values: np.ndarray, seed: int, counts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean of values [unit, col] (sums, where counts are given)."""
    counts = np.ones(len(values)) if counts is None else counts
    drawn = inference.draw_units(np.random.default_rng(seed), len(values))
    return inference.interval(inference.ratios(drawn, values, counts), len(values))


def coverage(draw, n: int, mean: float, bins: int | None = None, columns: int = 1500) -> float:
    """How often intervals from n draws hold the mean."""
    rng = np.random.default_rng(n)
    values, counts = draw(rng, (n, columns)), None
    if bins:
        place = deal(rng, n, bins)
        values = np.stack([values[place == k].sum(0) for k in range(bins)])
        counts = np.bincount(place)
    low, high = ends(values, 1, counts)
    return float(np.mean((low <= mean) & (mean <= high)))


@pytest.mark.parametrize(("n", "least"), [(5, 0.89), (12, 0.93), (40, 0.93), (200, 0.93)])
def test_intervals_hold_the_mean_of_normal_draws_as_often_as_they_say(n, least):
    assert least < coverage(lambda rng, shape: rng.normal(3, 1, shape), n, 3) < 0.97


@pytest.mark.parametrize(("n", "least"), [(12, 0.87), (40, 0.91), (400, 0.935)])
def test_intervals_of_skewed_draws_come_near(n, least):
    assert least < coverage(lambda rng, shape: rng.exponential(2, shape), n, 2) < 0.97


def test_bins_of_many_prompts_give_the_interval_of_the_prompts():
    draw = np.random.default_rng(0).exponential(1, (3000, 40))
    place = deal(np.random.default_rng(1), 3000, 300)
    binned = np.stack([draw[place == k].sum(0) for k in range(300)])
    one, other = ends(draw, 2), ends(binned, 3, np.bincount(place))
    widths = [np.mean(high - low) for low, high in (one, other)]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    assert coverage(lambda rng, shape: rng.exponential(2, shape), 2000, 2, bins=200) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("n", "least"), [(12, 0.9), (60, 0.92), (400, 0.94)])
def test_intervals_of_shares_when_active_come_near(n, least):
    """Each prompt is active or not by chance, and only those that are count: skewed shares above a threshold."""
    rng = np.random.default_rng(n)
    active, shares = rng.random((n, 1500)) < 0.4, 0.04 + rng.beta(2, 12, (n, 1500))
    sums = [np.where(active, shares**power, 0).sum(0) for power in (1, 2)]
    found = inference.students("share", inference.moments(active.sum(0), *sums))
    mean, several = 0.04 + 2 / 14, active.sum(0) > 1
    held = (found["share_low"] <= mean) & (mean <= found["share_high"])
    assert least < held[several].mean() < 0.97
    assert np.isnan(found["share_low"][~several]).all()


@pytest.mark.parametrize(
    ("correlation", "noise", "n"), [(0.0, 1.0, 40), (0.6, 1.0, 40), (0.95, 1.0, 40), (0.95, 0.5, 12)]
)
def test_intervals_of_rank_correlations_hold_that_of_the_true_means(correlation, noise, n):
    """Of 20 components whose means are known up to noise; a percentile interval alone would miss most near 1."""
    rng, held, below = np.random.default_rng(7), 0, 0
    for _ in range(80):
        x = rng.normal(0, 1, 20)
        y = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(0, 1, 20)
        seen = [true + noise * rng.normal(0, 1, (n, 20)) for true in (x, y)]
        drawn, ones = inference.draw_units(rng, n, 400), np.ones(n)
        x_drawn, y_drawn = (inference.ratios(drawn, values, ones) for values in seen)
        x_mean, y_mean = (values.mean(0) for values in seen)
        low, high = inference.correlation_interval(spearman(x_mean, y_mean), x_drawn, y_drawn, n)
        held += low <= spearman(x, y) <= high
        below += np.quantile(inference.rank_correlations(x_drawn.T, y_drawn.T), 0.975) < spearman(x, y)
    assert held >= 0.9 * 80
    assert correlation < 0.9 or below > 0.15 * 80


def test_rank_correlations_leave_out_what_is_not_known():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, (2, 4, 9))
    a[1, 3] = b[1, 5] = np.nan
    a[2] = 1
    a[3, 1:] = np.nan
    found = inference.rank_correlations(a, b)
    assert found[0] == pytest.approx(stats.spearmanr(a[0], b[0])[0])
    known = [0, 1, 2, 4, 6, 7, 8]
    assert found[1] == pytest.approx(stats.spearmanr(a[1, known], b[1, known])[0])
    assert np.isnan(found[2:]).all()


def test_no_interval_of_a_single_prompt():
    low, high = ends(np.ones((1, 2)), 0)
    assert np.isnan([low, high]).all()


def test_dealing_fills_bins_evenly_and_at_random():
    bins = deal(np.random.default_rng(0), 367, 20)
    assert set(np.bincount(bins, minlength=20)) == {18, 19}
    assert len(set(deal(np.random.default_rng(0), 20, 20))) == 20
    assert abs(np.corrcoef(bins, np.arange(367))[0, 1]) < 0.15


def test_label_permutation_agrees_with_all_splits():
    rng = np.random.default_rng(3)
    a, b = rng.exponential(1, (6, 12)), rng.exponential(1.8, (7, 12))
    exact = stats.permutation_test(
        (a, b), lambda x, y, axis: np.abs(x.mean(axis) - y.mean(axis)), vectorized=True, axis=0, n_resamples=10**9,
        alternative="greater",
    )  # fmt: skip
    found = inference.permutation_p(np.random.default_rng(0), a, b, 20_000)
    assert found == pytest.approx(exact.pvalue, abs=0.015)


def test_label_permutation_agrees_with_welch_where_that_holds():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, (300, 20)), rng.normal(np.linspace(0, 0.6, 20), 1, (300, 20))
    expected = np.array(stats.ttest_ind(a, b, equal_var=False))[1]
    found = inference.permutation_p(np.random.default_rng(0), a, b)
    assert np.log10(found) == pytest.approx(np.log10(expected), abs=0.2, rel=0.08)
    assert found.min() < 1e-9  # far beyond what 1999 permutations can count


def test_the_distribution_of_all_splits_is_what_permutations_count():
    """Skewed values, sets of other sizes: where some permutations reach the difference the two ways agree."""
    rng = np.random.default_rng(11)
    a, b = rng.exponential(1.2, (40, 30)), rng.exponential(1, (400, 30))
    both = np.concatenate([a, b])
    sums = [(both**power).sum(0) for power in (1, 2, 3)]
    variance, skew = inference.moments(np.full(30, 440), *sums[:2]).variance, inference.skewness(440, *sums)
    assert skew == pytest.approx(stats.skew(both, axis=0))
    found = inference.split_p(40, 400, a.mean(0) - b.mean(0), variance, skew)
    assert found == pytest.approx(inference.permutation_p(rng, a, b, 5000), abs=0.02)


def test_a_change_of_a_proportion_covers_the_truth():
    """Simulated: units of which a tenth is lost and a twentieth gained; where nothing changes the interval has a width."""
    rng = np.random.default_rng(0)
    for n in (20, 60, 400):
        cells = rng.multinomial(n, [0.6, 0.25, 0.1, 0.05], size=4000)
        found = inference.change_of_proportion("c", cells[:, 3], cells[:, 2], n)
        covered = np.mean((found["c_low"] <= -0.05) & (found["c_high"] >= -0.05))
        assert 0.93 < covered < 0.985, n
        assert np.allclose(found["c"], (cells[:, 3] - cells[:, 2]) / n)
    none = inference.change_of_proportion("c", np.zeros(1), np.zeros(1), 64)
    assert none["c"] == 0
    assert none["c_high"] == -none["c_low"] > 0.02
    assert np.isnan(inference.change_of_proportion("c", np.ones(1), np.zeros(1), 1)["c_low"]).all()


def test_frequencies_have_wilsons_interval():
    hits, n = np.array([0, 1, 7, 30, 30]), np.array([12, 12, 30, 30, 31])
    found = inference.proportion("f", hits, n)
    expected = proportion_confint(hits, n, method="wilson")
    assert found["f_low"] == pytest.approx(expected[0], abs=1e-12)
    assert found["f_high"] == pytest.approx(expected[1], abs=1e-12)
    assert (found["f_low"][0], found["f_high"][3]) == (0, 1)
    assert np.isnan([*inference.proportion("f", np.zeros(1), 0).values()]).all()
    assert np.isnan(inference.proportion("f", np.ones(1), 1)["f_low"]).all()


@pytest.mark.parametrize("p", [0.02, 0.3, 0.98])
def test_intervals_of_frequencies_hold_the_frequency(p):
    """Exactly: over all outcomes of 60 prompts, by their chance."""
    hits = np.arange(61)
    found = inference.proportion("f", hits, 60)
    held = (found["f_low"] <= p) & (p <= found["f_high"])
    assert 0.93 < stats.binom.pmf(hits, 60, p)[held].sum() < 0.98


def test_tails_of_rare_events_agree_with_the_hypergeometric_distribution():
    """Of 60 prompts 12 are active, all but one of them among 20: the exact chance of a split as uneven."""
    a, b = np.zeros((20, 1)), np.zeros((40, 1))
    a[:11], b[:1] = 1, 1
    exact = float(np.array(stats.fisher_exact([[11, 9], [1, 39]]))[1])
    found = inference.permutation_p(np.random.default_rng(0), a, b)[0]
    assert exact < 1e-5
    assert abs(np.log10(found / exact)) < 0.7


def test_p_values_without_a_difference_are_uniform():
    rng = np.random.default_rng(5)
    together = inference.permutation_p(rng, rng.exponential(1, (30, 400)), rng.exponential(1, (90, 400)))
    paired = inference.sign_flip_p(rng, rng.laplace(0, 1, (40, 400)))
    for p in (together, paired):
        assert stats.kstest(p, "uniform").pvalue > 0.01
        assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.035)


def test_sign_flips_agree_with_all_flips():
    rng = np.random.default_rng(6)
    differences = rng.normal(0.4, 1, (9, 15))
    exact = stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis), vectorized=True, axis=0, permutation_type="samples",
        n_resamples=10**9,
    )  # fmt: skip
    found = inference.sign_flip_p(np.random.default_rng(0), differences, 20_000)
    assert found == pytest.approx(exact.pvalue, abs=0.02)


def test_flips_of_many_pairs_agree_with_the_paired_t_test():
    rng = np.random.default_rng(7)
    differences = rng.normal(np.linspace(0, 0.5, 12), 1, (200, 12))
    expected = np.array(stats.ttest_1samp(differences, 0))[1]
    found = inference.sign_flip_p(np.random.default_rng(0), differences)
    assert np.log10(found) == pytest.approx(np.log10(expected), abs=0.2, rel=0.12)


def test_p_is_one_without_any_difference_and_missing_for_single_prompts():
    same = np.full((8, 2), 0.3)
    assert inference.permutation_p(np.random.default_rng(0), same, same).tolist() == [1, 1]
    assert inference.sign_flip_p(np.random.default_rng(0), same * 0).tolist() == [1, 1]
    assert np.isnan(inference.permutation_p(np.random.default_rng(0), same[:1], same)).all()
    assert np.isnan(inference.sign_flip_p(np.random.default_rng(0), same[:1])).all()


def test_q_values_are_those_of_statsmodels():
    p = np.random.default_rng(8).random(50) ** 2
    assert inference.adjusted(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    holed = np.array([0.01, np.nan, 0.04])
    assert inference.adjusted(holed) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


def test_standardised_effect_is_that_of_statsmodels():
    rng = np.random.default_rng(9)
    a, b = rng.normal(1, 2, (12, 3)), rng.normal(0, 1, (20, 3))
    moments = [inference.moments(np.full(3, len(x)), x.sum(0), (x**2).sum(0)) for x in (a, b)]
    expected, _ = effectsize_smd(a.mean(0), a.std(0, ddof=1), 12, b.mean(0), b.std(0, ddof=1), 20)
    assert inference.hedges_g(*moments) == pytest.approx(expected, rel=2e-3)  # they approximate the factor
    assert moments[0].variance == pytest.approx(a.var(0, ddof=1))


def test_rank_correlation_is_that_of_scipy():
    rng = np.random.default_rng(10)
    a, b = rng.integers(0, 6, 40), rng.integers(0, 6, 40)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert np.isnan(spearman(a, np.ones(40)))
