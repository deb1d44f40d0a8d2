"""Prompts in: a file or hub dataset, opened and checked, as a stream of rows.

dataset = open_dataset(DatasetConfig(path="prompts.jsonl"), limit=None)
encoder = Encoder(tokenizer, resolve_bos(tokenizer, "auto"), max_tokens=1024, targets="last")
for row in dataset.rows(256, 512):
    item = encoder.encode(row)  # Prompt | Reject
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from flowatlas.config import ColumnsConfig, DatasetConfig
from flowatlas.encode import Encoder
from flowatlas.errors import DatasetError
from flowatlas.readers import CsvReader, JsonlReader, Reader, TextReader
from flowatlas.rows import Continued, Prompt, Reject, Row, make_row

__all__ = ["Continued", "Dataset", "Encoder", "Prompt", "Reject", "Row", "open_dataset"]

FILE_TYPES = (".txt", ".jsonl", ".csv", ".parquet")


class Dataset:
    """Rows numbered from 0, the first `limit` of them; reading does not hold them in memory."""

    def __init__(self, name: str, reader: Reader, columns: ColumnsConfig, limit: int | None) -> None:
        self.name = name
        self._reader, self._columns, self._limit = reader, columns, limit

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Row]:
        """Rows [start, stop) in order; may be called as often as needed. Raises DatasetError for a damaged file."""
        if self._limit is not None:
            stop = self._limit if stop is None else min(stop, self._limit)
        for number, record in self._reader.records(start, stop):
            yield make_row(number, record, self._columns)


def open_dataset(config: DatasetConfig, limit: int | None = None) -> Dataset:
    """Open a dataset and look at its columns and first row.

    Raises DatasetError for a file that is missing, a folder, empty or of an unknown type, a hub dataset that does not
    load, and columns that are not there: the text, or any other that was renamed on purpose.
    """
    if (config.path is None) == (config.hub is None):
        raise DatasetError("give either dataset.path, a file, or dataset.hub, a dataset of the Hugging Face hub")
    if config.path is not None:
        source, reader = config.path, _file_reader(Path(config.path).expanduser(), config.columns)
        name = config.name or Path(config.path).stem
    else:
        from flowatlas.tables import HubReader  # `datasets` is imported there, and only there

        source, reader = str(config.hub), HubReader(config)
        name = config.name or source.rstrip("/").rsplit("/", 1)[-1]
    if next(reader.records(0, 1), None) is None:
        raise DatasetError(f"dataset {source}: it is empty; it needs at least one prompt")
    _check_columns(source, reader, config.columns)
    return Dataset(name, reader, config.columns, limit)


def _file_reader(path: Path, columns: ColumnsConfig) -> Reader:
    kinds = ", ".join(FILE_TYPES)
    try:
        if path.is_dir():
            raise DatasetError(f"dataset {path}: it is a folder; give a file ({kinds})")
        if not path.exists():
            raise DatasetError(f"dataset {path}: no such file; give a file ({kinds})")
        suffix = path.suffix.lower()
        if suffix not in FILE_TYPES:
            raise DatasetError(f"dataset {path}: unknown type {suffix or '(no suffix)'}; known types: {kinds}")
        if path.is_file() and path.stat().st_size == 0:
            raise DatasetError(f"dataset {path}: it is empty; it needs at least one prompt")
        if suffix == ".parquet":
            from flowatlas.tables import ParquetReader

            return ParquetReader(path)
        if suffix == ".txt":
            return TextReader(path, columns.text)
        return JsonlReader(path) if suffix == ".jsonl" else CsvReader(path)
    except (OSError, ValueError) as error:  # no permission; a name too long, or with a NUL in it
        raise DatasetError(f"dataset {path}: it cannot be opened: {error}") from error


def _check_columns(source: str, reader: Reader, columns: ColumnsConfig) -> None:
    renamed = [field.name for field in fields(columns) if getattr(columns, field.name) != field.default]
    wanted = {getattr(columns, name): name for name in ["text", *renamed]}
    for column in reader.missing(list(wanted)):
        there = reader.columns()
        listed = ", ".join(there[:20]) + (", ..." if len(there) > 20 else "")
        key = f"dataset.columns.{wanted[column]}"
        raise DatasetError(f"dataset {source}: no column {column!r} ({key}); its columns: {listed or 'none'}")
