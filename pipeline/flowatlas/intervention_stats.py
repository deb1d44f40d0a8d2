"""What an intervention changes over the prompts of a run: means before and after with intervals, and the largest changes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flowatlas.inference import draw_units, estimate
from flowatlas.schema_interventions import LARGEST, MEASURED

Array = np.ndarray
Columns = dict[str, list[Any]]
SHOWN = 20


def tables(predictions: dict[str, list[Any]], texts: Sequence[str], seed: int) -> dict[str, Columns]:
    """Columns of `summary` and `largest`, from those of `predictions` and the texts of all tokens."""
    found: dict[str, Columns] = {"summary": {}, "largest": {}}
    values = _values(predictions)
    groups = np.array(predictions["group"], object)
    named = sorted({group for group in predictions["group"] if group is not None})
    for group in (None, *named):
        rows = np.arange(len(groups)) if group is None else np.flatnonzero(groups == group)
        rng = np.random.default_rng([seed, *b"intervention", *(group or "").encode()])
        for row in _summary(values, rows, rng):
            _add(found["summary"], {"group": group, **row})
        for row in _largest(values, rows, predictions, texts):
            _add(found["largest"], {"group": group, **row})
    return found


def _values(predictions: dict[str, list[Any]]) -> dict[str, tuple[Array | None, Array | None, Array]]:
    """By measure: its value before, after, and the change, each [prompt]; NaN where a prompt has none."""
    columns = {name: np.array(values, float) for name, values in predictions.items() if name != "group"}  # None is NaN
    sides = {}
    for side in ("before", "after"):
        sides["accuracy", side] = (columns[f"answer_rank_{side}"] == 1).astype(float)
        sides["answer_logprob", side] = columns[f"answer_logprob_{side}"]
        sides["gap", side] = columns[f"answer_logprob_{side}"] - columns[f"foil_logprob_{side}"]
    found: dict[str, tuple[Array | None, Array | None, Array]] = {
        name: (sides[name, "before"], sides[name, "after"], sides[name, "after"] - sides[name, "before"])
        for name in ("accuracy", "answer_logprob", "gap")
    }
    found["kl"] = None, None, columns["kl"]
    found["flipped"] = None, None, (columns["predicted_id_before"] != columns["predicted_id_after"]).astype(float)
    return found


def _summary(values: dict[str, Any], rows: Array, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    drawn = draw_units(rng, len(rows))
    for measure in MEASURED:
        before, after, change = (None if some is None else some[rows] for some in values[measure])
        known = ~np.isnan(change)
        if not known.any():
            continue
        found = estimate("change", drawn, np.where(known, change, 0)[:, None], known[:, None].astype(float))
        ends = {"before": before, "after": after}
        yield {
            "measure": measure,
            "n": int(known.sum()),
            **{name: None if some is None else float(some[known].mean()) for name, some in ends.items()},
            **{name: None if np.isnan(some[0]) else float(some[0]) for name, some in found.items()},
        }


def _largest(
    values: dict[str, Any], rows: Array, predictions: dict[str, list[Any]], texts: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for measure in LARGEST:
        change = values[measure][2][rows]
        known = rows[~np.isnan(change)]
        order = known[np.argsort(-np.abs(values[measure][2][known]), kind="stable")]
        for place, row in enumerate(order[:SHOWN].tolist(), 1):
            yield {
                "measure": measure,
                "place": place,
                "prompt_id": predictions["prompt_id"][row],
                "change": float(values[measure][2][row]),
                **{
                    f"predicted_{side}": texts[predictions[f"predicted_id_{side}"][row]] for side in ("before", "after")
                },
            }


def _add(columns: Columns, row: dict[str, Any]) -> None:
    for name, value in row.items():
        columns.setdefault(name, []).append(value)
