"""A checksum inside a file of a site, where every reader passes it by.

Parquet's own footer says where its columns lie, so eight bytes between the last column and the footer change nothing for
any engine: `CRC=` and the CRC-32 (little endian) of all other bytes. The page checks it for each file that it fetches and
`flowatlas check SITE` for all of them: a flipped bit is found, also where the engine would have read another number. JSON
that the page fetches begins with the key `crc32`, of what follows it.
"""

import struct
import zlib
from typing import Any

from flowatlas.files import json_text

MAGIC, MARK = b"PAR1", b"CRC="
SEAL_BYTES = 8


def sealed(data: bytes | memoryview) -> bytes:
    """The bytes of a Parquet file with its checksum inside. Raises ValueError when they are none."""
    view = memoryview(data)
    at = _footer(view)
    body, footer = view[:at], view[at:]
    return b"".join((body, MARK, struct.pack("<I", _crc(body, footer)), footer))


def sealed_json(obj: dict[str, Any]) -> bytes:
    """As `files.json_text`, with the checksum as the first key: the CRC-32, in hex, of all bytes after its comma."""
    rest = json_text(obj)[1:]
    return b'{"crc32": "%08x"%b' % (zlib.crc32(rest), b"," if obj else b"") + rest


def damage(data: bytes | bytearray | memoryview) -> str:
    """What is wrong with the bytes of a sealed file, in words; empty when they are as they were written."""
    view = memoryview(data)
    try:
        at = _footer(view)
    except ValueError as error:
        return str(error)
    body, mark, footer = view[: at - SEAL_BYTES], view[max(0, at - SEAL_BYTES) : at], view[at:]
    if bytes(mark[: len(MARK)]) != MARK:
        return "has no checksum, or its footer is damaged"
    if struct.unpack("<I", mark[len(MARK) :])[0] != _crc(body, footer):
        return "is damaged (its checksum is another)"
    return ""


def _crc(body: memoryview, footer: memoryview) -> int:
    return zlib.crc32(footer, zlib.crc32(body))


def _footer(view: memoryview) -> int:
    """Where the footer begins. Raises ValueError."""
    if len(view) < 12 or bytes(view[:4]) != MAGIC or bytes(view[-4:]) != MAGIC:
        raise ValueError("is no whole Parquet file")
    at = len(view) - 8 - struct.unpack("<I", view[-8:-4])[0]
    if at < 4:
        raise ValueError("is damaged (its footer is longer than the file)")
    return at
