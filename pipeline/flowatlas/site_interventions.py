"""Interventions in a site: what the page over the corpus reads in files of their own, what a prompt's page reads in buckets."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.intervention_store import Stored, stored
from flowatlas.schema_interventions import OF_PROMPTS
from flowatlas.site_data import RunReader, bare, encode
from flowatlas.site_stats import write_cut

FOLDER = "interventions"


def write_interventions(reader: RunReader, folder: Path, n: int) -> list[dict[str, Any]]:
    """Write `folder/interventions/<name>/` for each of a run; returns their markers with the files of each table.

    Tables of prompts are cut into buckets of n prompts. Raises RunError for one that cannot be read.
    """
    return [_write_one(reader, one, folder, n) for one in stored(reader)]


def _write_one(reader: RunReader, one: Stored, folder: Path, n: int) -> dict[str, Any]:
    place = f"{FOLDER}/{one.marker['folder']}"
    tables = {name: write_cut(one.read(name), folder, f"{place}/{name}", ("group",)) for name in ("summary", "largest")}
    for name in OF_PROMPTS:
        tables[name] = _write_buckets(reader, one, name, folder / place / name, n)
    kept = {name: value for name, value in one.marker.items() if name not in ("identity", "shards", "version", "files")}
    return kept | {"tables": tables}


def _write_buckets(reader: RunReader, one: Stored, name: str, folder: Path, n: int) -> dict[str, Any]:
    """Cut a table into buckets of n prompts, one shard in memory at a time; returns its entry of the index."""
    entry: dict[str, Any] = {"rows": 0, "bytes": 0, "buckets": []}
    part = lru_cache(1)(lambda shard: one.part(name, shard))
    for k in reader.buckets(n):
        pieces = [_between(part(shard), k * n, (k + 1) * n) for shard in _shards(reader, k * n, (k + 1) * n)]
        table = bare(pa.concat_tables(pieces))
        if table.num_rows:
            folder.mkdir(parents=True, exist_ok=True)
            data = encode(table.combine_chunks())
            (folder / f"bucket-{k}.parquet").write_bytes(data)
            entry["rows"] += table.num_rows
            entry["bytes"] += len(data)
            entry["buckets"].append(k)
    return entry


def _shards(reader: RunReader, first: int, stop: int) -> list[int]:
    """The done shards that have rows of prompts [first, stop)."""
    size = reader.plan.shard_size
    return [shard for shard in reader.shards if first < (shard + 1) * size and shard * size < stop]


def _between(table: pa.Table, first: int, stop: int) -> pa.Table:
    begin, end = np.searchsorted(table["prompt_id"].to_numpy(), [first, stop])
    return table.slice(begin, end - begin)
