"""Runs in which it is known what the statistics must find: made-up runs with some of their tables replaced."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.shards import Ledger
from flowatlas.stats import make
from flowatlas.writer import write_shard
from synthetic import Dataset, Shape, finish, info_of, plan_of, table_of, tables_of

SHAPE = Shape()
Edit = Callable[[dict[str, pa.Table]], dict[str, pa.Table]]


def edited_run(folder: Path, n: int, edit: Edit, shape: Shape = SHAPE, shard_size: int = 16) -> Path:
    """A made-up run of n rows whose shards went through `edit`."""
    dataset = Dataset(n)
    plan = plan_of(folder, dataset, shard_size, shape)
    for shard, rows in enumerate(plan.shards):
        tables = edit(tables_of(list(dataset.rows(rows.start, rows.stop)), shape))
        write_shard(folder, shard, tables, info_of(plan, shard))
    finish(folder, plan, shape)
    assert len(Ledger(folder).done(range(len(plan.shards)))) == len(plan.shards)
    return folder


def changed(table: pa.Table, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> pa.Table:
    """The table `name` with every row changed."""
    return table_of(name, [change(row) for row in table.to_pylist()])


def stats_of(run: Path, table: str, **where: Any) -> list[dict[str, Any]]:
    """Rows of a table of statistics (made first), those whose columns have the given values."""
    if not (run / "stats").exists():
        make(run)
    rows = pq.read_table(run / "stats" / f"{table}.parquet").to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def one_of(run: Path, table: str, **where: Any) -> dict[str, Any]:
    """The one such row."""
    (row,) = stats_of(run, table, **where)
    return row
