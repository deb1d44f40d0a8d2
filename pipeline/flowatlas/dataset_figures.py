"""The dataset's own figures: how long its prompts are, and how well the model predicts their answers, group by group."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus
from flowatlas.inference import draw_units, estimate, proportion

Columns = dict[str, Any]
Array = np.ndarray
LENGTH_BINS, PROB_BINS = 30, 20
RANK_EDGES = (1, 2, 3, 6, 11, 101, np.inf)

# An answer that is the model's own prediction (no answer was given, and nothing follows) says nothing of the model.
_ANSWERS = """
CREATE TEMP TABLE answered AS
SELECT g, bin, n_tokens, given, given AND foil_id IS NOT NULL AS contrasted, answer_prob, answer_rank, foil_prob
FROM (SELECT *, answer_from <> 'prediction' AS given FROM targets) JOIN ends USING (prompt_id, target)
JOIN units USING (prompt_id)
"""

_BINNED = """
SELECT g, bin, count(*) AS n, count_if(given) AS n_answers, count_if(contrasted) AS n_foils,
    count_if(given AND answer_rank = 1) AS accuracy, coalesce(sum(answer_prob::DOUBLE) FILTER (given), 0) AS answer_prob,
    count_if(contrasted AND answer_prob > foil_prob) AS preferred
FROM answered GROUP BY g, bin
"""

_PAIRED = """
SELECT g, count(*) AS n FROM (
    SELECT {g} AS g, pair_id FROM prompts JOIN units USING (prompt_id) WHERE pair_id IS NOT NULL
    GROUP BY ALL HAVING count(DISTINCT role) > 1
) GROUP BY g
"""

# Counts by group and value, for quantiles and histograms. Probabilities are cut into bins here, the others are whole numbers.
_COUNTED = {
    "n_tokens": "SELECT g, n_tokens AS value, count(*) AS n FROM answered GROUP BY ALL",
    "answer_prob": f"SELECT g, least(floor(answer_prob * {PROB_BINS}), {PROB_BINS - 1}) / {PROB_BINS}::DOUBLE AS value, "
    "count(*) AS n FROM answered WHERE given GROUP BY ALL",
    "answer_rank": "SELECT g, answer_rank AS value, count(*) AS n FROM answered WHERE given GROUP BY ALL",
}


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """The rows of `dataset` and `histograms`, as (table, columns)."""
    corpus.execute(_ANSWERS)
    counted = {quantity: corpus.arrays(sql) for quantity, sql in _COUNTED.items()}
    pairs = {g: n for by in ("NULL", "g") for g, n in corpus.execute(_PAIRED.format(g=by)).fetchall()}
    binned, rows = corpus.arrays(_BINNED), defaultdict(list)
    for group, g in corpus.scopes():
        mine = binned["g"] == g if g is not None else np.ones(len(binned["g"]), bool)
        row = {"group": group, "n": int(binned["n"][mine].sum()), "n_pairs": pairs.get(g, 0)}
        row |= _lengths(*_values(counted["n_tokens"], g))
        row |= _scores(corpus, group, {name: values[mine] for name, values in binned.items()})
        for name, value in row.items():
            rows[name].append(value)
    yield "dataset", rows
    yield "histograms", _histograms(corpus, counted)


def _values(counted: Columns, g: int | None) -> tuple[Array, Array]:
    """Values and how often each is there, of one group (None: all)."""
    mine = counted["g"] == g if g is not None else slice(None)
    return counted["value"][mine].astype(float), counted["n"][mine].astype(int)


def _lengths(values: Array, n: Array) -> Columns:
    order = np.argsort(values, kind="stable")
    median = values[order][np.searchsorted(np.cumsum(n[order]), n.sum() / 2)]
    mean = float(np.average(values, weights=n))
    return {"tokens_least": values.min(), "tokens_mean": mean, "tokens_median": median, "tokens_most": values.max()}


def _scores(corpus: Corpus, group: str | None, binned: Columns) -> Columns:
    """Means and intervals over the units of drawing (the rows of several groups may be of one unit)."""
    units, unit = np.unique(binned["bin"], return_inverse=True)
    prob, answers = (np.bincount(unit, binned[name].astype(float))[:, None] for name in ("answer_prob", "n_answers"))
    n_answers, n_foils = np.array([binned["n_answers"].sum()]), np.array([binned["n_foils"].sum()])
    found = {"n_answers": n_answers, "n_foils": n_foils}
    found |= estimate("answer_prob", draw_units(corpus.rng("dataset", group), len(units)), prob, answers)
    found |= proportion("accuracy", binned["accuracy"].sum(), n_answers)
    found |= proportion("preferred", binned["preferred"].sum(), n_foils)
    return {name: values.item() for name, values in found.items()}


def _histograms(corpus: Corpus, counted: dict[str, Columns]) -> Columns:
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    for quantity, of_all in counted.items():
        edges = _edges(quantity, of_all["value"])
        for group, g in corpus.scopes() if len(of_all["value"]) else ():
            values, n = _values(of_all, g)
            place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
            rows["n"] += np.bincount(place, n, len(edges) - 1).tolist()
            rows["low"] += edges[:-1].tolist()
            rows["high"] += [None if np.isinf(edge) else edge for edge in edges[1:]]
            rows["quantity"] += [quantity] * (len(edges) - 1)
            rows["group"] += [group] * (len(edges) - 1)
    return rows


def _edges(quantity: str, values: Array) -> Array:
    """Where the bins begin and end; those of lengths are whole tokens wide."""
    if quantity == "answer_rank":
        return np.array(RANK_EDGES)
    if quantity == "answer_prob":
        return np.arange(PROB_BINS + 1) / PROB_BINS
    least, most = int(values.min()), int(values.max())
    width = -(-(most + 1 - least) // LENGTH_BINS)
    return np.arange(least, most + 1 + width, width, dtype=float)
