"""What an intervention changes over the prompts of a run: means before and after with intervals, and the largest changes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from flowatlas.corpus import BINS, MOST_GROUPS, deal
from flowatlas.inference import change_of_proportion, draw_units, estimate, proportion
from flowatlas.schema_interventions import INTERVENTION_TABLES, MEASURED, SIDES

Array = np.ndarray
Columns = dict[str, list[Any]]
SHOWN = 20
_NUMBERS = tuple(
    column.name for column in INTERVENTION_TABLES["predictions"].columns if pa.types.is_primitive(column.type)
)
_STORED = ("answer_logprob", "answer_logit", "foil_logprob", "foil_logit")


def tables(intervention: str, predictions: Columns, seed: int) -> dict[str, Columns]:
    """Columns of `summary` and `largest`, from those of `predictions`: over all prompts, and over the largest groups."""
    found: dict[str, Columns] = {"summary": {}, "largest": {}}
    values = _values(predictions)
    groups = np.array(predictions["group"], object)
    sizes = Counter(group for group in predictions["group"] if group is not None)
    named = sorted(group for group, _ in sizes.most_common(MOST_GROUPS))
    for group in (None, *named):
        rows = np.arange(len(groups)) if group is None else np.flatnonzero(groups == group)
        rng = np.random.default_rng([seed, *b"intervention", *(group or "").encode()])
        for row in _summary(values, rows, rng):
            _add(found["summary"], {"intervention": intervention, "group": group, **row})
        for row in _largest(values, rows, predictions):
            _add(found["largest"], {"intervention": intervention, "group": group, **row})
    return {name: columns or _none(name) for name, columns in found.items()}


def _none(table: str) -> Columns:
    """Of a table without a row."""
    return {name: [] for name in INTERVENTION_TABLES[table].schema.names}


class _Measured(NamedTuple):
    """A measure of every prompt [prompt], NaN where it has none: before and after, where it has two sides, and the change."""

    before: Array | None
    after: Array | None
    change: Array


def _values(predictions: Columns) -> dict[str, _Measured]:
    columns = {name: np.array(predictions[name], float) for name in _NUMBERS}  # None is NaN
    own = np.array(predictions["answer_from"]) != "prediction"  # else it is what is predicted, and that says nothing
    sides = [
        {
            "accuracy": np.where(own, columns[f"answer_rank_{side}"] == 1, np.nan),
            **{name: columns[f"{name}_{side}"] for name in _STORED},
            "gap": columns[f"answer_logprob_{side}"] - columns[f"foil_logprob_{side}"],
        }
        for side in SIDES
    ]
    found = {name: _Measured(sides[0][name], sides[1][name], sides[1][name] - sides[0][name]) for name in sides[0]}
    flipped = columns["predicted_id_before"] != columns["predicted_id_after"]
    return found | {
        "kl": _Measured(None, None, columns["kl"]),
        "flipped": _Measured(None, None, flipped.astype(float)),
    }


def _summary(values: dict[str, _Measured], rows: Array, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    unit = deal(rng, len(rows), min(len(rows), BINS))
    drawn = draw_units(rng, int(unit.max()) + 1)
    for measure in MEASURED:
        before, after, change = (None if some is None else some[rows] for some in values[measure])
        assert change is not None
        known = ~np.isnan(change)
        if not known.any():
            continue
        if measure == "flipped":
            found = proportion("change", np.array([change.sum()]), len(change))
        elif measure == "accuracy":
            gained, lost = (np.array([np.sum(change == which)]) for which in (1, -1))
            found = change_of_proportion("change", gained, lost, int(known.sum()))
        else:
            sums, counts = (np.bincount(unit, some)[:, None] for some in (np.where(known, change, 0), known))
            found = estimate("change", drawn, sums, counts)
        yield {
            "measure": measure,
            "n": int(known.sum()),
            "before": None if before is None else float(before[known].mean()),
            "after": None if after is None else float(after[known].mean()),
            **{name: None if np.isnan(some[0]) else float(some[0]) for name, some in found.items()},
        }


def _largest(values: dict[str, _Measured], rows: Array, predictions: Columns) -> Iterator[dict[str, Any]]:
    """Prompts that change equally come by their divergence; one that does not change is none."""
    for measure in MEASURED:
        change, kl = (np.abs(values[name].change[rows]) for name in (measure, "kl"))
        order = rows[np.lexsort([-kl, -np.nan_to_num(change)])][: int(np.sum(change > 0))]
        for place, row in enumerate(order[:SHOWN].tolist(), 1):
            yield {
                "measure": measure,
                "place": place,
                "prompt_id": predictions["prompt_id"][row],
                "change": float(values[measure].change[row]),
                **{name: predictions[name][row] for name in ("answer", "predicted_before", "predicted_after")},
            }


def _add(columns: Columns, row: dict[str, Any]) -> None:
    for name, value in row.items():
        columns.setdefault(name, []).append(value)
