"""What the tests of the site share."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowatlas import bucket_sizes
from flowatlas import site as site_module
from flowatlas.files import hash_file


def small_explorer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built explorer of two files, and buckets so small that the made-up run has several."""
    dist = folder / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html>")
    (dist / "assets" / "app-1234.js").write_text("1")
    monkeypatch.setattr(site_module, "explorer_dir", lambda: dist)
    monkeypatch.setattr(bucket_sizes, "EAGER_BYTES", 24_000)
    return dist


def buckets(index: dict, table: str) -> list[int]:
    """The numbers of the buckets that an index lists."""
    return [k for first, last in index["tables"][table]["buckets"] for k in range(first, last + 1)]


def read(path: Path) -> dict:
    """What a JSON file says, its checksum left out."""
    found = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in {path}"))
    found.pop("crc32", None)
    return found


@contextlib.contextmanager
def flipped(path: Path) -> Iterator[None]:
    """Inside, one bit in the middle of a file is another; after, it is as it was."""
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    path.write_bytes(damaged)
    try:
        yield
    finally:
        path.write_bytes(whole)


def files_of(site: Path) -> dict[str, str]:
    return {str(path.relative_to(site)): hash_file(path) for path in sorted(site.rglob("*")) if path.is_file()}
