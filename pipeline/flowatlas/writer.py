"""Arrow tables of a shard to Parquet: one file per table, whole or not at all, equal bytes for equal tables.

Files are zstd-compressed Parquet with version 1.0 data pages and plain or dictionary encoding, which every engine reads
(also the browser's DuckDB 0.9.1). Rows are sorted by `prompt_id`, their order within a prompt is kept. Row groups are
small and carry statistics, so that one prompt is read without reading the rest.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowatlas.files import hash_file, replacing, unfinished
from flowatlas.schema import MODEL_TABLES, TABLES, Column, Table
from flowatlas.shards import Ledger, part_path

ROW_GROUP_ROWS = 16_384


def write_shard(run_dir: Path, shard: int, tables: dict[str, pa.Table], info: dict[str, Any]) -> dict[str, Any]:
    """Write all tables of a shard and then its marker; returns the marker.

    `tables` has every table of schema.TABLES (empty ones too). `info` becomes part of the marker: first_row, n_rows,
    rows_hash, config_hash, seconds {stage: s}, guard {check: error}, versions {library: version}.

    Raises UnfinishedError when the disk does not let it (the shard is then not done), ValueError for a table that is
    missing, unknown, or does not fit its schema.
    """
    if tables.keys() != TABLES.keys():
        raise ValueError(f"a shard has the tables {sorted(TABLES)}, not {sorted(tables)}")
    ready = {name: conform(tables[name], table) for name, table in TABLES.items()}
    for name, table in ready.items():
        with replacing(part_path(run_dir, name, shard)) as temporary:
            write_parquet(temporary, table)
    marker = {
        **info,
        "shard": shard,
        "n_prompts": ready["prompts"].num_rows,
        "n_rejects": ready["rejects"].num_rows,
        "reject_reasons": _counts(ready["rejects"]["reason"]),
    }
    with unfinished(run_dir):
        marker["tables"] = _entries(run_dir, shard, ready)
    return _mark(run_dir, shard, marker, ready)


def _mark(run_dir: Path, shard: int, marker: dict[str, Any], ready: dict[str, pa.Table]) -> dict[str, Any]:
    """Write the marker, and again should another process have put its files of the same shard there meanwhile.

    Whoever marks last looks at the files after that, so the last marker describes the files that lie there.
    """
    ledger = Ledger(run_dir)
    while True:
        ledger.mark(shard, marker)
        with unfinished(run_dir):
            entries = _entries(run_dir, shard, ready)
        if entries == marker["tables"]:
            return marker
        marker = {**marker, "tables": entries}


def _entries(run_dir: Path, shard: int, tables: dict[str, pa.Table]) -> dict[str, dict[str, Any]]:
    entries = {}
    for name, table in tables.items():
        path = part_path(run_dir, name, shard)
        entries[name] = {"rows": table.num_rows, "bytes": path.stat().st_size, "sha256": hash_file(path)}
    return entries


def write_model_table(run_dir: Path, name: str, table: pa.Table) -> Path:
    """Write `model/<name>.parquet`, one of schema.MODEL_TABLES. Raises UnfinishedError, ValueError as write_shard."""
    path = run_dir / "model" / f"{name}.parquet"
    ready = conform(table, MODEL_TABLES[name])
    with replacing(path) as temporary:
        write_parquet(temporary, ready)
    return path


def conform(table: pa.Table, declared: Table, order: Sequence[str] = ("prompt_id",)) -> pa.Table:
    """The table with the declared columns, types and metadata, sorted by those columns of `order` that it has.

    Categories sort as they are declared, nulls first, equal rows stay as they come. Dictionaries become the declared
    categories, so that equal rows give equal files whatever batches they came in. Raises ValueError for a missing column,
    a null where none may be, or values that do not fit.
    """
    schema = declared.schema
    if set(table.column_names) != set(schema.names):
        raise ValueError(f"table {declared.name} has the columns {schema.names}, not {table.column_names}")
    table = table.select(schema.names)
    arrays = []
    for field, column in zip(schema, declared.columns, strict=True):
        values = table[field.name]
        if not field.nullable and values.null_count:
            raise ValueError(f"{declared.name}.{field.name} has {values.null_count} nulls, but may have none")
        arrays.append(_categories(values, column) if column.categories else _one(values.cast(field.type)))
    return _sorted(pa.table(arrays, schema=schema), [name for name in order if name in schema.names])


def _sorted(table: pa.Table, order: list[str]) -> pa.Table:
    if order == ["prompt_id"]:  # as it mostly comes
        ids = table["prompt_id"].to_numpy()
        order = [] if bool(np.all(ids[1:] >= ids[:-1])) else order
    if not order:
        return table
    return table.take(pa.array(np.lexsort([_codes(_one(table[name])) for name in reversed(order)])))


def _codes(values: pa.Array) -> np.ndarray:
    """Numbers that sort as the values do, texts by code point."""
    if isinstance(values, pa.DictionaryArray):
        return values.indices.to_numpy()
    if not pa.types.is_string(values.type):
        return values.to_numpy(zero_copy_only=False)
    coded = values.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    place = np.empty(len(texts) + 1, np.int64)
    place[sorted(range(len(texts)), key=texts.__getitem__)], place[-1] = np.arange(len(texts)), -1
    return place[coded.indices.fill_null(len(texts)).to_numpy()]


def _categories(values: pa.ChunkedArray, column: Column) -> pa.Array:
    texts = _one(values.cast(pa.string()))
    codes = pc.index_in(texts, pa.array(column.categories))  # pyright: ignore[reportAttributeAccessIssue]
    if codes.null_count:
        raise ValueError(f"{column.name} has values other than {', '.join(column.categories)}")
    return pa.DictionaryArray.from_arrays(codes.cast(column.type.index_type), pa.array(column.categories))


def _one(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)


def write_parquet(where: Any, table: pa.Table, row_group_rows: int = ROW_GROUP_ROWS) -> None:
    """Write a table to a path or an Arrow output stream, the way all our files are written."""
    pq.write_table(
        table,
        where,
        row_group_size=row_group_rows,
        compression="zstd",
        compression_level=3,
        use_dictionary=_dictionary_columns(table.schema),  # pyright: ignore[reportArgumentType]
        write_statistics=True,
        data_page_version="1.0",
        version="2.6",
        write_page_checksum=True,
    )


def parquet_bytes(table: pa.Table, declared: Table) -> int:
    """What a table takes as Parquet, written to memory."""
    buffer = BytesIO()
    write_parquet(buffer, conform(table, declared))
    return buffer.tell()


def _dictionary_columns(schema: pa.Schema) -> list[str]:
    """Everything but floats, whose values hardly repeat."""
    columns = []
    for field in schema:
        if pa.types.is_list(field.type):
            columns.append(f"{field.name}.list.element")
        elif not pa.types.is_floating(field.type):
            columns.append(field.name)
    return columns


def _counts(reasons: pa.ChunkedArray) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in reasons.value_counts().to_pylist()}
