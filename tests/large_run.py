"""A run of as many prompts as one likes, within minutes: one made-up shard, written again and again under other ids.

Numbers repeat from shard to shard; texts, lengths of lists, groups, pairs and probabilities do not, because those are what a
list of prompts is searched, sorted and filtered by.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from flowatlas.writer import write_shard
from synthetic import Dataset, Row, Shape, finish, info_of, plan_of, tables_of

SHARD_ROWS = 500
SHAPE = Shape(layers=4, heads=4, maps=False, knockouts=False)
WORDS = re.findall(
    r"\w+",
    """when anna and john went to the store gave a drink capital of france is paris monday tuesday wednesday river keys
    near old cabinets are counting one two three morning evening letter garden window teacher answer question music story
    between under over yesterday tomorrow never always seldom bright quiet narrow heavy green silver wooden paper coffee
    bridge island mountain harbour railway doctor farmer painter engineer captain sister brother neighbour stranger""",
)


@dataclasses.dataclass(frozen=True)
class LargeDataset(Dataset):
    """Rows whose texts are a dozen random words, always the same ones; none is bad."""

    name: str = "large"

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Row]:
        for i in range(start, self.n if stop is None else min(stop, self.n)):
            rng = np.random.default_rng([7, i])
            words = [WORDS[k] for k in rng.integers(0, len(WORDS), 12)]
            yield Row(i, f"id-{i}", " ".join([*words, f"number {i}"]))


def make_large_run(run_dir: Path, n: int, shape: Shape = SHAPE) -> Path:
    """A complete run of n prompts in shards of SHARD_ROWS, of which n must be a multiple."""
    dataset = LargeDataset(n)
    plan = plan_of(run_dir, dataset, SHARD_ROWS, shape)
    model_shard = tables_of(list(dataset.rows(0, SHARD_ROWS)), shape)
    for shard in range(len(plan.shards)):
        write_shard(run_dir, shard, _moved(model_shard, dataset, shard), info_of(plan, shard))
    finish(run_dir, plan, shape)
    return run_dir


def _moved(tables: dict[str, pa.Table], dataset: LargeDataset, shard: int) -> dict[str, pa.Table]:
    """The shard's tables under its own ids, with its own texts and probabilities."""
    first = shard * SHARD_ROWS
    ids = {name: pa.array(table["prompt_id"].to_numpy() + first, pa.int32()) for name, table in tables.items()}
    moved = {name: _with(table, "prompt_id", ids[name]) for name, table in tables.items()}
    rows = list(dataset.rows(first, first + SHARD_ROWS))
    prompts, rng = moved["prompts"], np.random.default_rng([11, shard])
    columns = {
        "text": [row.text for row in rows],
        "source_id": [row.source_id for row in rows],
        "pair_id": [f"p{row.prompt_id // 2}" for row in rows],
        "group": [f"group {k}" for k in rng.integers(0, 12, len(rows))],
    }
    for name, values in columns.items():
        prompts = _with(prompts, name, pa.array(values))
    n_targets = moved["targets"].num_rows
    targets = _with(moved["targets"], "answer_prob", pa.array(rng.random(n_targets, np.float32)))
    targets = _with(targets, "answer_rank", pa.array(rng.integers(1, 400, n_targets), pa.int32()))
    return moved | {"prompts": prompts, "targets": targets}


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values.cast(table.schema.field(at).type))
