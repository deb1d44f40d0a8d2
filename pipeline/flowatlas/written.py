"""Reading files that a marker has the hash of: one whose content is another is refused, never read as other numbers.

Parquet as pyarrow writes it carries no checksum: a flipped bit mostly reads as another number, in silence.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.errors import RunError
from flowatlas.files import hash_file


def read(path: Path, sha256: str | None, again: str) -> bytes:
    """The bytes of a file. Raises RunError, which says `again` (how to mend it), for one that is missing or another."""
    with _in_words(path, again):
        data = path.read_bytes()
    _refuse_other(path, hashlib.sha256(data).hexdigest(), sha256, again)
    return data


def read_table(path: Path, sha256: str | None, again: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a Parquet file, which is read once. Raises RunError as `read`, and for what is no Parquet."""
    data = read(path, sha256, again)
    with _in_words(path, again), pq.ParquetFile(pa.BufferReader(data)) as file:
        return file.read(columns and list(columns))


def require(path: Path, sha256: str | None, again: str) -> None:
    """The same for a file that somebody else (DuckDB) is to read; nothing of it stays in memory. Raises RunError."""
    with _in_words(path, again):
        found = hash_file(path)
    _refuse_other(path, found, sha256, again)


def _refuse_other(path: Path, found: str, sha256: str | None, again: str) -> None:
    if found != sha256:
        raise RunError(f"{path} is damaged (its content hash is another): {again}")


@contextlib.contextmanager
def _in_words(path: Path, again: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        state = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise RunError(f"{path} {state}: {again}") from error
