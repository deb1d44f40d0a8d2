"""Sums over prompts of what each component carried, by group and bin: all that means, intervals and tests need.

A *family* is a list of components that are treated alike: `blocks` (heads, MLPs, attention blocks) or `neurons`. Axes: `bin`
(units of drawing, see corpus), `part` (a component of the family).
"""

import dataclasses
from collections.abc import Iterator
from functools import cached_property, lru_cache, reduce

import numpy as np

from flowatlas.corpus import Corpus, peak
from flowatlas.inference import Moments, moments, skewness

Array = np.ndarray
MEASURED = ("mean_share", "target_share", "effect", "gap")
CACHED_GROUPS = 12  # 36 MB each for the neurons
KEPT_OVERALL, KEPT_PER_GROUP, KEPT_IN_GROUPS = 1000, 200, 2000  # listed neurons: overall, of a group, of all groups


@dataclasses.dataclass(frozen=True)
class Sums:
    """Of one set of prompts: `prompts` [bin] counts them, `binned` [bin, part] and `totals` [part] are sums by name."""

    prompts: Array
    binned: dict[str, Array]
    totals: dict[str, Array]

    @property
    def n(self) -> int:
        return int(self.prompts.sum())

    def __add__(self, other: "Sums") -> "Sums":
        return self._with(other, np.add)

    def __sub__(self, other: "Sums") -> "Sums":
        return self._with(other, np.subtract)

    def _with(self, other: "Sums", do: np.ufunc) -> "Sums":
        binned = {name: do(values, other.binned[name]) for name, values in self.binned.items()}
        totals = {name: do(values, other.totals[name]) for name, values in self.totals.items()}
        return Sums(do(self.prompts, other.prompts), binned, totals)

    def units(self) -> Array:
        """Where a bin holds a prompt: [bin] of bool."""
        return self.prompts > 0

    def counts(self, measure: str) -> Array:
        """Prompts behind a measure: [bin, part], or [bin] where it is known in every prompt."""
        return self.binned[f"n_{measure}"] if measure in ("effect", "gap") else self.prompts

    def moments(self, measure: str) -> Moments:
        """Over prompts, by part."""
        n = self.totals.get(f"n_{measure}", np.full(len(self.totals[measure]), self.n))
        return moments(n, self.totals[measure], self.totals[f"{measure}_2"])

    def skewness(self, measure: str) -> Array:
        """Over prompts, by part, of a measure that is known in every prompt."""
        return skewness(self.n, *(self.totals[name] for name in (measure, f"{measure}_2", f"{measure}_3")))


