"""An atlas of a vocabulary on disk: what makes it whole, where its parts lie, how it comes into a run.

Tables are folders of Parquet parts. Nothing here needs the model's libraries: a site and an audit only read.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas import written
from flowatlas.files import read_json, remove, remove_stale, swap_folder, temporary_path, unfinished
from flowatlas.schema_vocab import VOCAB_TABLES, VOCAB_VERSION

FOLDER, MARKER = "vocab", "vocab.json"


def marker_of(folder: Path) -> dict[str, Any] | None:
    """What `vocab.json` says; None when the folder holds no whole atlas of this version."""
    try:
        marker = read_json(folder / MARKER)
        whole = all(
            (folder / table / part).stat().st_size == entry["bytes"]
            for table in VOCAB_TABLES
            for part, entry in marker["tables"][table].items()
        )
        return marker if whole and marker["vocab_version"] == VOCAB_VERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def require(folder: Path, marker: dict[str, Any], again: str) -> None:
    """Hold every part of an atlas against its marker. Raises RunError, which says `again`, for one that is another."""
    for table in VOCAB_TABLES:
        for part, entry in marker["tables"][table].items():
            written.require(folder / table / part, entry.get("sha256"), again)


def clustering_of(run_dir: Path) -> dict[str, Any]:
    """What tells the clusters of a run's atlas from others, for `names_file.read_names`; empty where it has none."""
    folder = run_dir / FOLDER
    marker = marker_of(folder)
    if marker is None or not marker["n_neurons"]:
        return {}
    return _clustering(folder)


def _clustering(folder: Path) -> dict[str, Any]:
    """`clustering`: hash of which cluster each neuron is in; `n_clusters`."""
    parts = [pq.read_table(part, columns=["cluster"]) for part in sorted((folder / "neurons").glob("part-*.parquet"))]
    cluster = pa.concat_tables(parts)["cluster"].to_numpy()
    return {"clustering": hashlib.sha256(cluster.tobytes()).hexdigest()[:12], "n_clusters": int(cluster.max()) + 1}


def lines(folder: Path) -> list[str]:
    """What the command line says about an atlas."""
    marker = marker_of(folder)
    assert marker is not None
    rows = {table: sum(part["rows"] for part in marker["tables"][table].values()) for table in VOCAB_TABLES}
    found = ", ".join(f"{table} {n:,}" for table, n in rows.items())
    size = sum(part["bytes"] for parts in marker["tables"].values() for part in parts.values())
    return [
        f"{folder}: {found}; {size / 1e6:.1f} MB, made in {sum(marker['seconds'].values()):.1f} s",
        *_clusters(folder, marker),
        *_lacking(marker),
    ]


def _clusters(folder: Path, marker: dict[str, Any]) -> Iterator[str]:
    if marker["n_neurons"]:
        found = _clustering(folder)
        yield f"clustering {found['clustering']}: {marker['n_neurons']:,} neurons in {found['n_clusters']:,} clusters"


def _lacking(marker: dict[str, Any]) -> Iterator[str]:
    """In words, of which layers nothing can be said."""
    n_layers, with_neurons = len(marker["tables"]["neuron_tokens"]), {layer for layer, *_ in marker["neurons"]}
    if lacking := n_layers - len(with_neurons):
        yield f"no neurons in {lacking} of {n_layers} layers: theirs cannot be told apart (block level, docs/models.md)"
    if lacking := len(marker["without_heads"]):
        yield f"no circuits of heads in {lacking} of {n_layers} layers: their values pass a norm of their own"


def put(atlas: Path, run_dir: Path) -> Path:
    """Copy an atlas into a run, whole or not at all, in the place of one that is there. Raises UnfinishedError."""
    place = run_dir / FOLDER
    marker = marker_of(place)
    if marker is not None and marker == marker_of(atlas):
        return place
    new = temporary_path(place)
    with unfinished(place):
        try:
            remove_stale(run_dir)
            remove(new)
            shutil.copytree(atlas, new, ignore=shutil.ignore_patterns("*.tmp"))
            swap_folder(new, place)
        finally:
            remove(new)
    return place


def part_of(folder: Path, table: str, part: int) -> Path:
    """Where a part of a table of the atlas `folder` lies."""
    return folder / table / f"part-{part:05d}.parquet"


def rows_of(path: Path) -> int | None:
    """Rows of a part that is there and whole; None otherwise."""
    try:
        with pq.ParquetFile(path) as file:
            return file.metadata.num_rows
    except (OSError, pa.ArrowException):
        return None
