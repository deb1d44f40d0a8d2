"""`run.dry=true`: what a run would do and cost, measured on a few batches; nothing is written to the run folder."""

import os
import resource
import sys
import time
from collections import Counter
from io import BytesIO

from flowatlas.extract import Extractor
from flowatlas.job import Job, count_text, make_batches
from flowatlas.prompts import Prompt, Reject
from flowatlas.run import load_guarded
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger, shard_ranges
from flowatlas.status import human_seconds
from flowatlas.writer import conform, write_parquet

_MEASURED_SECONDS = 10.0


def print_plan(job: Job) -> None:
    """Read and tokenise the whole dataset, extract a few of its batches, and print the plan with what that came to."""
    prompts, reasons = _encode_all(job)
    tokens = [len(prompt.token_ids) for prompt in prompts]
    ranges = shard_ranges(job.fingerprint.rows, job.config.run.shard_size)
    done = len(Ledger(job.run_dir).done(range(len(ranges))))
    rejected = f", {reasons.total()} rejected ({count_text(reasons)})" if reasons else ""
    print(f"run       {job.run_dir} (nothing is written)")
    print(f"model     {job.located.name}: {job.located.config.model_type}, weights {_weights(job) / 1e9:.2f} GB")
    print(
        f"dataset   {job.dataset.name}: {len(prompts)} prompts, {sum(tokens)} tokens, longest {max(tokens)}{rejected}"
    )
    print(
        f"shards    {len(ranges)} of {job.config.run.shard_size} rows, {done} done; batches of {job.batch_tokens} tokens"
    )
    seconds, size, measured = _measure(job, prompts)
    factor = sum(tokens) / measured
    print(
        f"time      about {human_seconds(seconds * factor)} in all on this machine (from {measured} tokens in {seconds:.1f} s)"
    )
    print(f"disk      about {size * factor / 1e6:.1f} MB ({size * factor / len(prompts) / 1e3:.0f} KB a prompt)")
    print(f"memory    {_peak_bytes() / 1e9:.1f} GB at most so far")


def _encode_all(job: Job) -> tuple[list[Prompt], Counter[str]]:
    prompts: list[Prompt] = []
    reasons: Counter[str] = Counter()
    for row in job.dataset.rows():
        item = job.encoder.encode(row)
        if isinstance(item, Reject):
            reasons[item.reason] += 1
        else:
            prompts.append(item)
    return prompts, reasons


def _measure(job: Job, prompts: list[Prompt]) -> tuple[float, int, int]:
    """Seconds, bytes and tokens of the batches spread evenly over the lengths, as many as ten seconds allow."""
    batches = make_batches(prompts, job.batch_tokens, job.located.rope_switch)
    # Breadth first: the middle, the ends, the quarters, ... so that whatever is measured stands for all lengths.
    order = sorted(range(len(batches)), key=lambda i: int(f"{i:032b}"[::-1], 2))
    model, _ = load_guarded(job, batches[order[0]])
    extractor = Extractor(model, job.config)
    extractor(batches[order[0]][:1])  # warms up: kernels are compiled at their first call
    seconds, size, tokens = 0.0, 0, 0
    for i in order:
        began = time.perf_counter()
        tables, _ = extractor(batches[i])
        size += sum(_parquet_bytes(table, name) for name, table in tables.items())
        seconds += time.perf_counter() - began
        tokens += sum(len(prompt.token_ids) for prompt in batches[i])
        if seconds > _MEASURED_SECONDS:
            break
    return seconds, size, tokens


def _parquet_bytes(table, name: str) -> int:
    buffer = BytesIO()
    write_parquet(buffer, conform(table, TABLES[name]))
    return buffer.tell()


def _weights(job: Job) -> int:
    return sum(os.path.getsize(file) for file in job.located.weights.files)


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