class Family:
    """Components that are treated alike, and their sums in a table `<name>_sums` of the corpus."""

    def __init__(self, corpus: Corpus, name: str, parts: dict[str, Array]) -> None:
        self.corpus, self.name, self.parts = corpus, name, parts
        self.n_parts = len(parts["layer"])
        self.n_bins = int(corpus.one("SELECT coalesce(max(bin) + 1, 0) FROM units")[0])
        # The effect of a neuron is known where it is stored at the target: other prompts in each set, so no contrast of them.
        self.compared = MEASURED[:3] if name == "blocks" else MEASURED[:2]
        self.group = lru_cache(maxsize=CACHED_GROUPS)(self._group)  # asked for again by each statistic

    def _group(self, g: int) -> Sums:
        """The sums of the prompts of one group."""
        count = self.corpus.arrays("SELECT bin, count(*) AS n FROM units WHERE g = ? GROUP BY bin", [g])
        prompts = np.zeros(self.n_bins)
        prompts[count["bin"]] = count["n"]
        binned, totals = self._read(f"{self.name}_sums", g, SHARE_BINNED, SHARE_TOTALS)
        more = self._read(f"{self.name}_effects", g, EFFECT_BINNED, EFFECT_TOTALS)
        return Sums(prompts, binned | more[0], totals | more[1])

    def _read(
        self, table: str, g: int, binned: tuple[str, ...], only_totals: tuple[str, ...]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        rows = self.corpus.arrays(f"SELECT bin, c, {', '.join(binned)} FROM {table} WHERE g = ?", [g])
        dense = {name: np.zeros((self.n_bins, self.n_parts), np.float32) for name in binned}
        for name, array in dense.items():
            array[rows["bin"], rows["c"]] = rows[name]
        names = (*binned, *only_totals)
        sums = ", ".join(f"sum({name}) AS {name}" for name in names)
        rows = self.corpus.arrays(f"SELECT c, {sums} FROM {table} WHERE g = ? GROUP BY c", [g])
        totals = {name: np.zeros(self.n_parts) for name in names}
        for name, array in totals.items():
            array[rows["c"]] = rows[name]
        return dense, totals

    @cached_property
    def all(self) -> Sums:
        """The sums of all prompts."""
        return reduce(lambda one, other: one + other, map(self.group, self.corpus.codes))

    def scopes(self) -> Iterator[tuple[str | None, Sums]]:
        """All prompts (None), then group by group."""
        yield None, self.all
        for g, name in enumerate(self.corpus.groups):
            yield name, self.group(g)


def _powers(name: str) -> tuple[str, str]:
    """Columns of the sums of squares and cubes."""
    return f"{name}_2", f"{name}_3"


_ACTIVE = tuple(f"active{k}" for k in range(5))
_WHEN = tuple(f"when{k}{power}" for k in range(5) for power in ("", "_2"))  # sums and sums of squares
SHARE_BINNED = ("mean_share", "target_share")
SHARE_TOTALS = (*_powers("mean_share"), *_powers("target_share"), "stored", *_ACTIVE, *_WHEN)
EFFECT_BINNED = ("effect", "gap", "n_effect", "n_gap")
EFFECT_TOTALS = (*_powers("effect"), *_powers("gap"))


def _power_sums(name: str) -> list[str]:
    squared = f"{name}::DOUBLE * {name}"
    return [f"coalesce(sum({squared}), 0) AS {name}_2", f"coalesce(sum({squared} * {name}), 0) AS {name}_3"]


def share_columns(taus: list[float]) -> str:
    """The aggregates over rows (mean_share, target_share, route_tau) of prompts, as SQL."""
    columns = ["count_if(route_tau > 0) AS stored"]
    for name in MEASURED[:2]:
        columns += [f"sum({name}::DOUBLE) AS {name}", *_power_sums(name)]
    for k, tau in enumerate(taus):
        active = f"route_tau > {tau}::FLOAT"
        columns += [f"count_if({active}) AS active{k}"]
        columns += [f"coalesce(sum(mean_share::DOUBLE) FILTER ({active}), 0) AS when{k}"]
        columns += [f"coalesce(sum(mean_share::DOUBLE * mean_share) FILTER ({active}), 0) AS when{k}_2"]
    return ", ".join(columns)


def blocks(corpus: Corpus) -> Family:
    """Heads, MLPs and attention blocks; makes the views `blocks_values` (prompt_id, c, ...) and `blocks_effect_values`."""
    layers, heads = corpus.shape
    head, mlp, attn = f"layer * {heads} + index", f"{layers * heads} + layer", f"{layers * heads + layers} + layer"
    kinds = f"CASE component WHEN 'head' THEN {head} ELSE {mlp} END AS c"
    corpus.execute(
        f"CREATE VIEW blocks_values AS SELECT prompt_id, {kinds}, mean_share, target_share, route_tau FROM components "
        f"WHERE component IN ('head', 'mlp') UNION ALL SELECT prompt_id, {attn}, sum(mean_share), sum(target_share), "
        "max(route_tau) FROM components WHERE component = 'head' GROUP BY prompt_id, layer"
    )
    effects = "FROM logit_effects JOIN ends USING (prompt_id, target)"
    corpus.execute(
        f"CREATE VIEW blocks_effect_values AS SELECT prompt_id, {kinds}, effect_answer AS effect, "
        f"effect_answer - effect_foil AS gap {effects} WHERE component IN ('head', 'mlp') "
        f"UNION ALL SELECT prompt_id, {attn}, sum(effect_answer), sum(effect_answer - effect_foil) {effects} "
        "WHERE component = 'head' GROUP BY prompt_id, layer"
    )
    _sum_shares(corpus, "blocks")
    _sum_effects(corpus, "blocks")
    layer, one = np.arange(layers), np.zeros(layers, int)
    parts = {
        "component": np.repeat(["head", "mlp", "attn"], [layers * heads, layers, layers]),
        "layer": np.concatenate([np.repeat(layer, heads), layer, layer]),
        "index": np.concatenate([np.tile(np.arange(heads), layers), one, one]),
    }
    corpus.register("block_parts", {"c": np.arange(len(parts["layer"])), **parts})
    return Family(corpus, "blocks", {**parts, "expert": np.full(len(parts["layer"]), -1)})


_RANKS = """
CREATE TEMP TABLE neuron_ranks AS
SELECT g, layer, expert, neuron, sum(share / n_tokens) AS total
FROM neurons JOIN units USING (prompt_id) JOIN ends USING (prompt_id) GROUP BY g, layer, expert, neuron
"""

_ORDER = "ORDER BY total DESC, layer, expert, neuron"

_KEPT = """
CREATE TEMP TABLE kept AS
SELECT (row_number() OVER (ORDER BY layer, expert, neuron) - 1)::INTEGER AS c, layer, expert, neuron
FROM (
    SELECT layer, expert, neuron FROM (
        SELECT layer, expert, neuron, sum(total) AS total FROM neuron_ranks GROUP BY layer, expert, neuron
        {order} LIMIT {overall}
    ) UNION SELECT layer, expert, neuron FROM neuron_ranks
    QUALIFY row_number() OVER (PARTITION BY g {order}) <= {per_group}
)
"""

_NEURONS = f"""
CREATE TEMP TABLE neurons_values AS
SELECT prompt_id, c, (sum(share) / any_value(n_tokens))::FLOAT AS mean_share,
    coalesce(max(share) FILTER (pos = ends.target), 0)::FLOAT AS target_share,
    max(least(share, reach_per_head)) AS route_tau, max({peak("pos", "pos")}) AS peak
FROM neurons JOIN kept USING (layer, expert, neuron) JOIN ends USING (prompt_id)
JOIN (SELECT prompt_id, layer, pos, reach_per_head FROM nodes WHERE point = 'post') USING (prompt_id, layer, pos)
GROUP BY prompt_id, c
"""


def neurons(corpus: Corpus) -> Family:
    """The neurons that carry most, overall or in a group; makes `neurons_values` (prompt_id, c, ..., peak) of these."""
    per_group = min(KEPT_PER_GROUP, max(1, KEPT_IN_GROUPS // max(1, len(corpus.groups))))
    for sql in (_RANKS, _KEPT.format(order=_ORDER, overall=KEPT_OVERALL, per_group=per_group), _NEURONS):
        corpus.execute(sql)
    corpus.execute(
        "CREATE VIEW neurons_effect_values AS SELECT prompt_id, c, effect_answer AS effect, "
        "effect_answer - effect_foil AS gap FROM neuron_effects JOIN kept USING (layer, expert, neuron) "
        "JOIN ends USING (prompt_id, target)"
    )
    _sum_shares(corpus, "neurons")
    _sum_effects(corpus, "neurons")
    found = corpus.arrays("SELECT layer, expert, neuron AS index FROM kept ORDER BY c")
    return Family(corpus, "neurons", {"component": np.repeat(["neuron"], len(found["layer"])), **found})


def _sum_shares(corpus: Corpus, name: str) -> None:
    corpus.execute(
        f"CREATE TEMP TABLE {name}_sums AS SELECT g, bin, c, {share_columns(corpus.taus)} "
        f"FROM {name}_values JOIN units USING (prompt_id) GROUP BY g, bin, c"
    )


def _sum_effects(corpus: Corpus, name: str) -> None:
    columns = ", ".join(
        f"coalesce(sum({m}::DOUBLE), 0) AS {m}, {', '.join(_power_sums(m))}, count({m}) AS n_{m}" for m in MEASURED[2:]
    )
    corpus.execute(
        f"CREATE TEMP TABLE {name}_effects AS SELECT g, bin, c, {columns} "
        f"FROM {name}_effect_values JOIN units USING (prompt_id) GROUP BY g, bin, c"
    )
