"""Prompts as their tables have them: their last target (none that the model wrote itself), and what each head
and MLP carries to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.component_names import Component
from flowatlas.schema import EDGE_KINDS
from flowatlas.target_routes import StoredEdges, Taus, of_targets

Array = np.ndarray


@dataclass(frozen=True)
class StoredPrompt:
    """A prompt at its last target, of those within the text as given. Heads are [layer, head], MLPs [layer].

    taus    as in `target_routes`
    shares  `mean_share`
    direct  direct effects on the answer's logit
    """

    prompt_id: int
    group: str | None
    token_ids: list[int]
    target: int
    answer_id: int
    foil_id: int | None
    taus: Taus
    shares: Taus
    direct: Taus

    def route_tau(self, component: Component) -> float:
        """Largest tau at which it is on the route of the target."""
        return float(_of(self.taus, component))

    def by_route(self) -> list[Component]:
        """All heads and MLPs, the largest route_tau first, then the largest share."""
        n_layers, n_heads = self.taus.heads.shape
        heads = [Component("head", layer, head) for layer in range(n_layers) for head in range(n_heads)]
        everything = [*heads, *(Component("mlp", layer) for layer in range(n_layers))]
        return sorted(everything, key=lambda one: (-_of(self.taus, one), -_of(self.shares, one)))


def _of(values: Taus, component: Component) -> float:
    layer = component.layer
    return values.heads[layer, component.index] if component.kind == "head" else values.mlps[layer]


def stored_prompts(tables: dict[str, pa.Table], n_layers: int, n_heads: int, parallel: bool) -> Iterator[StoredPrompt]:
    """The prompts of `prompts`, from the rows of `targets`, `generated`, `edges`, `components`, `logit_effects` about them."""
    last = _last_targets(given_targets(tables["targets"], tables["generated"]))
    prompts = tables["prompts"].select(["prompt_id", "group", "token_ids"]).to_pylist()
    ids = np.array([row["prompt_id"] for row in prompts], np.int64)
    targets = np.array([last[row["prompt_id"]]["target"] for row in prompts], np.int64)
    taus = of_targets(_edges(tables["edges"], ids), targets, n_layers, n_heads, parallel)
    shares = _dense(tables["components"], "mean_share", ids, n_layers, n_heads)
    direct = _dense(_at(tables["logit_effects"], ids, targets), "effect_answer", ids, n_layers, n_heads)
    for row, prompt in enumerate(prompts):
        at = last[prompt["prompt_id"]]
        yield StoredPrompt(
            **prompt, target=at["target"], answer_id=at["answer_id"], foil_id=at["foil_id"],
            taus=_row(taus, row), shares=_row(shares, row), direct=_row(direct, row),
        )  # fmt: skip


def given_targets(targets: pa.Table, generated: pa.Table) -> pa.Table:
    """Rows of `targets` but those at tokens that the model wrote: an answer is expected where the text as given ends."""
    if not generated.num_rows:
        return targets
    n_given = dict(zip(generated["prompt_id"].to_pylist(), generated["n_given"].to_pylist(), strict=True))
    ids, positions = targets["prompt_id"].to_pylist(), targets["target"].to_pylist()
    return targets.filter(pa.array([pos < n_given.get(id_, pos + 1) for id_, pos in zip(ids, positions, strict=True)]))


def _last_targets(targets: pa.Table) -> dict[int, dict[str, Any]]:
    last: dict[int, dict[str, Any]] = {}
    rows: list[Any] = targets.select(["prompt_id", "target", "answer_id", "foil_id"]).to_pylist()
    for row in rows:
        known = last.get(row["prompt_id"])
        if known is None or row["target"] >= known["target"]:
            last[row["prompt_id"]] = row
    return last


def _places(ids: Array, of: Array) -> Array:
    """Where in `ids` (each once) the ids `of` [row] stand."""
    order = np.argsort(ids)
    return order[np.searchsorted(ids, of, sorter=order)]


def _edges(table: pa.Table, ids: Array) -> StoredEdges:
    columns = {name: table[name].to_numpy() for name in ("layer", "dst", "src", "head", "share")}
    return StoredEdges(
        row=_places(ids, table["prompt_id"].to_numpy()), kind=_codes(table["kind"], EDGE_KINDS), **columns
    )


def _at(effects: pa.Table, ids: Array, targets: Array) -> pa.Table:
    """The effects at each prompt's target alone."""
    own = targets[_places(ids, effects["prompt_id"].to_numpy())]
    return effects.filter(pa.array(effects["target"].to_numpy() == own))


def _dense(table: pa.Table, column: str, ids: Array, n_layers: int, n_heads: int) -> Taus:
    """A column of heads and MLPs as [row, layer, head] and [row, layer]."""
    heads, mlps = (np.zeros((len(ids), n_layers, *more), np.float32) for more in ((n_heads,), ()))
    kinds = _codes(table["component"], ("head", "mlp"))
    row, layer = _places(ids, table["prompt_id"].to_numpy()), table["layer"].to_numpy()
    index, values = table["index"].to_numpy(), table[column].to_numpy()
    of_head, of_mlp = kinds == 0, kinds == 1
    heads[row[of_head], layer[of_head], index[of_head]] = values[of_head]
    mlps[row[of_mlp], layer[of_mlp]] = values[of_mlp]
    return Taus(heads, mlps)


def _codes(column: pa.ChunkedArray, categories: tuple[str, ...]) -> Array:
    """Place of each value in `categories`, -1 for another."""
    coded = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = coded if isinstance(coded, pa.DictionaryArray) else coded.dictionary_encode()
    places = [categories.index(word) if word in categories else -1 for word in coded.dictionary.to_pylist()]
    return np.array([*places, -1], np.int64)[coded.indices.to_numpy()]


def _row(values: Taus, row: int) -> Taus:
    return Taus(values.heads[row], values.mlps[row])
