"""A run's tables as DuckDB views, and what every statistic over its prompts shares: groups, thresholds, units of drawing.

DuckDB reads the shards' Parquet piece by piece and spills what does not fit into its share of memory, so a run of any
size can be asked. Only finished shards are seen; a run that is not complete has the statistics of what is there.
"""

import os
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from flowatlas.errors import RunError, UnfinishedError
from flowatlas.schema import TABLES, Table
from flowatlas.shards import part_path
from flowatlas.site_data import RunReader

MEMORY = "1GB"  # DuckDB's own limit; arrays of the statistics come on top
THREADS = 4
BINS = 512  # units that are drawn in bootstraps and permutations; up to so many prompts, each is its own
MOST_GROUPS = 100  # prompts of smaller groups count as those without a group; one group a prompt would be no group
UNGROUPED = -1
N_TAUS = 5
LEAST_TAU, LARGEST_TAU = 0.01, 0.5


class Corpus:
    """A run's finished shards. Use as a context manager. Raises RunError when made from what is no run with a done shard.

    Tables of the run are views of their own names. `units` (prompt_id, g, bin) deals prompts to groups and bins;
    Files of the tables `required` are held against their markers first: DuckDB reads a flipped bit as another number.
    `ends` (prompt_id, target, n_tokens) has the last target, of a prompt that the model continued that of the text as given.
    """

    def __init__(
        self, run_dir: Path, memory: str = MEMORY, threads: int | None = None, required: Iterable[str] = ()
    ) -> None:
        self.reader = RunReader(run_dir)
        self.reader.require(required)
        self._spill = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.connection = duckdb.connect(
            config={
                "memory_limit": memory,
                "threads": threads or min(THREADS, os.cpu_count() or 1),
                "temp_directory": self._spill.name,
                "preserve_insertion_order": False,
            }
        )
        self._open()

    def _open(self) -> None:
        """Make the views of the tables."""
        views(self.connection, self.reader)

    @property
    def readers(self) -> list[RunReader]:
        """The runs it is made of."""
        return [self.reader]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()
        self._spill.cleanup()

    def execute(self, sql: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        """Run SQL. Raises RunError for a file that cannot be read, UnfinishedError when memory or disk do not suffice."""
        try:
            return self.connection.execute(sql, parameters)
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise UnfinishedError(f"statistics of {self._names()} need more memory or temporary disk") from error
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise RunError(f"{self._names()} cannot be read: `flowatlas check` says what to do") from error

    def _names(self) -> str:
        return " or ".join(str(reader.run_dir) for reader in self.readers)

    def arrays(self, sql: str, parameters: Any = None) -> dict[str, Any]:
        """The columns of a query; nulls of numbers become NaN."""
        found = self.execute(sql, parameters).fetchnumpy()
        return {name: _plain(values) for name, values in found.items()}

    def one(self, sql: str, parameters: Any = None) -> tuple[Any, ...]:
        """The first row of a query."""
        return self.execute(sql, parameters).fetchall()[0]

    def register(self, name: str, columns: dict[str, np.ndarray]) -> None:
        """Make a table of arrays."""
        self.connection.register("_given", pa.table({key: pa.array(values) for key, values in columns.items()}))
        self.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM _given")
        self.connection.unregister("_given")

    def rng(self, *names: object) -> np.random.Generator:
        """A generator of its own for each purpose, the same in every build."""
        seed = int(self.reader.plan.config.get("run", {}).get("seed") or 0)
        return np.random.default_rng([seed, *"/".join(map(str, names)).encode()])

    @property
    def floor(self) -> float:
        """The largest floor of its runs: from there on their edges are all stored."""
        return max(float(reader.plan.config["routes"]["floor"]) for reader in self.readers)

    @cached_property
    def taus(self) -> list[float]:
        """Five thresholds from the floor (0.01 at least), each twice the one before, or closer together under 0.5."""
        first = max(LEAST_TAU, self.floor)
        step = min(2.0, (max(LARGEST_TAU, first**0.5) / first) ** (1 / (N_TAUS - 1)))
        return [float(np.float32(round(first * step**k, 4))) for k in range(N_TAUS)]

    @cached_property
    def groups(self) -> list[str]:
        """Names of the groups, the MOST_GROUPS largest, in order; a group's code `g` is its place here."""
        found = self.execute(
            'SELECT "group" FROM prompts WHERE "group" IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?',
            [MOST_GROUPS],
        )
        return sorted(row[0] for row in found.fetchall())

    @property
    def codes(self) -> list[int]:
        """The codes of groups that have prompts, that of prompts without a group included."""
        return [int(row[0]) for row in self.execute("SELECT DISTINCT g FROM units ORDER BY 1").fetchall()]

    def scopes(self) -> list[tuple[str | None, int | None]]:
        """All prompts (None, None), then each group that has prompts with its code."""
        return [(None, None), *((self.groups[g], g) for g in self.codes if g != UNGROUPED)]

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Layers and heads per layer."""
        heads = "coalesce(max(index) FILTER (component = 'head') + 1, 0)"
        layers, heads = self.one(f"SELECT coalesce(max(layer) + 1, 0), {heads} FROM components")
        return int(layers), int(heads)

    def prepare(self) -> None:
        """Make `units` and `ends`."""
        names = {name: code for code, name in enumerate(self.groups)}
        found = self.arrays('SELECT prompt_id, "group" AS name FROM prompts ORDER BY prompt_id')
        codes = np.array([names.get(name, UNGROUPED) for name in found["name"].tolist()], np.int32)
        self.register(
            "units", {"prompt_id": found["prompt_id"], "g": codes, "bin": deal(self.rng("units"), len(codes))}
        )
        self.execute(
            "CREATE TEMP TABLE ends AS SELECT prompt_id, any_value(n_tokens) AS n_tokens, "
            "max(target) FILTER (n_given IS NULL OR target < n_given)::INTEGER AS target "
            "FROM targets JOIN prompts USING (prompt_id) LEFT JOIN generated USING (prompt_id) GROUP BY prompt_id"
        )


# One integer that orders a prompt's edges by share, then by position, so that equal shares have one winner in every
# build: 30 bits of share (exact for a float32 from 1/64 up; 1 is the last of them) and 17 each of dst and src (contexts up to
# 131071 tokens).
_BITS, _SHARE_UNITS = 17, 1 << 30
_MASK = (1 << _BITS) - 1


def peak(dst: str, src: str) -> str:
    """SQL of a number that is largest where the column `share` is, then where dst and then src are smallest."""
    return (
        f"((least((share::DOUBLE * {_SHARE_UNITS})::UBIGINT, {_SHARE_UNITS - 1}::UBIGINT) << {2 * _BITS}) | "
        f"(({_MASK} - {dst})::UBIGINT << {_BITS}) | ({_MASK} - {src})::UBIGINT)"
    )


def of_peak(key: str) -> str:
    """SQL of the columns dst, src and share that such a number holds."""
    return (
        f"{_MASK} - (({key} >> {_BITS}) & {_MASK})::INTEGER AS dst, {_MASK} - ({key} & {_MASK})::INTEGER AS src, "
        f"(({key} >> {2 * _BITS})::DOUBLE / {_SHARE_UNITS})::FLOAT AS share"
    )


def views(connection: duckdb.DuckDBPyConnection, reader: RunReader, prefix: str = "") -> None:
    """Make a view of each table of a run, over its finished shards; their names begin with the prefix. Raises RunError."""
    for name, declared in TABLES.items():
        parts = [part_path(reader.run_dir, name, shard) for shard in reader.shards]
        files = ", ".join(quoted(path) for path in parts if path.exists())
        if files:
            try:
                connection.execute(f"CREATE VIEW {prefix}{name} AS SELECT * FROM read_parquet([{files}])")
            except duckdb.Error as error:  # it reads the footers
                again = f"`flowatlas check {reader.run_dir}` says what to do"
                raise RunError(f"{name} of {reader.run_dir} cannot be read: {again}") from error
        else:  # a table that runs of this version had not yet
            connection.register(prefix + name, declared.empty())


def quoted(path: Path) -> str:
    """A path as SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def deal(rng: np.random.Generator, n: int, n_bins: int | None = None) -> np.ndarray:
    """Deal n things at random to bins [thing] whose sizes differ by 1 at most; alone in theirs where there are enough bins."""
    bins = np.empty(n, np.int32)
    bins[rng.permutation(n)] = np.arange(n) % (n_bins or BINS)
    return bins


def to_table(declared: Table, columns: dict[str, Any]) -> pa.Table:
    """Columns (arrays or lists; NaN and None are nulls) as an Arrow table of a declared schema."""
    arrays = []
    for column in declared.columns:
        type_ = pa.string() if pa.types.is_dictionary(column.type) else column.type
        arrays.append(pa.array(columns[column.name], from_pandas=True).cast(type_))
    if extra := columns.keys() - set(declared.schema.names):
        raise ValueError(f"{declared.name} has no column {', '.join(sorted(extra))}")
    return pa.table(arrays, names=declared.schema.names)


def _plain(values: Any) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype == object:
            return values.filled(None)
        return np.where(values.mask, np.nan, values.data.astype(np.float64)) if values.mask.any() else values.data
    return np.asarray(values)
