"""Effect against share over a corpus: what the removal of each head and MLP does, and whether shares rank them alike.

Two rank correlations, because they answer different questions. Over components: by their means over the prompts, is what
carries much also what is missed? Within a prompt: of the heads and MLPs removed there, are those of larger share missed more?
Both have intervals over prompts. What was never removed is in neither (docs/audit.md, "What is left out").
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus
from flowatlas.importance import spearman
from flowatlas.inference import correlation_interval, draw_units, estimate, ratios
from flowatlas.schema import REMOVALS
from flowatlas.schema_stats import SHARES, SIDES

Array = np.ndarray
Columns = dict[str, Any]
LEAST_PROMPTS = 5  # a mean over fewer has no place in a ranking
LEAST_RANKED = 3

_MEANS = ("effect", "size", "effect_logprob", "effect_gap", *SHARES, "direct_size")
_AGAINST = [(share, side) for share in SHARES for side in SIDES]
_SIDE_COLUMN = {"signed": "effect", "size": "size"}


def _share_column(share: str, side: str) -> str:
    """Direct effects have a sign of their own; shares have none."""
    return "direct_size" if (share, side) == ("direct", "size") else share


_REMOVED = """
CREATE TEMP TABLE removed AS
SELECT k.prompt_id, g, bin, removal, {code} AS c, k.effect_answer AS effect, abs(k.effect_answer) AS size,
    k.effect_logprob, k.effect_answer - k.effect_foil AS effect_gap, s.mean_share, s.target_share, k.route_tau,
    d.effect_answer AS direct, abs(d.effect_answer) AS direct_size
