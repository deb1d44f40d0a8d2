"""From the trials of an audit to its curves: means over prompts, intervals, and tests of the route against its rivals.

Prompts are what is drawn and what is paired: several random sets of a prompt count as their mean. With whole and none the means
of a measure at both ends (everything in its place, everything at its mean),

    part = (value - none) / (whole - none)  of kept sets,     (whole - value) / (whole - none)  of removed ones

is a ratio of means over prompts, not a mean of ratios: a prompt whose ends are alike must not weigh without bound. There is
none where the ends themselves cannot be told apart.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from flowatlas.corpus import BINS, deal
from flowatlas.inference import adjusted, draw_units, estimate, interval, ratios, sign_flip_p
from flowatlas.schema_audit import CHOSEN, MEASURED, MODES

Array = np.ndarray
Columns = dict[str, Any]


class _Trials(NamedTuple):
    """Means over draws; values by measure [prompt, mode, chosen, tau], ends by measure [prompt], NaN without a foil."""

    taus: Array
    groups: Array
    values: dict[str, Array]
    whole: dict[str, Array]
    none: dict[str, Array]
    n_heads: Array
    n_mlps: Array


def curves(trials: pa.Table, ends: pa.Table, rng: np.random.Generator) -> Columns:
    """The columns of `curves`: of all prompts, then of each group."""
    found = _read(trials, ends)
    columns: defaultdict[str, list[Any]] = defaultdict(list)
    names = sorted({group for group in found.groups if group is not None})
    for group in (None, *names):
        mine = np.full(len(found.groups), True) if group is None else found.groups == group
        for measure in MEASURED:
            known = mine & ~np.isnan(found.whole[measure])
            if known.any():
                for name, values in _of_group(found, group, measure, known, rng).items():
                    columns[name].extend(values)
    return columns


def _read(trials: pa.Table, ends: pa.Table) -> _Trials:
    ids, row = np.unique(trials["prompt_id"].to_numpy(), return_inverse=True)
    taus, tau = np.unique(trials["tau"].to_numpy(), return_inverse=True)
    place = row, _codes(trials["mode"], MODES), _codes(trials["chosen"], CHOSEN), tau
    shape = len(ids), len(MODES), len(CHOSEN), len(taus)
    draws = _sum(shape, place, np.ones(len(row)))
    order = np.argsort(ends["prompt_id"].to_numpy())
    ends = ends.take(pa.array(order))
    return _Trials(
        taus,
        np.array(ends["group"].to_pylist(), object),
        {measure: _sum(shape, place, values) / draws for measure, values in _measures(trials, "").items()},
        _measures(ends, "_whole"),
        _measures(ends, "_none"),
        *(_sum(shape, place, trials[name].to_numpy()) / draws for name in ("n_heads", "n_mlps")),
    )


def _sum(shape: tuple[int, ...], place: tuple[Array, ...], values: Array) -> Array:
    total = np.zeros(shape)
    np.add.at(total, place, values)
    return total


def _measures(table: pa.Table, end: str) -> dict[str, Array]:
    """The columns MEASURED of a table [row]."""
    names = ("answer_logprob", "answer_logit", "foil_logit")
    logprob, logit, foil = (table[name + end].to_numpy().astype(np.float64) for name in names)
    return {"logprob": logprob, "logit": logit, "gap": logit - foil}


def _codes(column: pa.ChunkedArray, categories: tuple[str, ...]) -> Array:
    return np.array([categories.index(word) for word in column.to_pylist()])


def _of_group(found: _Trials, group: str | None, measure: str, known: Array, rng: np.random.Generator) -> Columns:
    """Rows of the known prompts [prompt], by mode, rule, threshold."""
    values = found.values[measure][known]
    n, *shape = values.shape
    whole, none = (ends[measure][known][:, None] for ends in (found.whole, found.none))
    scope = _Scope(rng, n)
    columns: Columns = {name: np.broadcast_to(names, shape).ravel() for name, names in _labels(found.taus).items()}
    columns |= {"group": [group] * values[0].size, "measure": [measure] * values[0].size, "n": [n] * values[0].size}
    columns |= {name: getattr(found, name)[known].mean(0).ravel() for name in ("n_heads", "n_mlps")}
    columns |= scope.mean("value", values.reshape(n, -1))
    gone = np.where(columns["mode"] == "keep", values.reshape(n, -1) - none, whole - values.reshape(n, -1))
    columns |= scope.part(gone, whole - none)
    return columns | _advantage(scope, values)


def _labels(taus: Array) -> dict[str, Array]:
    """Mode, rule and threshold, each to be spread over [mode, chosen, tau]."""
    return {"mode": np.array(MODES)[:, None, None], "chosen": np.array(CHOSEN)[:, None], "tau": taus}


class _Scope:
    """Prompts to draw from, dealt to units where they are many."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.rng, self._unit = rng, deal(rng, n, min(n, BINS))
        self._n = np.bincount(self._unit).astype(np.float64)
        self._drawn = draw_units(rng, len(self._n))

    def _sums(self, values: Array) -> Array:
        """values [prompt, col] by unit."""
        return _sum((len(self._n), values.shape[1]), (self._unit,), values)

    def mean(self, name: str, values: Array) -> Columns:
        """Mean of values [prompt, col] and its interval."""
        return estimate(name, self._drawn, self._sums(values), self._n)

    def part(self, gone: Array, way: Array) -> Columns:
        """gone [prompt, col] as a part of the whole way [prompt, 1]; NaN where the way may be none."""
        names = ("part", "part_low", "part_high")
        of_way = self.mean("way", way)
        if not (of_way["way_low"][0] > 0 or of_way["way_high"][0] < 0):
            return {name: np.full(gone.shape[1], np.nan) for name in names}
        sums, ways = self._sums(gone), self._sums(way)
        low, high = interval(ratios(self._drawn, sums, ways), len(self._n))
        return dict(zip(names, (gone.sum(0) / way.sum(), low, high), strict=True))


