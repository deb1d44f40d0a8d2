"""Where interventions lie: `RUN/interventions/<folder>`, swapped in whole, with `intervention.json` to say what it is of."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.edit_lists import Intervention
from flowatlas.errors import RunError
from flowatlas.files import hash_file, hash_json, json_text, read_json, remove, swap_folder, temporary_path, unfinished
from flowatlas.schema_interventions import INTERVENTION_ORDERS, INTERVENTION_TABLES
from flowatlas.site_data import RunReader
from flowatlas.writer import conform, write_parquet

FOLDER, MARKER = "interventions", "intervention.json"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Stored:
    """What an intervention came to over the prompts of a run."""

    folder: Path
    marker: dict[str, Any]

    def read(self, table: str) -> pa.Table:
        """One of INTERVENTION_TABLES. Raises RunError when it cannot be read."""
        try:
            with pq.ParquetFile(self.folder / f"{table}.parquet") as file:
                return file.read()
        except (OSError, pa.ArrowException) as error:
            raise RunError(
                f"{self.folder}/{table}.parquet cannot be read: remove the folder and do it again"
            ) from error


def identity(reader: RunReader, intervention: Intervention, generate: int) -> str:
    """Hash of all that its tables depend on: the shards' contents, the edits, and the tokens that are generated."""
    shards = [shard["tables"] for shard in reader.manifest["shards"]]
    return hash_json([VERSION, shards, sorted(map(str, intervention.edits)), generate])


def stored(reader: RunReader) -> Iterator[Stored]:
    """The interventions of a run that are whole, by folder name; each says by `shards` whether it is of those there are."""
    for folder in sorted((reader.run_dir / FOLDER).glob("*/")):
        if (found := _read(folder)) is not None and found.marker["shards"] == shards_hash(reader):
            yield found


def find(reader: RunReader, intervention: Intervention, generate: int) -> Stored | None:
    """What there is of exactly this, or None."""
    found = _read(reader.run_dir / FOLDER / intervention.folder)
    return found if found is not None and found.marker["identity"] == identity(reader, intervention, generate) else None


def shards_hash(reader: RunReader) -> str:
    return hash_json([shard["tables"] for shard in reader.manifest["shards"]])


def write(
    reader: RunReader, intervention: Intervention, generate: int, tables: dict[str, pa.Table], seconds: float
) -> Stored:
    """Put it in the place of what lies under its name. Raises UnfinishedError (disk)."""
    folder = reader.run_dir / FOLDER / intervention.folder
    new, entries = temporary_path(folder), {}
    with unfinished(folder):
        try:
            remove(new)
            new.mkdir(parents=True)
            for name, declared in INTERVENTION_TABLES.items():
                path, table = new / f"{name}.parquet", conform(tables[name], declared, INTERVENTION_ORDERS[name])
                write_parquet(path, table)
                entries[name] = {"rows": table.num_rows, "bytes": path.stat().st_size, "sha256": hash_file(path)}
            marker = {
                "version": VERSION,
                "name": intervention.name,
                "folder": intervention.folder,
                "note": intervention.note,
                "edits": [str(edit) for edit in intervention.edits],
                "components": [str(edit.component) for edit in intervention.edits],
                "generate": generate,
                "n_prompts": tables["predictions"].num_rows,
                "identity": identity(reader, intervention, generate),
                "shards": shards_hash(reader),
                "seconds": round(seconds, 1),
                "tables": entries,
            }
            (new / MARKER).write_bytes(json_text(marker))
            swap_folder(new, folder)
        finally:
            remove(new)
    return Stored(folder, marker)


def _read(folder: Path) -> Stored | None:
    try:
        marker = read_json(folder / MARKER)
        sizes = {name: (folder / f"{name}.parquet").stat().st_size for name in INTERVENTION_TABLES}
        whole = all(marker["tables"][name]["bytes"] == size for name, size in sizes.items())
        return Stored(folder, marker) if whole and marker["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
