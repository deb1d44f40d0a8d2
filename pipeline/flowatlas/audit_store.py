"""Where an audit lies: `RUN/audit`, a folder that is swapped in whole, with `audit.json` to say what it was made of."""

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa

from flowatlas import written
from flowatlas.files import hash_file, hash_json, json_text, read_json, remove, swap_folder, temporary_path, unfinished
from flowatlas.schema_audit import AUDIT_ORDERS, AUDIT_TABLES
from flowatlas.site_data import RunReader
from flowatlas.writer import conform, write_parquet

FOLDER, MARKER = "audit", "audit.json"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Audit:
    """What an audit came to."""

    folder: Path
    marker: dict[str, Any]

    def read(self, table: str) -> pa.Table:
        """One of AUDIT_TABLES. Raises RunError when it is not the file that was written."""
        sha256 = self.marker["tables"][table].get("sha256")
        again = f"`flowatlas audit {self.folder.parent}` makes it anew"
        return written.read_table(self.folder / f"{table}.parquet", sha256, again)


def current(reader: RunReader) -> Audit | None:
    """The audit of a run that is whole and of the shards there are; None when it is missing or stale."""
    found = whole(reader.run_dir)
    return found if found and found.marker.get("made_from") == made_from(reader) else None


def whole(run_dir: Path) -> Audit | None:
    """The audit of a run by the sizes of its files, of whichever shards; None when it is missing or damaged."""
    folder = run_dir / FOLDER
    try:
        marker = read_json(folder / MARKER)
        sizes = {name: (folder / f"{name}.parquet").stat().st_size for name in AUDIT_TABLES}
        return Audit(folder, marker) if all(marker["tables"][n]["bytes"] == size for n, size in sizes.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def made_from(reader: RunReader) -> str:
    """Hash of the shards' contents and of the way an audit is made."""
    return hash_json([VERSION, [shard["tables"] for shard in reader.manifest["shards"]]])


def write(run_dir: Path, tables: dict[str, pa.Table], marker: dict[str, Any]) -> Audit:
    """Put the tables of AUDIT_TABLES and their marker in the place of what is there. Raises UnfinishedError (disk)."""
    folder = run_dir / FOLDER
    new, entries = temporary_path(folder), {}
    with unfinished(folder):
        try:
            remove(new)
            new.mkdir()
            for name, declared in AUDIT_TABLES.items():
                path, table = new / f"{name}.parquet", conform(tables[name], declared, AUDIT_ORDERS[name])
                write_parquet(path, table)
                entries[name] = {"rows": table.num_rows, "bytes": path.stat().st_size, "sha256": hash_file(path)}
            marker = {**marker, "tables": entries}
            (new / MARKER).write_bytes(json_text(marker))
            swap_folder(new, folder)
        finally:
            remove(new)
    return Audit(folder, marker)
