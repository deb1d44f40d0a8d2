"""`flowatlas bench`: what the analysis costs, as a multiple of the bare forward pass on the same batches.

Both are timed in one process, turn about, and the medians are compared, so that a slow machine or a busy neighbour moves
both. The bare forward is Hugging Face's own model with its default attention, which unembeds every position. Ours is
the whole of it: forward with hooks, shares, walk, lenses, writes, neurons, effects, Arrow tables, Parquet in memory.
The neurons' tokens, made once per model, are not counted.
"""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from flowatlas import checkpoints, means, memory
from flowatlas.activations import Batch
from flowatlas.attention_kernel import Room
from flowatlas.extract import Extractor
from flowatlas.job import Job
from flowatlas.prompts import Prompt
from flowatlas.run import load_guarded
from flowatlas.schema import TABLES
from flowatlas.writer import parquet_bytes

_PROMPTS = 256  # of the dataset, at most
_BATCHES = 3


@dataclass(frozen=True)
class Work:
    """One line of the report: prompts to run as one batch."""

    name: str
    prompts: list[Prompt]


@dataclass(frozen=True)
class Measured:
    """Medians in seconds; the stages' means in seconds; bytes of memory above the model, and of Parquet."""

    forward: float
    ours: float
    stages: dict[str, float]
    peak: int
    disk: int

    @property
    def ratio(self) -> float:
        return self.ours / self.forward


class Bench:
    """Times an extractor against the same model without it."""

    def __init__(self, bare: nn.Module, extractor: Extractor, repeats: int):
        self._bare, self._extractor, self._repeats = bare, extractor, repeats

    def __call__(self, work: Work) -> Measured:
        extractor, forward, ours, disk = self._extractor, [], [], 0
        device = extractor.model.device
        batch = Batch.of([prompt.token_ids for prompt in work.prompts], device)
        settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self._forward(batch)
        self._extract(work.prompts)  # compiles the kernels, and brings the mapped weights into memory
        extractor.room = Room()  # what lies in it belongs to the peak
        with memory.peak(device) as peak:
            self._extract(work.prompts)
        extractor.clock.clear()
        for _ in range(self._repeats):
            forward.append(_seconds(self._forward, batch, settle=settle)[0])
            seconds, disk = _seconds(self._extract, work.prompts, settle=settle)
            ours.append(seconds)
        stages = {name: seconds / self._repeats for name, seconds in extractor.clock.items()}
        return Measured(statistics.median(forward), statistics.median(ours), stages, peak[0], disk)

    def _forward(self, batch: Batch) -> None:
        with torch.inference_mode():
            self._bare(batch.ids, attention_mask=batch.mask, use_cache=False)

    def _extract(self, prompts: list[Prompt]) -> int:
        """Returns the bytes of the tables as Parquet."""
        tables, _ = self._extractor(prompts)
        with self._extractor.clock.stage("parquet"):
            return sum(parquet_bytes(table, TABLES[name]) for name, table in tables.items())


def print_bench(job: Job, repeats: int = 5) -> None:
    """Measure the job's model on the shortest, the middle and the longest batch of its dataset's first prompts."""
    memory.keep_freed_memory()
    prompts = []
    for row in job.dataset.rows():
        item = job.encoder.encode(row)
        prompts += [item] if isinstance(item, Prompt) else []
        if len(prompts) == _PROMPTS:
            break
    batches = job.batches(prompts, job.batch_tokens)
    chosen = sorted({0, len(batches) // 2, len(batches) - 1})
    model, _ = load_guarded(job, batches[0])
    bare, _ = checkpoints.read(job.located, job.config.model)
    checkpoints.attend_by_default(bare)
    extractor = Extractor(model, job.config)
    if job.config.knockouts.store:
        extractor.knock_out(means.zeros(model), seed=job.config.run.seed)
    bench = Bench(bare, extractor, repeats)
    dtype, threads = str(model.weights_dtype).removeprefix("torch."), torch.get_num_threads()
    asked = f"targets {job.config.routes.targets}, {threads} threads, median of {repeats}"
    print(f"{job.located.name}: {dtype} on {model.device}, {asked}; {HEADING}")
    for batch in (batches[i] for i in chosen):
        length = max(len(prompt.token_ids) for prompt in batch)
        print(line(work := Work(f"{len(batch)} x {length} tokens", batch), bench(work)), flush=True)


HEADING = (
    "x = times the bare Hugging Face forward\n\n"
    f"{'work':44} {'forward':>9} {'ours':>9} {'ratio':>7}  {'tokens/s':>9} {'peak':>8} {'disk a prompt':>14}  stages (x)"
)


def line(work: Work, found: Measured) -> str:
    """One line of the report."""
    tokens = sum(len(prompt.token_ids) for prompt in work.prompts)
    stages = " ".join(f"{name} {seconds / found.forward:.2f}" for name, seconds in found.stages.items())
    return (
        f"{work.name:44} {found.forward * 1e3:6.0f} ms {found.ours * 1e3:6.0f} ms {found.ratio:6.2f}x  "
        f"{tokens / found.ours:9,.0f} {found.peak / 1e6:5.0f} MB {found.disk / len(work.prompts) / 1e3:11.1f} KB  {stages}"
    )


def _seconds(work: Any, *args: Any, settle: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work(*args)
    settle()
    return time.perf_counter() - began, result
