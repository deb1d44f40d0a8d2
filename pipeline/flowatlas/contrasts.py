"""Contrasts: which components carry more in one set of prompts than in another, and is that more than chance?

Groups are compared with the rest and with each other by permuting the labels of prompts; roles of the same pairs (clean,
corrupt) by flipping signs of the differences.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from flowatlas.corpus import N_TAUS
from flowatlas.inference import Moments, adjusted, draw_units, hedges_g, interval, permutation_p, ratios, split_p
from flowatlas.sums import Family, Sums

Columns = dict[str, Any]
COMPARED_GROUPS = {"blocks": 12, "neurons": 6}  # the largest groups, of which each is compared with each
SPECIFIC_Q, SPECIFIC_FREQUENCY, SPECIFIC_TIMES = 0.05, 0.2, 5.0


def tables(family: Family) -> Iterator[tuple[str, Columns]]:
    """Rows of `contrasts` between groups, as (table, columns): each with the rest, then the largest two by two."""
    names = family.corpus.groups
    if not names:
        return
    every = family.all
    for g, name in enumerate(names):
        sums = family.group(g)
        if sums.n < every.n:
            yield "contrasts", compare(family, "rest", (name, sums), (None, every - sums))
    counts = dict(family.corpus.execute("SELECT g, count(*) FROM units GROUP BY g").fetchall())
    largest = sorted(sorted(range(len(names)), key=lambda g: -counts[g])[: COMPARED_GROUPS[family.name]])
    for a, b in combinations(largest, 2):
        yield "contrasts", compare(family, "groups", (names[a], family.group(a)), (names[b], family.group(b)))


def compare(family: Family, contrast: str, a: tuple[str | None, Sums], b: tuple[str | None, Sums]) -> Columns:
    """The rows of one contrast between two sets of other prompts: every measure, every component."""
    rng = family.corpus.rng("contrasts", family.name, contrast, a[0], b[0])
    there = a[1].units(), b[1].units()
    drawn = draw_units(rng, int(there[0].sum())), draw_units(rng, int(there[1].sum()))
    measures = list(family.compared)
    p = _tested(rng, measures, a[1], b[1])
    pieces = []
    for k, measure in enumerate(measures):
        of_a, of_b = a[1].moments(measure), b[1].moments(measure)
        replicates = [
            ratios(draw, sums.binned[measure][unit], sums.counts(measure)[unit])
            for draw, sums, unit in zip(drawn, (a[1], b[1]), there, strict=True)
        ]
        low, high = interval(replicates[0] - replicates[1], _freedom(of_a, of_b, *map(np.sum, there)) + 1)
        piece = {"measure": measure, "mean_a": of_a.mean, "mean_b": of_b.mean, "difference": of_a.mean - of_b.mean}
        piece |= {"difference_low": low, "difference_high": high, "standardised": hedges_g(of_a, of_b), "p": p[k]}
        pieces.append(piece)
    active = [np.stack([sums.totals[f"active{k}"] for k in range(N_TAUS)]) / sums.n for _, sums in (a, b)]
    head = {"contrast": contrast, "a": a[0], "b": b[0], "group": None, "n_a": a[1].n, "n_b": b[1].n}
    return assemble(family, head, pieces, active)


def _tested(rng: np.random.Generator, measures: Sequence[str], a: Sums, b: Sums) -> list[np.ndarray]:
    """p [part] by measure, all from the same permutations; NaN where a measure is not known in every prompt."""
    if max(a.prompts.max(), b.prompts.max()) > 1:  # bins of several prompts, which a permutation must not keep together
        found, both = [], a + b
        for measure in measures:
            difference = a.moments(measure).mean - b.moments(measure).mean
            found.append(split_p(a.n, b.n, difference, both.moments(measure).variance, both.skewness(measure)))
    else:
        values = [np.concatenate([sums.binned[name][sums.units()] for name in measures], axis=1) for sums in (a, b)]
        found = list(permutation_p(rng, values[0], values[1]).reshape(len(measures), -1))
    for k, measure in enumerate(measures):
        if measure == "effect":
            known = (a.totals["n_effect"] == a.n) & (b.totals["n_effect"] == b.n)
            found[k] = np.where(known, found[k], np.nan)
    return found


def _freedom(a: Moments, b: Moments, n_a: int, n_b: int) -> np.ndarray:
    """Welch's degrees of freedom of a difference of means; of the smaller set where there is no spread."""
    least = max(min(n_a, n_b) - 1, 0)
    if least == 0:
        return np.zeros(len(a.mean))
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = a.variance / a.n, b.variance / b.n
        found = (u + v) ** 2 / (u**2 / (a.n - 1) + v**2 / (b.n - 1))
    return np.where(np.isfinite(found), np.clip(found, least, n_a + n_b - 2), least)


def assemble(family: Family, head: Columns, pieces: list[Columns], active: list[np.ndarray]) -> Columns:
    """Rows of one contrast from a piece per measure; adds q and the flag. Components without a mean are left out.

    `active` has the frequencies in a and in b, [tau, part]; shown are those at the threshold where they differ most.
    """
    n = family.n_parts
    at = np.argmax(active[0] - active[1], axis=0), np.arange(n)
    rows: dict[str, Any] = {name: [value] * (n * len(pieces)) for name, value in head.items()}
    rows |= {name: np.tile(values, len(pieces)) for name, values in family.parts.items()}
    of_a, of_b = active[0][at], active[1][at]
    frequencies = {"tau": np.array(family.corpus.taus)[at[0]], "frequency_a": of_a, "frequency_b": of_b}
    specific = (of_a >= SPECIFIC_FREQUENCY) & (of_a >= SPECIFIC_TIMES * of_b)
    for piece in pieces:
        piece |= {"q": adjusted(piece["p"]), **frequencies, "measure": [piece["measure"]] * n}
        piece["specific"] = specific & (piece["q"] <= SPECIFIC_Q) & (piece["difference"] > 0)
    rows |= {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    known = ~np.isnan(rows["difference"])
    return {name: np.asarray(values, dtype=object if name in head else None)[known] for name, values in rows.items()}
