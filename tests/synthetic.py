"""A run folder of made-up but consistent routes: every table of the schema, written the way a real run writes them.

Shares are drawn from a Dirichlet distribution, and routes, reach and sums follow from them by a literal walk, so that
`check.check` finds nothing to complain about.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.manifest import Plan, open_plan, write_manifest
from flowatlas.schema import MODEL_TABLES, REMOVALS, TABLES
from flowatlas.shards import Ledger, fingerprint
from flowatlas.writer import write_model_table, write_shard

VOCAB = 40


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a dataset, as far as storage is concerned."""

    prompt_id: int
    source_id: str
    text: str | None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """`n` rows; `changed` names those whose text is another; rows in `bad` (every 13th) have no text."""

    n: int = 30
    changed: tuple[int, ...] = ()
    name: str = "made-up"

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Row]:
        for i in range(start, self.n if stop is None else min(stop, self.n)):
            text = None if i % 13 == 5 else f"prompt {i} says <b>ünï</b>" + "!" * (i in self.changed)
            yield Row(i, f"id-{i}", text)


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the made-up model looks like."""

    layers: int = 3
    heads: int = 4
    floor: float = 0.05
    maps: bool = True
    maps_floor: float = 0.02
    knockouts: bool = True
    lens_k: int = 3
    seed: int = 0


def make_run(
    run_dir: Path, n: int = 30, shard_size: int = 8, shape: Shape = Shape(), shards: list[int] | None = None
) -> Path:
    """A run over `n` rows; `shards` leaves it unfinished with only those done."""
    dataset = Dataset(n)
    plan = plan_of(run_dir, dataset, shard_size, shape)
    for shard in range(len(plan.shards)) if shards is None else shards:
        write_made_up_shard(run_dir, plan, dataset, shard, shape)
    if shards is None:
        finish(run_dir, plan, shape)
    return run_dir


def identity_of(shape: Shape = Shape(), **routes: Any) -> dict[str, Any]:
    """The keys that make a run what it is."""
    return {"routes": {"floor": shape.floor, "targets": "last", **routes}, "run": {"seed": shape.seed}}


def plan_of(run_dir: Path, dataset: Dataset, shard_size: int = 8, shape: Shape = Shape(), **changes: Any) -> Plan:
    """open_plan with the defaults of the made-up run; `changes` are arguments of open_plan."""
    identity = identity_of(shape)
    maps = {"store": shape.maps, "floor": shape.maps_floor}
    config = {**identity, "maps": maps, "model": {"name": "made-up-model"}, "dataset": {"name": dataset.name}}
    arguments: dict[str, Any] = {
        "identity": identity,
        "weights_hash": "ab" * 32,
        "fingerprint": fingerprint(dataset, shard_size),
        "shard_size": shard_size,
        "batch_tokens": 512,
        "config": config,
        "dataset_name": dataset.name,
    }
    return open_plan(run_dir, **(arguments | changes))


def write_made_up_shard(run_dir: Path, plan: Plan, dataset: Dataset, shard: int, shape: Shape = Shape()) -> dict:
    """Write one shard; returns its marker."""
    tables = tables_of(list(dataset.rows(plan.shards[shard].start, plan.shards[shard].stop)), shape)
    return write_shard(run_dir, shard, tables, info_of(plan, shard))


def info_of(plan: Plan, shard: int) -> dict[str, Any]:
    """What the extraction tells the writer about a shard."""
    rows = plan.shards[shard]
    return {
        "first_row": rows.start,
        "n_rows": len(rows),
        "rows_hash": plan.shard_hashes[shard],
        "config_hash": plan.config_hash,
        "seconds": {"forward": 0.5, "routes": 0.25},
        "guard": {"logits": 1e-6 * (shard + 1)},
        "versions": {"torch": "2.0"},
    }


def finish(run_dir: Path, plan: Plan, shape: Shape = Shape()) -> dict[str, Any]:
    """Write the model's tables and the manifest."""
    ids = list(range(VOCAB))
    vocab = {"token_id": ids, "token": [token(i) for i in ids], "special": [i == 0 for i in ids]}
    vocab["logit_bias"] = [0.0] * VOCAB
    write_model_table(run_dir, "vocab", MODEL_TABLES["vocab"].from_columns(vocab))
    rows = [(0, -1, 1, 1, 1, 5, 1.5), (0, -1, 1, -1, 1, 6, -1.5)]
    names = MODEL_TABLES["neuron_tokens"].schema.names
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write_model_table(run_dir, "neuron_tokens", MODEL_TABLES["neuron_tokens"].from_columns(columns))
    model = {"n_layers": shape.layers, "n_heads": shape.heads, "parallel": False}
    return write_manifest(run_dir, plan, Ledger(run_dir), {"model": model})


