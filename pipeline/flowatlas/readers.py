"""Prompt files, streamed: (row number, record) from any row on, without holding a file in memory.

Line files are read as bytes and decoded row by row, so that one bad byte spoils one row. While they are read, the
offset of every 256th row is remembered: starting again in the middle costs a seek.
"""

import bisect
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from flowatlas.errors import DatasetError
from flowatlas.rows import Bad, Record, not_utf8

MARK_EVERY = 256
# The csv module refuses fields above 128 KiB unless told otherwise; the limit is the process's.
FIELD_LIMIT = 2**31 - 1
BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class Reader(Protocol):
    """A source of records."""

    def missing(self, columns: list[str]) -> list[str]:
        """Those of `columns` that the source does not have."""
        ...

    def columns(self) -> list[str]:
        """The columns that there are (as far as they were seen)."""
        ...

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Record]]:
        """Rows [start, stop), each with its number."""
        ...


class LineReader:
    """What the line files share: a unit of raw data per row, found from the nearest remembered offset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(3)
        if head[:2] in BOMS:
            raise DatasetError(f"dataset {path}: it is {BOMS[head[:2]]}; save it as UTF-8")
        self._marks = [(0, 3 if head == b"\xef\xbb\xbf" else 0)]  # (row, offset), ascending

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Record]]:
        nearest = bisect.bisect_right(self._marks, start, key=lambda mark: mark[0]) - 1
        row, offset = self._marks[nearest]
        with self.path.open("rb") as file:
            file.seek(offset)
            for begin, raw in self._units(file, offset):
                if stop is not None and row >= stop:
                    return
                if row % MARK_EVERY == 0 and row > self._marks[-1][0]:
                    self._marks.append((row, begin))
                if row >= start:
                    yield row, self._parse(raw)
                row += 1

    def _units(self, file: IO[bytes], offset: int) -> Iterator[tuple[int, Any]]:
        """(offset, line) of every line that is not blank."""
        for line in file:
            if line.strip():
                yield offset, line
            offset += len(line)

    def _parse(self, raw: Any) -> Record:
        raise NotImplementedError


class TextReader(LineReader):
    """A prompt per line; its spaces are kept, the line's end is not."""

    def __init__(self, path: Path, text_column: str) -> None:
        super().__init__(path)
        self._column = text_column

    def columns(self) -> list[str]:
        return [self._column]

    def missing(self, columns: list[str]) -> list[str]:
        return [column for column in columns if column != self._column]

    def _parse(self, raw: bytes) -> Record:
        try:
            return {self._column: raw.removesuffix(b"\n").removesuffix(b"\r").decode()}
        except UnicodeDecodeError as error:
            return not_utf8(error, "the line")


class JsonlReader(LineReader):
    """A JSON object per line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._seen: dict[str, None] = {}  # a set in order

    def columns(self) -> list[str]:
        return list(self._seen)

    def missing(self, columns: list[str]) -> list[str]:
        """Reads until every column was seen once; the whole file only when one is missing."""
        left = set(columns)
        for _, record in self.records():
            if isinstance(record, dict):
                self._seen.update(dict.fromkeys(record))
                left -= record.keys()
            if not left:
                break
        return [column for column in columns if column in left]

    def _parse(self, raw: bytes) -> Record:
        try:
            value = json.loads(raw.decode())
        except UnicodeDecodeError as error:
            return not_utf8(error, "the line")
        except (ValueError, RecursionError) as error:  # also numbers of too many digits, and nesting too deep
            return Bad("bad_json", " ".join(str(error).split())[:200])
        if not isinstance(value, dict):
            return Bad("bad_json", f"the line is a JSON {type(value).__name__}, not an object")
        return value


class CsvReader(LineReader):
    """RFC 4180 with a header. Python's csv module finds the rows, so that line breaks in quotes are data; bytes that
    are no UTF-8 pass through it as surrogates and are found in the row that they spoil."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        csv.field_size_limit(FIELD_LIMIT)
        with path.open("rb") as file:
            file.seek(self._marks[0][1])
            feed = _Feed(file, self._marks[0][1])
            try:
                header = next((fields for fields in csv.reader(feed) if fields), [])
            except csv.Error as error:
                raise DatasetError(f"dataset {path}: its header cannot be read: {error}") from error
        self._header = [ascii(name)[1:-1] if not _is_utf8(name) else name for name in header]
        refuse_duplicates(path, self._header)
        self._marks = [(0, feed.position)]

    def columns(self) -> list[str]:
        return self._header

    def missing(self, columns: list[str]) -> list[str]:
        return [column for column in columns if column not in self._header]

    def _units(self, file: IO[bytes], offset: int) -> Iterator[tuple[int, Any]]:
        feed = _Feed(file, offset)
        reader = csv.reader(feed)
        while True:
            begin = feed.position
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:  # the reader goes on with the next line
                yield begin, Bad("bad_row", str(error))
                continue
            if fields:
                yield begin, fields

    def _parse(self, raw: list[str] | Bad) -> Record:
        if isinstance(raw, Bad):
            return raw
        try:
            for field in raw:
                field.encode("utf-8", "surrogateescape").decode()
        except UnicodeDecodeError as error:
            return not_utf8(error, "a field")
        if len(raw) != len(self._header):
            return Bad("bad_row", f"{len(raw)} fields where the header has {len(self._header)}")
        return dict(zip(self._header, raw, strict=True))


class _Feed:
    """Decoded lines for the csv module, which asks for one at a time; `position` is the offset of the next."""

    def __init__(self, file: IO[bytes], position: int) -> None:
        self._file, self.position = file, position

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.position += len(line)
        return line.decode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def refuse_duplicates(path: Path | str, names: Iterable[str]) -> None:
    """Raises DatasetError when two columns have one name: it would not be known which is meant."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DatasetError(f"dataset {path}: two columns are called {name!r}; rename one")
        seen.add(name)
