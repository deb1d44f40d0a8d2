"""The checksum inside a site's Parquet files: every engine reads past it, and no damage gets past it."""

import io
import json
import struct
import zlib
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowatlas.seal import damage, sealed, sealed_json
from flowatlas.site_data import encode

TABLE = pa.table({"a": list(range(2000)), "b": [f"row {i % 7}" for i in range(2000)]})
WHOLE = encode(TABLE)


def test_engines_read_a_sealed_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(WHOLE)
    assert pq.ParquetFile(path).read().equals(TABLE)
    assert duckdb.execute("SELECT count(*), sum(a) FROM read_parquet(?)", [str(path)]).fetchall() == [(2000, 1999000)]
    assert damage(WHOLE) == ""


def test_where_it_is_and_what_it_is_of() -> None:
    footer = struct.unpack("<I", WHOLE[-8:-4])[0]
    at = len(WHOLE) - 8 - footer
    assert WHOLE[at - 8 : at - 4] == b"CRC="
    without = WHOLE[: at - 8] + WHOLE[at:]
    assert struct.unpack("<I", WHOLE[at - 4 : at])[0] == zlib.crc32(without)
    assert pq.read_table(io.BytesIO(without)).equals(TABLE)
    assert sealed(without) == WHOLE


def test_json_begins_with_the_checksum_of_the_rest() -> None:
    obj = {"n": 1, "text": "\u00fcnd"}
    text = sealed_json(obj)
    crc = json.loads(text)["crc32"]
    assert text.startswith(b'{"crc32": "%b",\n' % crc.encode())
    assert int(crc, 16) == zlib.crc32(text.split(b",", 1)[1])
    assert json.loads(text) == {"crc32": crc, **obj}
    assert json.loads(sealed_json({})).keys() == {"crc32"}


@given(st.integers(0, len(WHOLE) * 8 - 1))
def test_one_flipped_bit_is_found(bit: int) -> None:
    flipped = bytearray(WHOLE)
    flipped[bit // 8] ^= 1 << bit % 8
    assert damage(flipped)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 40))
def test_a_truncated_file_is_found_from_either_end(stop: int, start: int) -> None:
    assert damage(WHOLE[:stop])
    assert damage(WHOLE[start + 1 :])


@given(st.binary(max_size=60))
def test_what_is_no_parquet_is_said(data: bytes) -> None:
    assert damage(b"PAR1" + data + b"PAR1")
    assert damage(data)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\xffPAR1"])
def test_only_parquet_is_sealed(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"Parquet|footer"):
        sealed(data)