def token(i: int) -> str:
    """The text of a made-up token."""
    return "<s>" if i == 0 else f" t{i}"


def tables_of(rows: list[Row], shape: Shape = Shape()) -> dict[str, pa.Table]:
    """All tables of a shard. Each prompt depends on its number and the shape alone, not on its shard."""
    tables: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        if row.text is None:
            reject = {"prompt_id": row.prompt_id, "source_id": row.source_id, "reason": "no_text", "detail": "no text"}
            tables["rejects"].append(reject)
        else:
            _Prompt(row, shape, tables).write()
    return {name: table_of(name, tables[name]) for name in TABLES}


def table_of(name: str, rows: list[dict]) -> pa.Table:
    """A table of the schema from one dictionary per row; a missing key is a null."""
    return TABLES[name].from_columns({c: [row.get(c) for row in rows] for c in TABLES[name].schema.names})


def rows_of(run_dir: Path, table: str) -> pa.Table:
    """All rows of a table of a run, as `SELECT * FROM '<table>/*.parquet'` has them."""
    parts = sorted((run_dir / table).glob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(part).read() for part in parts])


class _Prompt:
    """The rows of one prompt in all tables."""

    def __init__(self, row: Row, shape: Shape, tables: dict[str, list[dict]]) -> None:
        self.row, self.shape, self.tables = row, shape, tables
        self.rng = rng = np.random.default_rng([shape.seed, row.prompt_id])
        self.n = n = int(rng.integers(3, 7))
        self.targets: list[int] = [1, n - 1] if row.prompt_id % 3 == 0 else [n - 1]
        self.with_foil = row.prompt_id % 2 == 0
        self.ids = [0, *(int(i) for i in rng.integers(1, VOCAB, n - 1))]
        # attention[l, i]: shares of every (key, head) and, last, of the residual; mlp[l, i]: (MLP, residual)
        self.attention = np.zeros((shape.layers, n, n * shape.heads + 1), np.float32)
        for i in range(n):
            parts = [*range((i + 1) * shape.heads), n * shape.heads]
            self.attention[:, i, parts] = rng.dirichlet([0.5] * len(parts), shape.layers)
        self.mlp = rng.dirichlet([1, 1], (shape.layers, n)).astype(np.float32)
        rng = np.random.default_rng([shape.seed, row.prompt_id, 1])
        self.pattern = np.zeros((shape.layers, n, n, shape.heads), np.float32)  # by query, key, head
        for i in range(n):
            attended = rng.dirichlet([0.5] * (i + 1), (shape.layers, shape.heads))
            self.pattern[:, i, : i + 1] = attended.transpose(0, 2, 1)

    def add(self, table: str, **values: Any) -> None:
        self.tables[table].append({"prompt_id": self.row.prompt_id, **values})

    def write(self) -> None:
        self._prompt()
        reach = {(self.shape.layers - 1, "post", t): (1.0, 1.0) for t in self.targets}
        stored: dict[tuple[int, str, int], float] = defaultdict(float)
        for layer in reversed(range(self.shape.layers)):
            for i in range(self.n):
                self._mlp(layer, i, reach, stored)
            for i in range(self.n):
                self._attention(layer, i, reach, stored)
        columns = {(layer, point, t) for layer, point in self._stream() for t in self.targets}
        for node in sorted(columns | reach.keys()):
            self._node(node, reach.get(node, (0.0, 0.0)), stored[node])
        self._components()
        if self.shape.knockouts:
            self._knockouts()
        if self.shape.maps:
            self._maps()

    def _stream(self) -> list[tuple[int, str]]:
        return [(-1, "post")] + [(layer, point) for layer in range(self.shape.layers) for point in ("mid", "post")]

    def _prompt(self) -> None:
        row, foil = self.row, 3 if self.with_foil else None
        self.add("prompts", source_id=row.source_id, text=row.text, group=("a", "b", None)[row.prompt_id % 3],
                 pair_id=f"p{row.prompt_id // 2}", role=("clean", "corrupt")[row.prompt_id % 2], n_tokens=self.n,
                 token_ids=self.ids, tokens=[token(i) for i in self.ids], targets=self.targets, answer_text=" t2",
                 foil_text=" t3" if foil else None, answer_token_ids=[2], foil_token_ids=[3] if foil else None,
                 extra='{"k": 1}' if row.prompt_id % 4 == 0 else None)  # fmt: skip
        if row.prompt_id % 5 == 0:  # the answer and a second one that is accepted
            for number, answer in enumerate([4, 2], start=1):
                self.add("answers", number=number, text=token(answer), token_ids=[answer], prob=0.25 / (3 - number),
                         rank=4 - number, explained=answer == 2)  # fmt: skip
        if row.prompt_id % 7 == 3:  # its context is full: continued by nothing
            self.add("generated", n_given=self.n, text="", ended=False)
        for t in self.targets:
            last = t == self.targets[-1]
            has_foil = last and foil is not None
            self.add("targets", target=t, predicted_id=(row.prompt_id % (VOCAB - 1)) + 1, predicted_prob=0.5,
                     answer_id=2 if last else self.ids[t + 1], answer_from="dataset" if last else "next_token",
                     answer_prob=0.25, answer_rank=2, foil_id=foil if has_foil else None,
                     foil_prob=0.125 if has_foil else None, foil_rank=4 if has_foil else None,
                     logsumexp=3.0)  # fmt: skip
            for kind, index, layer in [("embed", 0, -1), ("mlp", 0, 0), ("head", 1, 1)]:
                self.add("logit_effects", target=t, layer=layer, component=kind, index=index, effect_answer=0.5,
                         effect_foil=-0.5 if has_foil else None)  # fmt: skip

    def _edge(self, stored: dict, share: float, dst: tuple[int, str, int], kind: str, src: int, head: int = -1) -> bool:
        if not share > self.shape.floor:
            return False
        layer, _, position = dst
        attention = float(self.pattern[layer, position, src, head]) if head >= 0 else None
        self.add("edges", layer=layer, kind=kind, dst=position, src=src, head=head, share=share, attention=attention)
        if head < 0:
            stored[dst] += share
        return True

    def _reached(
        self, reach: dict, dst: tuple[int, str, int], src: tuple[int, str, int], share: float, one: float
    ) -> None:
        width = reach[dst]
        through = (min(width[0], share), min(width[1], one) if one > self.shape.floor else 0.0)
        before = reach.get(src, (0.0, 0.0))
        reach[src] = (max(before[0], through[0]), max(before[1], through[1]))

    def _mlp(self, layer: int, i: int, reach: dict, stored: dict) -> None:
        dst = (layer, "post", i)
        if dst not in reach:
            return
        for kind, share in zip(("mlp", "resid_mlp"), map(float, self.mlp[layer, i]), strict=True):
            if self._edge(stored, share, dst, kind, i):
                self._reached(reach, dst, (layer, "mid", i), share, share)
        self.add("neurons", layer=layer, pos=i, expert=-1, neuron=1, share=0.1, activation=-1.0, write_scale=2.0)

    def _attention(self, layer: int, i: int, reach: dict, stored: dict) -> None:
        dst = (layer, "mid", i)
        if dst not in reach:
            return
        residual = float(self.attention[layer, i, -1])
        if self._edge(stored, residual, dst, "resid_attn", i):
            self._reached(reach, dst, (layer - 1, "post", i), residual, residual)
        heads = self.attention[layer, i, :-1].reshape(self.n, self.shape.heads)
        for j in range(i + 1):
            total = float(np.float32(heads[j].sum()))
            if self._edge(stored, total, dst, "attn", j):
                self._reached(reach, dst, (layer - 1, "post", j), total, float(heads[j].max()))
            for h in range(self.shape.heads):
                self._edge(stored, float(heads[j, h]), dst, "attn", j, h)

    def _node(self, node: tuple[int, str, int], reach: tuple[float, float], stored_share: float) -> None:
        layer, point, position = node
        at_target, foil = position in self.targets, self.with_foil and position == self.targets[-1]
        self.add("nodes", layer=layer, point=point, pos=position, reach_summed=reach[0], reach_per_head=reach[1],
                 stored_share=stored_share, bias_share=0.01, norm=1.0 + layer, entropy=0.5, logsumexp=3.0,
                 answer_rank=2 if at_target else None, answer_logit=1.0 if at_target else None,
                 foil_rank=4 if foil else None, foil_logit=0.5 if foil else None)  # fmt: skip
        tokens = self.rng.choice(np.arange(1, VOCAB), self.shape.lens_k, replace=False)
        for k, token_id in enumerate(tokens):
            self.add("lens", layer=layer, point=point, pos=position, raw=False, rank=k + 1, token_id=int(token_id),
                     logit=2.0 - k, prob=0.3 / (k + 1), prev_rank=None if layer < 0 else k + 2)  # fmt: skip
        if layer >= 0:
            for sign, rank in [(1, 1), (1, 2), (-1, 1)]:
                self.add("writes", layer=layer, component="attn" if point == "mid" else "mlp", index=0, pos=position,
                         sign=sign, rank=rank, token_id=int(tokens[0]), score=float(sign))  # fmt: skip

    def _components(self) -> None:
        for layer in range(self.shape.layers):
            per_head = self.attention[layer, :, :-1].reshape(self.n, self.n, self.shape.heads).sum(1)
            columns = {("head", h): per_head[:, h] for h in range(self.shape.heads)}
            columns |= {("resid_attn", 0): self.attention[layer, :, -1]}
            columns |= {("mlp", 0): self.mlp[layer, :, 0], ("resid_mlp", 0): self.mlp[layer, :, 1]}
            for (component, index), share in columns.items():
                self.add("components", layer=layer, component=component, index=index, mean_share=float(share.mean()),
                         target_share=float(share[self.targets[-1]]), route_tau=0.0)  # fmt: skip

    def _knockouts(self) -> None:
        rng = np.random.default_rng([self.shape.seed, self.row.prompt_id, 2])
        for layer, removal in itertools.product(range(self.shape.layers), REMOVALS):
            for component, index in (*(("head", h) for h in range(self.shape.heads)), ("mlp", 0)):
                effects = {"effect_answer": rng.normal(), "effect_foil": rng.normal() if self.with_foil else None}
                effects |= {"effect_logprob": rng.normal(), "divergence": rng.random()}
                self.add("knockouts", target=self.targets[-1], layer=layer, component=component, index=index,
                         removal=removal, route_tau=0.0, answer_rank=1, **effects)  # fmt: skip

    def _maps(self) -> None:
        shape = (self.shape.layers, self.n, self.n, self.shape.heads)
        shares = self.attention[..., :-1].reshape(shape)
        above = (shares > self.shape.maps_floor) | (self.pattern > self.shape.maps_floor)
        for layer, i, j, h in np.argwhere(above).tolist():
            self.add("maps", layer=layer, head=h, dst=i, src=j, share=float(shares[layer, i, j, h]),
                     attention=float(self.pattern[layer, i, j, h]))  # fmt: skip