def _advantage(scope: _Scope, values: Array) -> Columns:
    """How much better the route does than each rule; values [prompt, mode, chosen, tau]. NaN for the route itself."""
    n, _, n_chosen, n_tau = values.shape
    better = values[:, :, CHOSEN.index("route"), None] - values
    better[:, MODES.index("remove")] *= -1  # what is missed more takes more away
    columns = scope.mean("advantage", better.reshape(n, -1))
    columns["p"] = sign_flip_p(scope.rng, better.reshape(n, -1))
    route = np.tile(np.repeat(np.array(CHOSEN) == "route", n_tau), len(MODES))
    for name in columns:
        columns[name] = np.where(route, np.nan, columns[name])
    tests = columns["p"].reshape(len(MODES), n_chosen * n_tau)
    return columns | {"q": np.concatenate([adjusted(of_mode) for of_mode in tests])}


def described(columns: Columns) -> Iterator[str]:
    """All prompts' curves of the answer's log probability in words, a line each."""
    rows = [
        {name: columns[name][i] for name in ("mode", "chosen", "tau", "part", "n_heads", "n_mlps")}
        for i in range(len(columns["tau"]))
        if columns["group"][i] is None and columns["measure"][i] == "logprob"
    ]
    words = {"keep": "what is there of the answer's log probability with only the set in its place",
             "remove": "what goes of it when only the set is at its mean"}  # fmt: skip
    for mode in MODES:
        yield f"{mode}: {words[mode]} (0 nothing, 1 all)"
        yield f"  {'tau':>6} {'heads':>6} {'MLPs':>5}  " + " ".join(f"{rule:>9}" for rule in CHOSEN)
        mine = [row for row in rows if row["mode"] == mode]
        for tau in dict.fromkeys(row["tau"] for row in mine):
            by_rule = {row["chosen"]: row for row in mine if row["tau"] == tau}
            parts = " ".join(_number(by_rule[rule]["part"]) for rule in CHOSEN)
            route = by_rule["route"]
            yield f"  {tau:6.3g} {route['n_heads']:6.1f} {route['n_mlps']:5.1f}  {parts}"


def _number(part: float | None) -> str:
    return f"{'-':>9}" if part is None else f"{part:9.2f}"
