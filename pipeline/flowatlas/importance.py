"""Importance of components over a corpus: how much they carry, how often, and how sure that is.

Ferrando & Voita (2024) call a component important when it is often on routes at one threshold; here at five, with
the rank correlation between them, beside means that have no threshold.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.inference import draw_units, estimate, moments, proportion, rank_correlations, students
from flowatlas.sums import Family, Sums

Columns = dict[str, Any]
SHOWN = {"mean_share": "mean_share", "target_share": "target_share", "effect": "effect", "gap": "effect_gap"}


def tables(family: Family) -> Iterator[tuple[str, Columns]]:
    """The rows of `importance`, `activity` and `stability`, group by group, each as (table, columns)."""
    for group, sums in family.scopes():
        drawn = draw_units(family.corpus.rng("importance", family.name, group), int(sums.units().sum()))
        yield "importance", _importance(family, group, sums, drawn)
        activity = _activity(family, group, sums)
        yield "activity", activity
        yield "stability", _stability(family, group, activity["frequency"].reshape(-1, family.n_parts))


def labels(family: Family, group: str | None, repeats: int = 1) -> Columns:
    """The columns that say which component, `repeats` times over."""
    parts = {name: np.tile(values, repeats) for name, values in family.parts.items()}
    return {"group": [group] * (family.n_parts * repeats), **parts}


def _importance(family: Family, group: str | None, sums: Sums, drawn: np.ndarray) -> Columns:
    there = sums.units()
    columns = {**labels(family, group), "n": np.full(family.n_parts, sums.n), "n_stored": sums.totals["stored"]}
    for measure, name in SHOWN.items():
        columns |= estimate(name, drawn, sums.binned[measure][there], sums.counts(measure)[there])
        if measure in ("effect", "gap"):
            columns[f"n_{measure}"] = sums.totals[f"n_{measure}"]
    return columns


def _activity(family: Family, group: str | None, sums: Sums) -> Columns:
    taus = family.corpus.taus
    columns: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    for k in range(len(taus)):
        n_active = sums.totals[f"active{k}"]
        found = {"n_active": n_active, **proportion("frequency", n_active, sums.n)}
        found |= students("share_when_active", moments(n_active, sums.totals[f"when{k}"], sums.totals[f"when{k}_2"]))
        for name, values in found.items():
            columns[name].append(values)
    repeated = {"tau": np.repeat(taus, family.n_parts), "n": np.full(family.n_parts * len(taus), sums.n)}
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    return {**labels(family, group, len(taus)), **repeated, **joined}


def _stability(family: Family, group: str | None, frequency: np.ndarray) -> Columns:
    """`frequency` [tau, part]."""
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    taus = family.corpus.taus
    for component in np.unique(family.parts["component"]):
        own = frequency[:, family.parts["component"] == component]
        for a in range(len(taus)):
            for b in range(a + 1, len(taus)):
                row = {"group": group, "component": component, "tau_a": taus[a], "tau_b": taus[b]}
                row |= {"n_components": own.shape[1], "rank_correlation": spearman(own[a], own[b])}
                for name, value in row.items():
                    rows[name].append(value)
    return rows


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where one of the two has no order."""
    return float(rank_correlations(a[None], b[None])[0]) if len(a) > 1 else float("nan")
