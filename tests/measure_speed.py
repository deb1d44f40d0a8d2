"""What the analysis costs beside the bare forward pass; the tables of docs/performance.md.

    python tests/measure_speed.py [--repeats 5] [--threads 2] [--write]

Every figure is a ratio inside one run, on GPT-2-small's size with random weights and on the demo model. `--write` puts the
tables into the page: do that on a quiet machine.
"""

import argparse
import re
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from flowatlas import attention_kernel, checkpoints, kernels, memory, models
from flowatlas.bench import HEADING, Bench, Work, line
from flowatlas.compose import asset
from flowatlas.config import Config, DatasetConfig, ModelConfig, WritesConfig
from flowatlas.extract import Extractor
from flowatlas.prompts import Encoder, Prompt, open_dataset
from flowatlas.schema import TABLES
from flowatlas.tokens import load_tokenizer, resolve_bos
from flowatlas.writer import conform, write_parquet

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
LONGEST = 4096
LAYERS = ((8, 32), (8, 64), (4, 128))  # prompts x tokens
CACHED = 1 << 20  # numbers that stay in the cache


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the analysis against the bare forward pass.")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of each (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch and numba (default 2)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # with torch's own ways with memory
        by_default = apart.submit(by_torch, args.threads, kernels.TORCH_BUDGET).result()
    memory.keep_freed_memory()
    tables: dict[str, list[list[str]]] = {"kernel": against_eager(by_default, args.threads)}
    with tempfile.TemporaryDirectory() as folder:
        random_gpt2(Path(folder))
        print(f"float32, {args.threads} threads, median of {args.repeats}; {HEADING}")
        tables["work"] = works(Path(folder), random_work(), args.repeats)
        demo = Path(asset("models/demo"))
        tables["work"] += works(demo, demo_work(demo), args.repeats)
        tables["growth"] = growth(Path(folder))
    tables["bytes"] = bytes_by_column(demo)
    if args.write:
        write(tables)


def config_of(folder: Path, head_writes: bool = True) -> Config:
    return Config(
        ModelConfig(str(folder), device="cpu"), DatasetConfig(path="-"), writes=WritesConfig(heads=head_writes)
    )


def opened(folder: Path) -> tuple[Any, Any]:
    """The model, and the same one bare with the attention that transformers takes by default."""
    config = config_of(folder)
    model, _ = models.load(checkpoints.locate(config.model), config.model, lambda hf: None)
    bare, _ = checkpoints.read(checkpoints.locate(config.model), config.model)
    checkpoints.attend_by_default(bare)
    return model, bare


def works(folder: Path, listed: list[tuple[Work, bool]], repeats: int) -> list[list[str]]:
    model, bare = opened(folder)
    rows = []
    for work, head_writes in listed:
        found = Bench(bare, Extractor(model, config_of(folder, head_writes)), repeats)(work)
        print(line(work, found), flush=True)
        stages = ", ".join(f"{name} {seconds / found.forward:.2f}" for name, seconds in found.stages.items())
        size = f"{found.disk / len(work.prompts) / 1e3:.0f} KB"
        rows.append([work.name, f"{found.ratio:.2f}x", f"{found.peak / 1e6:.0f} MB", size, stages])
    return rows


def random_gpt2(folder: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_positions=LONGEST)).save_pretrained(folder)


def random_work() -> list[tuple[Work, bool]]:
    shapes = [(32, 32, "last", True), (16, 64, "last", True), (8, 128, "last", True)]
    shapes += [(4, 32, "all", True), (4, 32, "all", False)]
    found = []
    for n_prompt, n_token, targets, head_writes in shapes:
        explained = tuple(range(n_token)) if targets == "all" else (n_token - 1,)
        without = "" if head_writes else ", no writes of heads"
        name = f"GPT-2-small, {n_prompt} x {n_token} tokens, {targets}{without}"
        found.append((Work(name, random_prompts(n_prompt, n_token, explained)), head_writes))
    return found


def random_prompts(n_prompt: int, n_token: int, targets: tuple[int, ...]) -> list[Prompt]:
    generator = torch.Generator().manual_seed(n_token)
    ids = torch.randint(0, 50257, (n_prompt, n_token), generator=generator).tolist()
    return [
        Prompt(i, str(i), "", None, None, None, None, tuple(row), ("",) * n_token, targets, None, None, None, None)
        for i, row in enumerate(ids)
    ]


def demo_work(folder: Path) -> list[tuple[Work, bool]]:
    found = []
    for targets in ("last", "all"):
        prompts = demo_prompts(folder, 256, targets)  # about a batch of a run
        found.append((Work(f"demo model, {len(prompts)} prompts, {targets}", prompts), True))
    return found


def demo_prompts(folder: Path, n_prompt: int, targets: str) -> list[Prompt]:
    tokenizer = load_tokenizer(str(folder), None)
    dataset = open_dataset(DatasetConfig(path=asset("prompts/demo.jsonl")), n_prompt)
    encoder = Encoder(tokenizer, resolve_bos(tokenizer, "auto"), 64, targets)
    return [item for row in dataset.rows() if isinstance(item := encoder.encode(row), Prompt)]


