"""Interventions in a site: what the page over the corpus reads in files of their own, what a prompt's page reads in buckets."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.intervention_store import Stored, stored
from flowatlas.schema_interventions import OF_PROMPTS
from flowatlas.site_data import RunReader, Vocabulary, bare, encode
from flowatlas.site_stats import write_cut

FOLDER = "interventions"
_TEXTS = {  # columns of ids, and the columns of texts that the page is given beside them
    "predictions": {
        "predicted_id_before": "predicted_before",
        "predicted_id_after": "predicted_after",
        "answer_id": "answer",
        "foil_id": "foil",
    },
    "lens": {"token_id": "token"},
}


def write_interventions(reader: RunReader, folder: Path, n: int) -> list[dict[str, Any]]:
    """Write `folder/interventions/<name>/` for each of a run; returns their markers with the files of each table.

    Tables of prompts are cut into buckets of n prompts. Raises RunError for one that cannot be read.
    """
    return [_write_one(reader, one, folder, n) for one in stored(reader)]


def _write_one(reader: RunReader, one: Stored, folder: Path, n: int) -> dict[str, Any]:
    place = f"{FOLDER}/{one.marker['folder']}"
    tables = {name: write_cut(one.read(name), folder, f"{place}/{name}", ("group",)) for name in ("summary", "largest")}
    for name in OF_PROMPTS:
        table = _with_texts(one.read(name), _TEXTS.get(name, {}), reader.vocabulary)
        tables[name] = _write_buckets(table, folder, f"{place}/{name}", n)
    kept = {name: value for name, value in one.marker.items() if name not in ("identity", "shards", "version")}
    return kept | {"tables": tables}


def _with_texts(table: pa.Table, texts: dict[str, str], vocabulary: Vocabulary) -> pa.Table:
    for ids, name in texts.items():
        found = [None if id_ is None else vocabulary.texts([id_])[0] for id_ in table[ids].to_pylist()]
        table = table.append_column(name, pa.array(found, pa.string()))
    return bare(table)


def _write_buckets(table: pa.Table, folder: Path, name: str, n: int) -> dict[str, Any]:
    """Cut a table sorted by prompt_id; returns its entry of the index."""
    ids = table["prompt_id"].to_numpy()
    entry: dict[str, Any] = {"rows": table.num_rows, "bytes": 0, "buckets": sorted(set((ids // n).tolist()))}
    for k in entry["buckets"]:
        begin, end = np.searchsorted(ids, [k * n, (k + 1) * n])
        data, path = encode(table.slice(begin, end - begin)), folder / name / f"bucket-{k}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        entry["bytes"] += len(data)
    return entry
