"""Datasets that come as tables: Parquet files, and datasets of the Hugging Face hub; streamed as in `readers.py`."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.config import DatasetConfig
from flowatlas.errors import DatasetError
from flowatlas.hub import settle_offline, unreachable
from flowatlas.readers import refuse_duplicates
from flowatlas.rows import Record

BATCH_ROWS = 512


class ParquetReader:
    """A Parquet file: whole row groups before `start` are skipped unread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"dataset {path}: no Parquet file that can be read: {_first_line(error)}") from error
        self._columns = self._file.schema_arrow.names
        refuse_duplicates(path, self._columns)

    def columns(self) -> list[str]:
        return self._columns

    def missing(self, columns: list[str]) -> list[str]:
        return [column for column in columns if column not in self._columns]

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Record]]:
        row, metadata = 0, self._file.metadata
        stop = metadata.num_rows if stop is None else min(stop, metadata.num_rows)
        for group in range(metadata.num_row_groups):
            n_rows = metadata.row_group(group).num_rows
            if row < stop and row + n_rows > start:
                yield from self._group(group, row, start, stop)
            row += n_rows

    def _group(self, group: int, row: int, start: int, stop: int) -> Iterator[tuple[int, Record]]:
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, row_groups=[group]):
                first, last = max(start - row, 0), min(stop - row, len(batch))
                if first < last:
                    part = batch.slice(first, last - first)
                    yield from enumerate(_records(part), row + first)
                row += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"dataset {self.path}: damaged after row {row}: {_first_line(error)}") from error


def _records(batch: pa.RecordBatch) -> Iterator[Record]:
    columns = [_values(column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    """A column's values; strings that are no UTF-8 (Arrow does not check) come as bytes, to be rejected one by one."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return column.cast(pa.large_binary()).to_pylist()
        return [None] * len(column)  # a broken string inside a nested column: no prompt depends on it


class HubReader:
    """A dataset of the hub (or a local folder of one) by the `datasets` library, streamed."""

    def __init__(self, config: DatasetConfig) -> None:
        self._name = str(config.hub)
        if not os.path.isdir(self._name):
            settle_offline()
        import datasets

        datasets.disable_progress_bars()
        try:
            self._stream: Any = datasets.load_dataset(self._name, config.config, split=config.split, streaming=True)
            if hasattr(self._stream, "decode"):
                self._stream = self._stream.decode(False)  # pictures and sounds stay bytes; no decoder is needed
            self._columns = self._stream.column_names or list(next(iter(self._stream), {}))
        except Exception as error:  # the library and its back ends raise dozens of unrelated classes
            raise self._error(error) from error

    def columns(self) -> list[str]:
        return self._columns

    def missing(self, columns: list[str]) -> list[str]:
        return [column for column in columns if column not in self._columns]

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Record]]:
        try:
            stream = self._stream.skip(start) if start else self._stream
            yield from enumerate(itertools.islice(stream, None if stop is None else max(stop - start, 0)), start)
        except Exception as error:  # as above; a generator's own end is no Exception
            raise self._error(error) from error

    def _error(self, error: Exception) -> DatasetError:
        if os.environ.get("HF_HUB_OFFLINE") == "1" and not os.path.isdir(self._name):
            why = unreachable()
        else:
            why = f"{_first_line(error)}; check dataset.hub, dataset.config and dataset.split"
        return DatasetError(f"dataset {self._name}: {why}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
