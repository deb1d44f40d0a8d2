"""What routes leave out, layer by layer: edges under the floor, and the biases, which are no parts.

Quantiles come from counts in bins that are finest near 0, so that a run of any size needs the same memory and the same
shards give the same numbers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus

Columns = dict[str, Any]
QUANTILES = (5, 25, 50, 75, 95)
BINS = 2000  # of the square root: 0.001 wide at 1, 2.5e-7 at 0

# The measure of a node, and the nodes that have it.
_MEASURED = {
    "dropped_share": ("1 - stored_share", "reach_summed > 0 AND layer >= 0"),
    "bias_share": ("bias_share", "layer >= 0"),
}


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """The rows of `fidelity`, as (table, columns)."""
    for measure, (value, where) in _MEASURED.items():
        found = corpus.arrays(
            f"SELECT layer, point, least(floor(sqrt(value) * {BINS}), {BINS - 1})::INTEGER AS bin, count(*) AS n, "
            "sum(value) AS total, max(value) AS most "
            f"FROM (SELECT layer, point, greatest(({value})::DOUBLE, 0) AS value FROM nodes WHERE {where}) "
            "GROUP BY layer, point, bin ORDER BY layer, point, bin"
        )
        labels = list(zip(found["layer"].tolist(), found["point"].tolist(), strict=True))
        for label in dict.fromkeys(labels):
            mine = np.array([other == label for other in labels])
            yield "fidelity", _row(measure, label, {name: values[mine] for name, values in found.items()})


def _row(measure: str, label: tuple[int, str], bins: Columns) -> Columns:
    n = bins["n"].astype(int)
    row: Columns = {"measure": [measure], "layer": [label[0]], "point": [label[1]], "n": [n.sum()]}
    below, most = np.cumsum(n), float(bins["most"].max())
    row |= {"mean": [bins["total"].sum() / n.sum()], "most": [most]}
    for quantile in QUANTILES:
        bin_ = bins["bin"][np.searchsorted(below, quantile / 100 * n.sum())]
        row[f"q{quantile:02}"] = [min(((bin_ + 0.5) / BINS) ** 2, most)]
    return row
