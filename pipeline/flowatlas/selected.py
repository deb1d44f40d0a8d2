"""A run as a selection leaves it: the reader of its tables that sees only what was chosen."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.schema import TABLES
from flowatlas.selection import Selection, chosen_prompts
from flowatlas.site_data import RunReader, bare


class SelectedReader(RunReader):
    """The finished shards of a run, cut down to a selection. Raises RunError as RunReader, ConfigError for wrong SQL."""

    def __init__(self, run_dir: Path, selection: Selection) -> None:
        super().__init__(run_dir)
        self.selection = selection
        self._ids = None if selection.prompts is None else chosen_prompts(self, selection.prompts)

    @property
    def n_prompts(self) -> int:
        return super().n_prompts if self._ids is None else len(self._ids)

    @property
    def described(self) -> dict[str, Any] | None:
        """What the site says about the selection; None when it is the whole run."""
        if not self.selection:
            return None
        selection = self.selection
        sizes = {"n_prompts": super().n_prompts, "left_out": list(selection.left_out), "top_k": selection.top_k}
        return {"prompts": selection.prompts, **sizes}

    def has(self, table: str) -> bool:
        return table not in self.selection.left_out

    def shard(self, table: str, shard: int) -> pa.Table:
        return super().shard(table, shard) if self.has(table) else bare(TABLES[table].empty())

    def buckets(self, n: int) -> list[int]:
        return super().buckets(n) if self._ids is None else np.unique(self._ids // n).tolist()

    def kept(self, table: pa.Table, column: str = "prompt_id") -> pa.Table:
        if self._ids is None or column not in table.column_names:
            return table
        return table.filter(pa.array(np.isin(table[column].to_numpy(), self._ids)))

    def _cut(self, name: str, table: pa.Table) -> pa.Table:
        if name == "rejects":  # they say what became of the dataset, whatever is shown of it
            return table
        of = "neurons" if name == "dominant_neurons" else name
        k, table = self.selection.top_k.get(of), self.kept(table)
        if k is None:
            return table
        ranks = _ranks_of_neurons(table) if name == "neurons" else table["rank"].to_numpy()
        return table.filter(pa.array(ranks <= k))


def _ranks_of_neurons(neurons: pa.Table) -> np.ndarray:
    """Ranks by share, from 1, of the neurons of one MLP at one position [row]."""
    places = [neurons[name].to_numpy() for name in ("prompt_id", "layer", "pos")]
    order = np.lexsort([-neurons["share"].to_numpy(), *reversed(places)])
    new = np.zeros(len(order), bool)
    new[:1] = True
    for place in places:
        new[1:] |= np.diff(place[order]) != 0
    starts = np.flatnonzero(new)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order)))) + 1
    return ranks
