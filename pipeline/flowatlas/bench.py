"""`make bench`: what the analysis costs, as a multiple of the bare forward pass on the same batches.

Both are timed in one process, turn about, and the medians are compared, so that a slow machine or a busy neighbour moves
both. The bare forward is Hugging Face's own model with its default attention, which unembeds every position. Ours is
the whole of it: forward with hooks, shares, walk, lenses, writes, neurons, effects, Arrow tables, Parquet in memory.
The neurons' tokens, made once per model, are not counted.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from flowatlas import checkpoints, models
from flowatlas.activations import Batch
from flowatlas.compose import asset
from flowatlas.config import Config, DatasetConfig, ModelConfig
from flowatlas.extract import Extractor
from flowatlas.prompts import Encoder, Prompt, open_dataset
from flowatlas.schema import TABLES
from flowatlas.tokens import load_tokenizer, resolve_bos
from flowatlas.writer import conform, write_parquet


@dataclass(frozen=True)
class Work:
    """One line of the report: prompts to run as one batch."""

    name: str
    prompts: list[Prompt]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m flowatlas.bench", description="Speed of the analysis against the bare forward pass."
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of each (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch and numba (default 2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"float32, {args.threads} threads, median of {args.repeats}; x = times the bare Hugging Face forward\n")
    print(f"{'work':44} {'forward':>9} {'ours':>9} {'ratio':>7}  {'stages (x)':52} {'peak':>8} {'disk':>10}")
    with tempfile.TemporaryDirectory() as folder:
        _random_gpt2(Path(folder))
        _report(Path(folder), _random_work(), args.repeats)
    demo = Path(asset("models/demo"))
    _report(demo, _demo_work(demo), args.repeats)


def _report(folder: Path, works: list[Work], repeats: int) -> None:
    from transformers import AutoModelForCausalLM

    config = Config(ModelConfig(str(folder), device="cpu"), DatasetConfig(path="-"))
    bare = cast(Any, AutoModelForCausalLM).from_pretrained(folder).eval()
    model, _ = models.load(checkpoints.locate(config.model), config.model, lambda hf: None)
    extractor = Extractor(model, config)
    for work in works:
        print(_line(work, bare, extractor, repeats), flush=True)


def _line(work: Work, bare: nn.Module, extractor: Extractor, repeats: int) -> str:
    batch = Batch.of([prompt.token_ids for prompt in work.prompts])
    forward, ours, size = [], [], 0
    _forward(bare, batch)
    _extract(extractor, work.prompts[:1])  # compiles the kernels, and brings the mapped weights into memory
    with _peak_memory() as peak:
        _extract(extractor, work.prompts)
    extractor.clock.clear()
    for _ in range(repeats):
        forward.append(_seconds(_forward, bare, batch)[0])
        seconds, size = _seconds(_extract, extractor, work.prompts)
        ours.append(seconds)
    base, whole = statistics.median(forward), statistics.median(ours)
    stages = {name: seconds / repeats / base for name, seconds in extractor.clock.items()}
    shown = " ".join(f"{name} {share:.2f}" for name, share in stages.items())
    per_prompt = size / len(work.prompts) / 1e3
    return (
        f"{work.name:44} {base * 1e3:6.0f} ms {whole * 1e3:6.0f} ms {whole / base:6.2f}x  {shown:52} "
        f"{peak[0] / 1e6:5.0f} MB {per_prompt:7.1f} KB"
    )


def _forward(bare: nn.Module, batch: Batch) -> None:
    with torch.inference_mode():
        bare(batch.ids, attention_mask=batch.mask, use_cache=False)


def _extract(extractor: Extractor, prompts: list[Prompt]) -> int:
    """Returns the bytes of the tables as Parquet."""
    tables, _ = extractor(prompts)
    size = 0
    with extractor.clock.stage("parquet"):
        for name, table in tables.items():
            buffer = BytesIO()
            write_parquet(buffer, conform(table, TABLES[name]))
            size += buffer.tell()
    return size


def _seconds(work: Any, *args: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work(*args)
    return time.perf_counter() - began, result


@contextlib.contextmanager
def _peak_memory() -> Iterator[list[int]]:
    """Bytes by which the process grew at most inside the block (Linux; 0 elsewhere)."""
    peak = [0]
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the largest size so far
        before = _status("VmRSS")
        yield peak
        peak[0] = max(0, _status("VmHWM") - before)
    except OSError:
        yield peak


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def _random_gpt2(folder: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)


def _random_work() -> list[Work]:
    works = []
    for n_prompt, n_token, targets in ((32, 32, "last"), (16, 64, "last"), (8, 128, "last"), (4, 32, "all")):
        generator = torch.Generator().manual_seed(n_token)
        ids = torch.randint(0, 50257, (n_prompt, n_token), generator=generator).tolist()
        explained = tuple(range(n_token)) if targets == "all" else (n_token - 1,)
        prompts = [_prompt(i, tuple(row), explained) for i, row in enumerate(ids)]
        works.append(Work(f"gpt2-small (random), {n_prompt} x {n_token} tokens, {targets}", prompts))
    return works


def _prompt(i: int, ids: tuple[int, ...], targets: tuple[int, ...]) -> Prompt:
    return Prompt(i, str(i), "", None, None, None, None, ids, ("",) * len(ids), targets, None, None, None, None)


def _demo_work(folder: Path, n_prompt: int = 64) -> list[Work]:
    tokenizer = load_tokenizer(str(folder), None)
    dataset = open_dataset(DatasetConfig(path=asset("prompts/demo.jsonl")), n_prompt)
    works = []
    for targets in ("last", "all"):
        encoder = Encoder(tokenizer, resolve_bos(tokenizer, "auto"), 64, targets)
        prompts = [item for row in dataset.rows() if isinstance(item := encoder.encode(row), Prompt)]
        works.append(Work(f"demo model, {len(prompts)} prompts, {targets}", prompts))
    return works


if __name__ == "__main__":
    main()
