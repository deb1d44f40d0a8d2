"""A run's tables, read prompt range by prompt range, as the page wants them.

One shard of each table is in memory at a time, so a run of any number of prompts can be published. A run that is not
complete is published from the shards that are done.
"""

import io
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas import written
from flowatlas.errors import RunError
from flowatlas.manifest import find_manifest, read_plan, summary
from flowatlas.schema import TABLES
from flowatlas.seal import sealed
from flowatlas.shards import Ledger, part_path
from flowatlas.stored_prompts import given_targets
from flowatlas.writer import write_parquet

BUCKETED = (
    *("prompts", "targets", "nodes", "edges", "lens", "components", "neurons", "writes", "logit_effects", "knockouts"),
    *("neuron_effects", "dominant_neurons", "answers", "generated"),
)
EAGER = ("prompts", "targets", "nodes", "edges", "lens", "tokens")

SLIM = pa.schema(
    [
        pa.field("prompt_id", pa.int32(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("pair_id", pa.string()),
        pa.field("role", pa.string()),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("answer_text", pa.string()),
        pa.field("foil_text", pa.string()),
        pa.field("n_targets", pa.int32(), nullable=False),
        pa.field("target", pa.int32(), nullable=False),
        pa.field("predicted", pa.string(), nullable=False),
        pa.field("predicted_prob", pa.float32(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("answer_prob", pa.float32(), nullable=False),
        pa.field("answer_rank", pa.int32(), nullable=False),
        pa.field("foil_rank", pa.int32()),
    ]
)
# What a list is sorted and filtered by; small enough to be fetched for all prompts at once.
LISTING = pa.schema(
    [SLIM.field(name) for name in ("prompt_id", "group", "n_tokens", "predicted_prob", "answer_prob", "answer_rank")]
)
PARTNERS = pa.schema(
    [
        pa.field("prompt_id", pa.int32(), nullable=False),
        pa.field("other_id", pa.int32(), nullable=False),
        pa.field("role", pa.string()),
    ]
)
MOST_PARTNERS = 6  # of a prompt; a pair has one
TOKENS = pa.schema(
    [
        pa.field("token_id", pa.int32(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("special", pa.bool_(), nullable=False),
    ]
)


class RunReader:
    """The finished shards of a run. Raises RunError when made from what is no run of this schema with a done shard."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir, self.plan, ledger = run_dir, read_plan(run_dir), Ledger(run_dir)
        markers = [ledger.finished(shard) for shard in range(len(self.plan.shards))]
        self.shards = [shard for shard, marker in enumerate(markers) if marker]
        if not self.shards:
            raise RunError(f"{run_dir} has no finished shard yet: give its `flowatlas run` command again first")
        manifest = find_manifest(run_dir, self.plan) if all(markers) else None
        self.complete = manifest is not None
        self.manifest: dict[str, Any] = manifest or summary(run_dir, self.plan, [m for m in markers if m])
        self._entries = {shard: marker["tables"] for shard, marker in enumerate(markers) if marker}
        self._again = f"`flowatlas check {run_dir}` says what to do"
        self._open: dict[str, tuple[int, pa.Table]] = {}

    def rows(self, table: str, first: int, stop: int) -> pa.Table:
        """The rows of prompts [first, stop), sorted by prompt_id; the schema's types without its notes."""
        size, last = self.plan.shard_size, min(stop, self.plan.n_rows) - 1
        pieces = []
        for shard in range(first // size, last // size + 1):
            if shard in self._entries:
                whole = self.shard(table, shard)
                begin, end = np.searchsorted(whole["prompt_id"].to_numpy(), [first, stop])
                pieces.append(whole.slice(begin, end - begin))
        return pa.concat_tables(pieces).combine_chunks() if pieces else bare(TABLES[table].empty())

    def shard(self, table: str, shard: int) -> pa.Table:
        """One shard of a table; the latest of each table is kept. Raises RunError when it is not the file that was written."""
        if self._open.get(table, (-1,))[0] != shard:
            self._open.pop(table, None)
            entry = self._entries[shard].get(table)
            if entry is None:  # one of LATER_TABLES: `finished` has seen to the others
                return bare(TABLES[table].empty())
            path = part_path(self.run_dir, table, shard)
            rows = written.read_table(path, entry.get("sha256"), self._again)
            self._open[table] = shard, self._cut(table, bare(rows))
        return self._open[table][1]

    def require(self, tables: Iterable[str]) -> None:
        """Hold the files of tables against their markers, before DuckDB reads them. Raises RunError for one that is another."""
        for shard, entries in self._entries.items():
            for table in tables:
                if (entry := entries.get(table)) is not None:
                    written.require(part_path(self.run_dir, table, shard), entry.get("sha256"), self._again)

    def model_file(self, table: str) -> bytes | None:
        """A table of the model as it lies there; None while the run has none. Raises RunError when it is not as written."""
        entry = self.manifest.get("model_tables", {}).get(table)
        path = self.run_dir / "model" / f"{table}.parquet"
        return None if entry is None else written.read(path, entry.get("sha256"), self._again)

    @property
    def n_prompts(self) -> int:
        """Prompts that are seen here."""
        return self.manifest["counts"]["prompts"]

    @property
    def described(self) -> dict[str, Any] | None:
        """What is seen of the run, where that is not all of it."""
        return None

    def has(self, table: str) -> bool:
        """Whether the rows of a table (of the run, the model, or its statistics) are seen here."""
        return True

    def kept(self, table: pa.Table, column: str = "prompt_id") -> pa.Table:
        """The rows of any table that are about prompts seen here; all of a table without such a column."""
        return table

    def _cut(self, name: str, table: pa.Table) -> pa.Table:
        """What is seen of a shard's table."""
        return table

    @cached_property
    def vocabulary(self) -> "Vocabulary":
        """The texts of tokens; those of the prompts alone while the run has no `model/vocab.parquet` yet."""
        data = self.model_file("vocab")
        if data is None:
            return Vocabulary(self._texts_in_prompts(), set())
        table = pq.read_table(io.BytesIO(data), columns=["token_id", "token", "special"])
        ids = table["token_id"].to_pylist()
        special = {id_ for id_, is_special in zip(ids, table["special"].to_pylist(), strict=True) if is_special}
        return Vocabulary(dict(zip(ids, table["token"].to_pylist(), strict=True)), special)

    def _texts_in_prompts(self) -> dict[int, str]:
        texts: dict[int, str] = {}
        for shard in self.shards:
            prompts = self.shard("prompts", shard)
            ids, tokens = _flat(prompts["token_ids"]).to_pylist(), _flat(prompts["tokens"]).to_pylist()
            texts.update(zip(ids, tokens, strict=True))
        return texts

    def bucket(self, k: int, n: int) -> dict[str, pa.Table]:
        """Bucket k of n prompts: its rows of every bucketed table, and what only a site has.

        That is `tokens`, the part of the vocabulary that they name, and `partners`, the others of the prompts' pairs.
        """
        tables = {table: self.rows(table, k * n, (k + 1) * n) for table in BUCKETED}
        return tables | {"tokens": self._tokens(tables), "partners": self._partners(tables["prompts"])}

    def maps(self, k: int, n: int) -> pa.Table:
        """Bucket k of n prompts of the maps."""
        return self.rows("maps", k * n, (k + 1) * n)

    @property
    def maps_config(self) -> dict[str, Any]:
        """`store` and `floor` of the run's maps; a run from before there were any stores none."""
        return {"store": False, "floor": None, **self.plan.config.get("maps", {})}

    def _tokens(self, tables: dict[str, pa.Table]) -> pa.Table:
        targets = tables["targets"]
        columns = [tables["lens"]["token_id"], tables["writes"]["token_id"], _flat(tables["prompts"]["token_ids"])]
        columns += [targets["predicted_id"], targets["answer_id"], targets["foil_id"].drop_null()]
        ids = np.unique(np.concatenate([column.to_numpy(zero_copy_only=False) for column in map(_array, columns)]))
        return self.vocabulary.table(ids.astype(np.int32))

    def _partners(self, prompts: pa.Table) -> pa.Table:
        rows: list[tuple[int, int, str | None]] = []
        for id_, pair in zip(prompts["prompt_id"].to_pylist(), prompts["pair_id"].to_pylist(), strict=True):
            others = [one for one in self._pairs.get(pair, []) if one[0] != id_]
            rows += [(id_, *other) for other in others[:MOST_PARTNERS]]
        columns = zip(*rows, strict=True) if rows else ([], [], [])
        return pa.table([list(column) for column in columns], schema=PARTNERS)

    @cached_property
    def _pairs(self) -> dict[str, list[tuple[int, str | None]]]:
        """The prompts (id, role) of each pair of several, ascending."""
        pairs: dict[str, list[tuple[int, str | None]]] = {}
        for shard in self.shards:
            prompts = self.shard("prompts", shard)
            columns = (prompts[name].to_pylist() for name in ("pair_id", "prompt_id", "role"))
            for pair, id_, role in zip(*columns, strict=True):
                if pair is not None:
                    pairs.setdefault(pair, []).append((id_, role))
        return {pair: members for pair, members in pairs.items() if len(members) > 1}

    def slim(self) -> Iterator[pa.Table]:
        """The list of prompts, shard by shard: who it is, what was expected, and what the target of that came to."""
        for shard in self.shards:
            prompts, targets = self.shard("prompts", shard), self.shard("targets", shard)
            yield _slim(prompts, given_targets(targets, self.shard("generated", shard)), self.vocabulary)

    def buckets(self, n: int) -> list[int]:
        """The buckets of n prompts that the finished shards have rows of the dataset in."""
        found = set()
        for shard in self.shards:
            rows = self.plan.shards[shard]
            found.update(range(rows.start // n, (rows.stop - 1) // n + 1))
        return sorted(found)


class Vocabulary:
    """Token texts by id; a token without a text is shown as `#id`. `special` are the ids of control tokens."""

    def __init__(self, texts: dict[int, str], special: set[int]) -> None:
        self._texts, self.special = texts, special

    def texts(self, ids: list[int]) -> list[str]:
        return [self._texts.get(id_, f"#{id_}") for id_ in ids]

    def all(self) -> tuple[list[int], list[str]]:
        """Every token that is known, with its text, in order."""
        ids = sorted(self._texts)
        return ids, [self._texts[id_] for id_ in ids]

    def table(self, ids: np.ndarray) -> pa.Table:
        """`tokens` rows for the given ids, int32."""
        listed = ids.tolist()
        return pa.table([listed, self.texts(listed), [id_ in self.special for id_ in listed]], schema=TOKENS)


def _slim(prompts: pa.Table, targets: pa.Table, vocabulary: Vocabulary) -> pa.Table:
    of, target = targets["prompt_id"].to_numpy(), targets["target"].to_numpy()
    order = np.lexsort([target, of])
    end = np.searchsorted(of[order], prompts["prompt_id"].to_numpy(), side="right")
    last = targets.take(pa.array(order[end - 1])) if len(order) else targets
    columns = {name: prompts[name] for name in SLIM.names if name in prompts.column_names}
    columns |= {name: last[name] for name in SLIM.names if name in last.column_names and name != "prompt_id"}
    columns["n_targets"] = pa.array([len(targets) for targets in prompts["targets"].to_pylist()], pa.int32())
    columns["predicted"] = pa.array(vocabulary.texts(last["predicted_id"].to_pylist()), pa.string())
    columns["answer"] = pa.array(vocabulary.texts(last["answer_id"].to_pylist()), pa.string())
    return pa.table([columns[name] for name in SLIM.names], schema=SLIM)


def encode(table: pa.Table) -> bytes:
    """A table as the bytes of a sealed Parquet file of one row group (the page fetches files whole)."""
    sink = pa.BufferOutputStream()
    write_parquet(sink, table, row_group_rows=max(1, table.num_rows))
    return sealed(memoryview(sink.getvalue()))


def bare(table: pa.Table) -> pa.Table:
    """Without the columns' notes, which would be half of a small file."""
    schema = pa.schema([field.remove_metadata() for field in table.schema])
    return pa.table(table.columns, schema=schema)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return _array(column).flatten()


def _array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