def growth(folder: Path) -> list[list[str]]:
    """The last token's route of one prompt of growing length: what a token costs, and memory above the model."""
    model, bare = opened(folder)
    rows, n = [], 64
    print(f"\n{'tokens':>7} {'forward':>12} {'ours':>12} {'ratio':>7} {'shares':>14} {'peak':>9}")
    while n <= LONGEST:
        found = Bench(bare, Extractor(model, config_of(folder)), 1 if n > 1024 else 3)(
            Work("", random_prompts(1, n, (n - 1,)))
        )
        shares = found.stages["shares"] / n
        row = [f"{n}", *(f"{s / n * 1e3:.2f} ms" for s in (found.forward, found.ours, shares * n))]
        row += [f"{found.ratio:.2f}x", f"{found.peak / 1e6:.0f} MB"]
        print("  ".join(f"{cell:>11}" for cell in row), flush=True)
        rows.append(row)
        n *= 2
    return rows


def against_eager(by_default: list[float], threads: int) -> list[list[str]]:
    """All attention shares of one layer of GPT-2-small's size, against the formula in torch a chunk at a time.

    `by_default` are its seconds in a process of its own, with chunks as large as this project's on other devices; the others
    are taken here, with memory that is kept and chunks that stay in the cache.
    """
    rows, weights = [], [torch.ones(n, m) for n, m in ((768, 2304), (768, 768), (768, 3072), (3072, 768))]
    for shape, slow, tuned in zip(LAYERS, by_default, by_torch(threads, CACHED), strict=True):
        whole, pattern, values, lengths = random_layer(*shape)
        fused = partial(attention_kernel.attention_proximity, whole, pattern, values, lengths)
        difference = (fused() - in_chunks(whole, pattern, values.u, CACHED).tril()).abs().amax()
        seconds, products = timed(fused, 9), timed(partial(layers_products, whole, weights), 9)
        row = [f"{shape[0]} x {shape[1]}", *(f"{s * 1e3:.0f} ms" for s in (slow, tuned)), f"{seconds * 1e3:.1f} ms"]
        row += [*(f"{s / seconds:.0f}x" for s in (slow, tuned)), f"{seconds / products:.2f}"]
        row.append(f"{float(difference / whole.abs().sum(-1).amin()):.0e}")
        print("shares of a layer: " + "  ".join(row), flush=True)
        rows.append(row)
    return rows


def by_torch(threads: int, at_once: int) -> list[float]:
    """Seconds for each of LAYERS."""
    torch.set_num_threads(threads)
    found = []
    for shape in LAYERS:
        whole, pattern, values, _ = random_layer(*shape)
        found.append(timed(partial(in_chunks, whole, pattern, values.u, at_once), 3))
    return found


def in_chunks(whole: torch.Tensor, pattern: torch.Tensor, u: torch.Tensor, at_once: int) -> torch.Tensor:
    """attention_proximity as one writes it in torch, for all pairs, with `at_once` numbers of parts at a time."""
    (n_head, _, n_key, d), near = u.shape, torch.empty_like(pattern)
    step = max(1, at_once // (n_head * n_key * d))
    for b in range(len(whole)):
        for i in range(0, whole.shape[1], step):
            y, part = whole[b, i : i + step, None], pattern[b, :, i : i + step, :, None] * u[:, b, None]
            near[b, :, i : i + step] = (y.abs() - (y - part).abs()).sum(-1).clamp_min(0)
    return near


def random_layer(n_prompt: int, n_token: int) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator)

    scores = normal(n_prompt, 12, n_token, n_token).masked_fill(~torch.ones(n_token, n_token).bool().tril(), -torch.inf)
    values = attention_kernel.head_values(normal(n_prompt, n_token, 12, 64) / 8, normal(12, 64, 768) / 8)
    return normal(n_prompt, n_token, 768), scores.softmax(-1), values, torch.full((n_prompt,), n_token)


def layers_products(x: torch.Tensor, weights: list[torch.Tensor]) -> None:
    """The matrix products of one layer: queries, keys and values; the output; the MLP in and out."""
    qkv, out, inner, outer = weights
    torch.matmul(x, qkv)
    torch.matmul(torch.matmul(torch.matmul(x, out), inner), outer)


def timed(work: Any, repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[repeats // 2]


def bytes_by_column(demo: Path) -> list[list[str]]:
    """The demo's first 256 prompts, last target, every table but maps: bytes a prompt of each column as Parquet."""
    model, _ = opened(demo)
    prompts = demo_prompts(demo, 256, "last")
    tables, _ = Extractor(model, config_of(demo))(prompts)
    rows, whole = [], 0
    for name, table in tables.items():
        write_parquet(buffer := BytesIO(), conform(table, TABLES[name]))
        if name == "maps":
            continue
        sizes: Counter[str] = Counter()
        metadata = pq.ParquetFile(buffer).metadata
        for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
            for column in (group.column(i) for i in range(group.num_columns)):
                sizes[column.path_in_schema.split(".")[0]] += column.total_compressed_size
        whole += buffer.tell()
        per_column = ", ".join(f"{column} {size / len(prompts):,.0f}" for column, size in sizes.most_common())
        rows.append(
            [f"`{name}`", f"{table.num_rows / len(prompts):,.1f}", f"{buffer.tell() / len(prompts):,.0f}", per_column]
        )
    rows.append(["all", "", f"{whole / len(prompts):,.0f}", ""])
    for row in rows:
        print(f"bytes a prompt: {row[0]:16} {row[1]:>8} rows {row[2]:>8}  {row[3]}")
    return rows


def write(tables: dict[str, list[list[str]]]) -> None:
    """Put the rows below the heading of each table, which the page marks with its name."""
    page = PAGE.read_text()
    for name, rows in tables.items():
        body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        found = re.compile(rf"(<!-- {name} -->\n\n.*\n\|[-:|]+\|\n)(?:\|.*\n)*", re.MULTILINE)
        page, n = found.subn(lambda match, body=body: f"{match[1]}{body}\n", page)
        assert n == 1, name
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
