"""Shards: contiguous ranges of a dataset's rows, their fingerprints, and the ledger of those that are done.

A shard is done when its marker `shards/part-00017.json` is there, belongs to the run's plan (config hash, and hash of
the shard's rows) and the files it names have the sizes it names. The marker is written after its tables.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from flowatlas.files import canonical_json, read_json, remove, write_json_atomically
from flowatlas.schema import LATER_TABLES, TABLES

RECORDS = "errors"  # the folder in a run for what is known of shards that failed


class Rows(Protocol):
    """What is asked of a dataset here: its rows, numbered from 0, streamed. Rows are dataclasses."""

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Any]: ...


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What a dataset holds: `rows`, one hash per shard, and a way to hash any other range of rows."""

    rows: int
    shard_hashes: tuple[str, ...]
    hash_range: Callable[[int, int], str] = dataclasses.field(repr=False, compare=False)


def shard_ranges(n_rows: int, shard_size: int) -> list[range]:
    """The rows of each shard: shard k is [k * shard_size, (k + 1) * shard_size), the last one may be shorter."""
    return [range(first, min(first + shard_size, n_rows)) for first in range(0, n_rows, shard_size)]


def rows_hash(rows: Iterable[Any]) -> str:
    """sha256 (hex) over the canonical JSON of each row, in order."""
    digest = hashlib.sha256()
    for row in rows:
        _add(digest, row)
    return digest.hexdigest()


def fingerprint(dataset: Rows, shard_size: int) -> Fingerprint:
    """Hash a dataset shard by shard in one streamed pass."""
    hashes: list[str] = []
    digest, n_rows = hashlib.sha256(), 0
    for row in dataset.rows():
        if n_rows and n_rows % shard_size == 0:
            hashes.append(digest.hexdigest())
            digest = hashlib.sha256()
        _add(digest, row)
        n_rows += 1
    if n_rows:
        hashes.append(digest.hexdigest())
    return Fingerprint(n_rows, tuple(hashes), lambda first, stop: rows_hash(dataset.rows(first, stop)))


def _add(digest: Any, row: Any) -> None:
    digest.update(canonical_json(dataclasses.asdict(row)))
    digest.update(b"\n")


def part_name(shard: int) -> str:
    """`part-00017`; the name sorts in the order of the shards."""
    return f"part-{shard:05d}"


def part_path(run_dir: Path, table: str, shard: int) -> Path:
    """Where a shard's rows of a table lie."""
    return run_dir / table / f"{part_name(shard)}.parquet"


def record_path(run_dir: Path, shard: int) -> Path:
    """Where the traceback of a shard's last failure lies."""
    return run_dir / RECORDS / f"{part_name(shard)}.json"


def forget_failure(run_dir: Path, shard: int) -> None:
    """Remove what an earlier attempt at a shard left, now that it is done."""
    record = record_path(run_dir, shard)
    remove(record)
    with contextlib.suppress(OSError):  # it is not there, or other shards have failed
        record.parent.rmdir()


class Ledger:
    """Which shards of a run are done. Reads `plan.json` once, when made; markers are read each time."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._config_hash: str | None = None
        self._shard_hashes: list[str] | None = None
        try:
            plan = read_json(run_dir / "plan.json")
            self._config_hash = plan["config_hash"]
            self._shard_hashes = plan["dataset"]["shard_hashes"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # a folder of shards without a plan: markers are judged by themselves

    def path(self, shard: int) -> Path:
        """Where the marker of a shard lies."""
        return self.run_dir / "shards" / f"{part_name(shard)}.json"

    def marked(self) -> set[int]:
        """Shards that have a marker, whatever it says: one look into one folder, however many there are."""
        try:
            return {int(path.stem.removeprefix("part-")) for path in self.run_dir.glob("shards/part-*.json")}
        except (OSError, ValueError):
            return set()

    def marker(self, shard: int) -> dict | None:
        """What the marker says, whether or not it fits the plan; None when it is missing or damaged."""
        try:
            marker = read_json(self.path(shard))
        except (OSError, ValueError):
            return None
        return marker if _is_marker(marker) else None

    def finished(self, shard: int) -> dict | None:
        """The marker of a shard that is done; None when it is to be done (again)."""
        marker = self.marker(shard)
        return marker if marker is not None and self._fits(shard, marker) else None

    def done(self, shards: Iterable[int]) -> list[int]:
        """Those of `shards` that are done."""
        return [shard for shard in shards if self.finished(shard) is not None]

    def mark(self, shard: int, marker: dict) -> None:
        """Write a shard's marker: from here on it is done. Raises UnfinishedError."""
        write_json_atomically(self.path(shard), marker)

    def _fits(self, shard: int, marker: dict) -> bool:
        if self._config_hash is not None and marker.get("config_hash") != self._config_hash:
            return False
        if self._shard_hashes is not None and marker.get("rows_hash") not in self._shard_hashes[shard : shard + 1]:
            return False
        try:
            return all(
                part_path(self.run_dir, table, shard).stat().st_size == marker["tables"][table]["bytes"]
                for table in TABLES
                if table in marker["tables"] or table not in LATER_TABLES
            )
        except (OSError, KeyError, TypeError, AttributeError):
            return False


def _is_marker(content: dict) -> bool:
    """Whether what others count on is there and of its kind."""
    parts = [content.get(key) or {} for key in ("reject_reasons", "seconds", "guard", "versions")]
    tables = content.get("tables")
    if not isinstance(tables, dict) or not all(isinstance(part, dict) for part in (*tables.values(), *parts)):
        return False
    numbers = [content.get(key) for key in ("shard", "n_rows", "n_prompts", "n_rejects")]
    numbers += [entry.get(key) for entry in tables.values() for key in ("rows", "bytes")] + [*parts[0].values()]
    return all(isinstance(number, int) for number in numbers)