FROM knockouts k JOIN units USING (prompt_id)
JOIN components s USING (prompt_id, layer, component, index)
JOIN logit_effects d USING (prompt_id, target, layer, component, index)
"""

# Equal values share the mean of their ranks, as Spearman has it.
_RANK = """rank() OVER (PARTITION BY prompt_id, removal ORDER BY {column})
    + (count(*) OVER (PARTITION BY prompt_id, removal, {column}) - 1) / 2 AS {column}"""

_CORRELATION = """
    CASE WHEN min({x}) < max({x}) AND min({y}) < max({y}) THEN corr({x}, {y}) END AS {name}"""

_WITHIN = """
CREATE TEMP TABLE within_prompts AS
SELECT prompt_id, any_value(g) AS g, any_value(bin) AS bin, removal, {correlations}
FROM (SELECT prompt_id, g, bin, removal, {ranks} FROM removed) GROUP BY prompt_id, removal HAVING count(*) >= {least}
"""


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """The rows of `knockouts` and `agreement`, as (table, columns); none where the run removed nothing."""
    if not corpus.one("SELECT count(*) FROM knockouts")[0]:
        return
    parts = _prepare(corpus)
    for group, g in corpus.scopes():
        for removal in REMOVALS:
            scope = _Scope(corpus, parts, group, g, removal)
            if scope.any:
                yield "knockouts", scope.effects()
                yield "agreement", scope.agreement()


def _prepare(corpus: Corpus) -> Columns:
    """Make `removed` and `within_prompts`; returns the names of the parts by code `c`."""
    layers, heads = corpus.shape
    code = f"CASE component WHEN 'head' THEN layer * {heads} + index ELSE {layers * heads} + layer END"
    corpus.execute(_REMOVED.format(code=code))
    columns = dict.fromkeys([*_SIDE_COLUMN.values(), *(_share_column(*pair) for pair in _AGAINST)])
    ranks = ", ".join(_RANK.format(column=column) for column in columns)
    correlations = ", ".join(
        _CORRELATION.format(x=_share_column(share, side), y=_SIDE_COLUMN[side], name=f"{share}_{side}")
        for share, side in _AGAINST
    )
    corpus.execute(_WITHIN.format(ranks=ranks, correlations=correlations, least=LEAST_RANKED))
    one = np.zeros(layers, int)
    return {
        "component": np.repeat(["head", "mlp"], [layers * heads, layers]),
        "layer": np.concatenate([np.repeat(np.arange(layers), heads), np.arange(layers)]),
        "index": np.concatenate([np.tile(np.arange(heads), layers), one]),
    }


class _Scope:
    """The prompts of a group, or all, and one way of removing: sums by unit of drawing [unit, part] and [unit]."""

    def __init__(self, corpus: Corpus, parts: Columns, group: str | None, g: int | None, removal: str) -> None:
        self._labels: Columns = {"group": group, "removal": removal}
        self._parts = parts
        where = f"removal = '{removal}'" + ("" if g is None else f" AND g = {g}")
        sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in _MEANS)
        rows = corpus.arrays(
            f"SELECT bin, c, count(*) AS n, count(effect_gap) AS n_gap, {sums} FROM removed WHERE {where} GROUP BY bin, c"
        )
        self.any = len(rows["bin"]) > 0
        self._units = np.unique(rows["bin"])
        place = np.searchsorted(self._units, rows["bin"]), rows["c"]
        self._sums = {name: self._dense(place, rows[name]) for name in (*_MEANS, "n", "n_gap")}
        self._drawn = draw_units(corpus.rng("removals", group, removal), len(self._units))
        self._within = self._read_within(corpus, where)

    def _dense(self, place: tuple[Array, Array], values: Array) -> Array:
        dense = np.zeros((len(self._units), len(self._parts["layer"])))
        dense[place] = values
        return dense

    def _read_within(self, corpus: Corpus, where: str) -> dict[str, tuple[Array, Array]]:
        """By name of a pair: sums of the correlations within prompts and their numbers, each [unit]."""
        names = [f"{share}_{side}" for share, side in _AGAINST]
        columns = ", ".join(f"coalesce(sum({name}), 0) AS {name}, count({name}) AS n_{name}" for name in names)
        rows = corpus.arrays(f"SELECT bin, {columns} FROM within_prompts WHERE {where} GROUP BY bin")
        place = np.searchsorted(self._units, rows["bin"])
        found = {}
        for name in names:
            total, n = np.zeros(len(self._units)), np.zeros(len(self._units))
            total[place], n[place] = rows[name], rows[f"n_{name}"]
            found[name] = total, n
        return found

    def effects(self) -> Columns:
        """Rows of `knockouts`, of the parts that were removed at all."""
        there = self._sums["n"].sum(0) > 0
        n, n_gap = self._sums["n"][:, there], self._sums["n_gap"][:, there]
        columns: Columns = {name: np.repeat(label, there.sum()) for name, label in self._labels.items()}
        columns |= {name: values[there] for name, values in self._parts.items()} | {"expert": np.full(there.sum(), -1)}
        columns |= {"n": n.sum(0), "n_gap": n_gap.sum(0)}
        for name in _MEANS:
            sums = self._sums[name][:, there]
            if name in ("effect", "size", "effect_logprob", "effect_gap"):
                columns |= estimate(name, self._drawn, sums, n_gap if name == "effect_gap" else n)
            else:
                columns[name] = sums.sum(0) / n.sum(0)
        return columns

    def agreement(self) -> Columns:
        """Rows of `agreement`."""
        rows: defaultdict[str, list[Any]] = defaultdict(list)
        ranked = self._sums["n"].sum(0) >= LEAST_PROMPTS
        for share, side in _AGAINST:
            total, n = self._within[f"{share}_{side}"]
            within = estimate("within", self._drawn, total[:, None], n[:, None])
            row = {**self._labels, "measure": share, "side": side, "n_components": int(ranked.sum()), "n": int(n.sum())}
            row |= self._over_components(_share_column(share, side), _SIDE_COLUMN[side], ranked)
            for name, value in (row | {name: float(values[0]) for name, values in within.items()}).items():
                rows[name].append(value)
        return rows

    def _over_components(self, x: str, y: str, ranked: Array) -> Columns:
        """Spearman's of the means of two columns over the ranked parts, and its interval; NaN where there are too few."""
        names = ("rank_correlation", "rank_correlation_low", "rank_correlation_high")
        if ranked.sum() < LEAST_RANKED:
            return dict.fromkeys(names, np.nan)
        n, sums = self._sums["n"][:, ranked], [self._sums[name][:, ranked] for name in (x, y)]
        x_mean, y_mean = (total.sum(0) / n.sum(0) for total in sums)
        x_drawn, y_drawn = (ratios(self._drawn, total, n) for total in sums)
        found = spearman(x_mean, y_mean)
        low, high = correlation_interval(found, x_drawn, y_drawn, len(self._units))
        return dict(zip(names, (found, low, high), strict=True))
