"""What `flowatlas stats` costs: makes a run of the given size and measures seconds and peak memory in a process of its own.

    python tests/measure_stats.py [--edges 10000000] [--folder FOLDER]

The run is made up, with the shape of GPT-2 small (12 layers, 12 heads, 3072 neurons) and routes of the last token: shares
are random, and sizes are those of real runs (about 1000 edges, 1000 neurons and 200 nodes a prompt).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.plan import Plan
from flowatlas.schema import TABLES
from flowatlas.writer import write_shard
from synthetic import Dataset, Shape, finish, info_of, plan_of

LAYERS, HEADS, NEURONS = 12, 12, 3072
EDGES, STORED_NEURONS, NODES = 1000, 1000, 200  # a prompt
GROUPS = ("a", "b", "c", "d", "e")
SHAPE = Shape(layers=LAYERS, heads=HEADS, floor=0.01, maps=False, knockouts=False)


def make_big_run(folder: Path, n_edges: int, shard_size: int = 512) -> Path:
    """A run of about n_edges edges."""
    dataset = Dataset(n_edges // EDGES * 13 // 12)  # every 13th row is rejected
    plan = plan_of(folder, dataset, shard_size, SHAPE)
    for shard, rows in enumerate(plan.shards):
        _write(folder, plan, shard, np.array([i for i in rows if i % 13 != 5]), rows)
    finish(folder, plan, SHAPE)
    return folder


def _write(folder: Path, plan: Plan, shard: int, ids: np.ndarray, rows: range) -> None:
    rng = np.random.default_rng([7, shard])
    lengths = rng.integers(20, 41, len(ids))
    rejects = [i for i in rows if i % 13 == 5]
    columns: dict[str, dict[str, Any]] = {
        "prompts": _prompts(rng, ids, lengths),
        "targets": _targets(rng, ids, lengths),
        "nodes": _nodes(rng, ids, lengths),
        "edges": _edges(rng, ids, lengths),
        "components": _components(rng, ids),
        "neurons": _neurons(rng, ids, lengths),
        "logit_effects": _effects(rng, ids, lengths),
        "rejects": {"prompt_id": rejects, "source_id": [str(i) for i in rejects], "reason": ["no_text"] * len(rejects)},
    }
    columns["rejects"]["detail"] = ["no text"] * len(rejects)
    tables = {
        name: TABLES[name].from_columns(columns[name]) if name in columns else TABLES[name].empty() for name in TABLES
    }
    write_shard(folder, shard, tables, info_of(plan, shard))


def _prompts(rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    tokens = [[0, *rng.integers(1, 40, n - 1).tolist()] for n in lengths]
    none = [None] * len(ids)
    return {
        "prompt_id": ids, "source_id": [str(i) for i in ids], "text": [f"prompt {i}" for i in ids],
        "group": [GROUPS[i % len(GROUPS)] for i in ids], "pair_id": [f"p{i // 2}" for i in ids],
        "role": [("clean", "corrupt")[i % 2] for i in ids], "n_tokens": lengths, "token_ids": tokens,
        "tokens": [[f" t{t}" for t in row] for row in tokens], "targets": [[int(n) - 1] for n in lengths],
        "answer_text": none, "foil_text": none, "answer_token_ids": none, "foil_token_ids": none, "extra": none,
    }  # fmt: skip


def _targets(rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    n, one = len(ids), np.ones(len(ids), np.int32)
    return {
        "prompt_id": ids, "target": lengths - 1, "predicted_id": one, "predicted_prob": _shares(rng, n), "answer_id": one,
        "answer_from": ["dataset"] * n, "answer_prob": _shares(rng, n), "answer_rank": rng.integers(1, 3, n),
        "foil_id": one, "foil_prob": _shares(rng, n), "foil_rank": one, "logsumexp": _shares(rng, n),
    }  # fmt: skip


def _edges(rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    prompt, n = np.repeat(ids, EDGES), len(ids) * EDGES
    dst = (rng.random(n) * np.repeat(lengths, EDGES)).astype(np.int32)
    kind = rng.choice(4, n, p=[0.85, 0.05, 0.05, 0.05])
    src = np.where(kind == 0, (rng.random(n) * (dst + 1)).astype(np.int32), dst)
    head = np.where(kind == 0, rng.integers(-1, HEADS, n), -1)
    kinds = np.array(["attn", "resid_attn", "mlp", "resid_mlp"], object)[kind]
    attention = pa.array(_shares(rng, n), mask=head < 0)
    return {
        "prompt_id": prompt, "layer": rng.integers(0, LAYERS, n), "kind": kinds, "dst": dst, "src": src, "head": head,
        "share": _shares(rng, n), "attention": attention,
    }  # fmt: skip


def _nodes(rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    nodes = np.arange(NODES)
    n, most = len(ids) * NODES, np.repeat(lengths, NODES)
    numbers = {
        name: _shares(rng, n) for name in ("reach_summed", "reach_per_head", "stored_share", "bias_share", "norm")
    }
    none = pa.nulls(n, pa.int32())
    return {
        "prompt_id": np.repeat(ids, NODES), "layer": np.tile(nodes % LAYERS, len(ids)),
        "point": np.array(["mid", "post"], object)[np.tile(nodes // LAYERS % 2, len(ids))],
        "pos": np.tile(nodes // (2 * LAYERS), len(ids)) % most, **numbers, "entropy": _shares(rng, n),
        "logsumexp": _shares(rng, n), "answer_rank": none, "answer_logit": none.cast(pa.float32()), "foil_rank": none,
        "foil_logit": none.cast(pa.float32()),
    }  # fmt: skip


def _neurons(rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    n, per_node = len(ids) * STORED_NEURONS, 10
    node = np.tile(np.arange(STORED_NEURONS) // per_node, len(ids))
    return {
        "prompt_id": np.repeat(ids, STORED_NEURONS), "layer": node % LAYERS,
        "pos": node // LAYERS, "expert": np.full(n, -1), "neuron": (NEURONS * rng.random(n) ** 3).astype(np.int32),
        "share": _shares(rng, n), "activation": _shares(rng, n), "write_scale": _shares(rng, n),
    }  # fmt: skip


def _components(rng: np.random.Generator, ids: np.ndarray) -> dict[str, Any]:
    parts = [(layer, "head", h) for layer in range(LAYERS) for h in range(HEADS)]
    parts += [(layer, kind, 0) for layer in range(LAYERS) for kind in ("mlp", "resid_attn", "resid_mlp")]
    n = len(ids) * len(parts)
    shares = {name: _shares(rng, n) for name in ("mean_share", "target_share", "route_tau")}
    return {"prompt_id": np.repeat(ids, len(parts)), **_named(parts, len(ids)), **shares}


def _effects(rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    parts = [(-1, "embed", 0)] + [(layer, "head", h) for layer in range(LAYERS) for h in range(HEADS)]
    parts += [(layer, kind, 0) for layer in range(LAYERS) for kind in ("mlp", "bias")]
    n = len(ids) * len(parts)
    effects = {name: rng.normal(size=n).astype(np.float32) for name in ("effect_answer", "effect_foil")}
    named = _named(parts, len(ids))
    return {"prompt_id": np.repeat(ids, len(parts)), "target": np.repeat(lengths - 1, len(parts)), **named, **effects}


def _named(parts: list[tuple[int, str, int]], repeats: int) -> dict[str, np.ndarray]:
    layers, kinds, indices = zip(*parts, strict=True)
    columns = {"layer": np.array(layers), "component": np.array(kinds, object), "index": np.array(indices)}
    return {name: np.tile(values, repeats) for name, values in columns.items()}


def _shares(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mostly small, above 0.01 (as stored edges are)."""
    return (0.01 + 0.99 * rng.random(n, dtype=np.float32) ** 6).astype(np.float32)


def measure(run: Path) -> dict[str, Any]:
    """Seconds and MB of `flowatlas stats` on a run; in this process, so start one for it."""
    from flowatlas import stats

    began = time.perf_counter()
    made = stats.make(run)
    wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    seconds = {"wall": round(wall, 1), "cpu": round(used.ru_utime + used.ru_stime, 1), **made.marker["seconds"]}
    return {"peak_mb": used.ru_maxrss // 1024, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the run, or where an earlier call made it")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measure(args.run), indent=1))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = args.folder or Path(folder) / "run"
        if not (run / "manifest.json").exists():
            make_big_run(run, args.edges)
        subprocess.run([sys.executable, __file__, "--run", str(run)], check=True)


if __name__ == "__main__":
    main()
