"""Interventions in a site: what the page over the corpus reads in files of their own, what a prompt's page reads in buckets."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.intervention_store import Stored, stored
from flowatlas.schema_interventions import INTERVENTION_TABLES, OF_PROMPTS
from flowatlas.site_data import RunReader, bare
from flowatlas.site_stats import write_cut

FOLDER = "interventions"
_OURS = ("identity", "shards", "version", "files", "seconds")  # of a marker, nothing to a reader of the page


class SiteInterventions:
    """The interventions of a run on their way into its folder of a site, in buckets of n prompts."""

    def __init__(self, reader: RunReader, n: int) -> None:
        self.stored = list(stored(reader)) if reader.has(FOLDER) else []
        self._reader, self._n = reader, n
        self._part = lru_cache(len(self.stored) * len(OF_PROMPTS))(
            lambda one, name, shard: self.stored[one].part(name, shard)
        )

    @property
    def places(self) -> dict[str, tuple[int, str]]:
        """By folder of a table's buckets, whose it is, counted from 0, and the table."""
        named = enumerate(self.stored)
        return {f"{FOLDER}/{one.marker['folder']}/{name}": (i, name) for i, one in named for name in OF_PROMPTS}

    def write_whole(self, folder: Path) -> list[dict[str, Any]]:
        """Write what is over all prompts into a run's folder; returns markers with the files of these tables.

        Raises RunError for one that cannot be read.
        """
        return [self._write_whole(one, folder) for one in self.stored]

    def bucket(self, k: int) -> dict[str, pa.Table]:
        """The rows of bucket k, by `places`. Raises RunError for what cannot be read."""
        return {place: self._rows(one, name, k) for place, (one, name) in self.places.items()}

    def _write_whole(self, one: Stored, folder: Path) -> dict[str, Any]:
        place = f"{FOLDER}/{one.marker['folder']}"
        tables = {
            name: write_cut(self._reader.kept(one.read(name)), folder, f"{place}/{name}", ("group",))
            for name in INTERVENTION_TABLES
            if name not in OF_PROMPTS
        }
        return {name: value for name, value in one.marker.items() if name not in _OURS} | {"tables": tables}

    def _rows(self, one: int, name: str, k: int) -> pa.Table:
        first, stop, size = k * self._n, (k + 1) * self._n, self._reader.plan.shard_size
        pieces = [INTERVENTION_TABLES[name].empty()]
        for shard in self._reader.shards:
            if shard * size < stop and first < (shard + 1) * size:
                table = self._part(one, name, shard)
                begin, end = np.searchsorted(table["prompt_id"].to_numpy(), [first, stop])
                pieces.append(table.slice(begin, end - begin))
        return bare(self._reader.kept(pa.concat_tables(pieces)).combine_chunks())
