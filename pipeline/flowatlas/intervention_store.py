"""Where interventions lie: `RUN/interventions/<folder>`, with `intervention.json` to say what it is of.

    predictions/, course/, lens/, continuations/    a part for each shard of the run, as the run has them
    summary.parquet, largest.parquet                over all of them

While it is made the folder lies under another name; it is put in its place when it is whole.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas import written
from flowatlas.edit_lists import Intervention
from flowatlas.errors import ConfigError, RunError
from flowatlas.files import hash_file, hash_json, read_json, replacing, swap_folder, unfinished, write_json_atomically
from flowatlas.schema_interventions import INTERVENTION_ORDERS, INTERVENTION_TABLES
from flowatlas.shards import part_path
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
        """`summary` or `largest`. Raises RunError when it is not the file that was written."""
        return self._read(self.folder / f"{table}.parquet")

    def part(self, table: str, shard: int) -> pa.Table:
        """The prompts of a shard in one of the other tables. Raises RunError as `read`."""
        return self._read(part_path(self.folder, table, shard))

    def files(self, table: str) -> list[Path]:
        """Those that hold a table."""
        return [self.folder / name for name in self.marker["files"] if Path(name).parts[0].split(".")[0] == table]

    def _read(self, path: Path) -> pa.Table:
        entry = self.marker["files"].get(path.relative_to(self.folder).as_posix(), {})
        return written.read_table(path, entry.get("sha256"), f"remove {self.folder} and do the intervention again")


def identity(reader: RunReader, intervention: Intervention, generate: int) -> str:
    """Hash of all that its tables depend on: the shards' contents, the edits, and the tokens that are generated."""
    edits = sorted(map(str, intervention.edits))
    return hash_json([VERSION, intervention.folder, _shards(reader), edits, generate])


def unfinished_folder(reader: RunReader, intervention: Intervention, generate: int) -> Path:
    """Where its parts are gathered: another one for everything that would give other parts."""
    name = f".{intervention.folder}.{identity(reader, intervention, generate)[:16]}"
    return reader.run_dir / FOLDER / name


def stored(reader: RunReader) -> Iterator[Stored]:
    """The interventions of a run that are whole and of the shards there are, by name of their folders."""
    for folder in folders(reader.run_dir):
        if (found := open_folder(folder)) is not None and found.marker["shards"] == hash_json(_shards(reader)):
            yield found


def folders(run_dir: Path) -> list[Path]:
    """Of those that are done, whole or not."""
    return [folder for folder in sorted((run_dir / FOLDER).glob("*/")) if not folder.name.startswith(".")]


def find(reader: RunReader, intervention: Intervention, generate: int) -> Stored | None:
    """What there is of exactly this, with the name and the note that it has now; or None. Raises UnfinishedError (disk)."""
    found = open_folder(reader.run_dir / FOLDER / intervention.folder)
    if found is None or found.marker["identity"] != identity(reader, intervention, generate):
        return None
    marker = found.marker | _words(intervention)
    if marker != found.marker:
        _mark(found.folder, marker)
    return Stored(found.folder, marker)


def refuse_others(reader: RunReader, intervention: Intervention) -> None:
    """Raises ConfigError where its folder holds what came of other edits."""
    found = open_folder(reader.run_dir / FOLDER / intervention.folder)
    if found is not None and sorted(found.marker["edits"]) != sorted(map(str, intervention.edits)):
        raise ConfigError(
            f"{found.folder} holds {found.marker['name']!r} with other edits ({', '.join(found.marker['edits'])}): "
            "give another name, or --replace to have these in their place"
        )


def write_part(folder: Path, table: str, shard: int, columns: dict[str, list[Any]]) -> None:
    """A shard's rows of a table. Raises UnfinishedError (disk)."""
    declared = INTERVENTION_TABLES[table]
    with replacing(part_path(folder, table, shard)) as temporary:
        write_parquet(temporary, conform(declared.from_columns(columns), declared))


def is_written(folder: Path, table: str, shard: int) -> bool:
    """Whether `write_part` came to its end there."""
    try:
        return pq.read_schema(part_path(folder, table, shard)).equals(INTERVENTION_TABLES[table].schema)
    except (OSError, pa.ArrowException):
        return False


def read_part(folder: Path, table: str, shard: int) -> pa.Table:
    """The same of a folder that is not finished, and has no hashes yet. Raises RunError when it cannot be read."""
    path = part_path(folder, table, shard)
    try:
        return pq.read_table(path, schema=INTERVENTION_TABLES[table].schema)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path} cannot be read: remove {folder} and do the intervention again") from error


def finish(
    reader: RunReader, intervention: Intervention, generate: int, statistics: dict[str, dict[str, list]], seconds: float
) -> Stored:
    """Put the statistics beside the parts, and the folder in its place. Raises UnfinishedError (disk)."""
    folder, place = unfinished_folder(reader, intervention, generate), reader.run_dir / FOLDER / intervention.folder
    for name, columns in statistics.items():
        declared = INTERVENTION_TABLES[name]
        with replacing(folder / f"{name}.parquet") as temporary:
            write_parquet(temporary, conform(declared.from_columns(columns), declared, INTERVENTION_ORDERS[name]))
    with unfinished(folder):
        files = {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
            for path in sorted(folder.rglob("*.parquet"))
        }
        marker = {
            "version": VERSION,
            **_words(intervention),
            "folder": intervention.folder,
            "edits": [str(edit) for edit in intervention.edits],
            "components": [str(edit.component) for edit in intervention.edits],
            "generate": generate,
            "n_prompts": sum(
                pq.read_metadata(part_path(folder, "predictions", shard)).num_rows for shard in reader.shards
            ),
            "identity": identity(reader, intervention, generate),
            "shards": hash_json(_shards(reader)),
            "seconds": round(seconds, 1),
            "files": files,
        }
        _mark(folder, marker)
        swap_folder(folder, place)
    return Stored(place, marker)


def open_folder(folder: Path) -> Stored | None:
    """What lies in a folder, if it is whole."""
    try:
        marker = read_json(folder / MARKER)
        whole = all((folder / name).stat().st_size == file["bytes"] for name, file in marker["files"].items())
        return Stored(folder, marker) if whole and marker["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def problems(run_dir: Path, reader: RunReader | None) -> Iterator[str]:
    """What `flowatlas check` says of a run's interventions; without a reader not whether they are of the run's shards."""
    for folder in folders(run_dir):
        place, found = f"{FOLDER}/{folder.name}", open_folder(folder)
        if found is None or (reader and found.marker["shards"] != hash_json(_shards(reader))):
            yield f"{place} is damaged, or of other shards than the run has now: `flowatlas intervene` makes it anew"
            continue
        for name, file in found.marker["files"].items():
            if hash_file(folder / name) != file["sha256"]:
                yield f"{place}/{name} is not the file that was written: remove {place} and do it again"


def _words(intervention: Intervention) -> dict[str, str]:
    return {"name": intervention.name, "note": intervention.note}


def _mark(folder: Path, marker: dict[str, Any]) -> None:
    write_json_atomically(folder / MARKER, marker)


def _shards(reader: RunReader) -> list[Any]:
    return [shard["tables"] for shard in reader.manifest["shards"]]
