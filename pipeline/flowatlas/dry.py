"""`run.dry=true`: what a run would do and cost, measured on a few batches; nothing is written to the run folder."""

import os
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from flowatlas import means, neuron_tokens
from flowatlas.dry_stats import statistics_seconds
from flowatlas.fitting import Fitting
from flowatlas.job import Job, count_text
from flowatlas.prompts import Prompt, Reject
from flowatlas.run import extractor, load_guarded
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger, shard_ranges
from flowatlas.status import human_seconds
from flowatlas.writer import parquet_bytes

_MEASURED_SECONDS = 10.0
_MEASURED_BATCHES = 3  # at least
_SHARDS_HELD = 2  # the one that is extracted and the one that is written


@dataclass(frozen=True)
class Sample:
    """A batch that was extracted: prompts, padded tokens, the seconds that it took and the bytes of its tables."""

    n_prompts: int
    length: int
    seconds: float
    n_bytes: int


@dataclass(frozen=True)
class Cost:
    """Of the whole run: seconds, bytes on disk, most bytes of memory."""

    seconds: float
    disk: float
    memory: float


def print_plan(job: Job) -> None:
    """Read and tokenise the whole dataset, extract a few of its batches, and print the plan with what that came to."""
    began = time.perf_counter()
    prompts, reasons = _encode_all(job)
    reading = time.perf_counter() - began
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
    cost, measured = _measure(job, prompts, reading)
    print(
        f"time      about {human_seconds(cost.seconds)} on this machine, statistics included (measured on {measured} prompts)"
    )
    print(f"disk      about {cost.disk / 1e6:.1f} MB ({cost.disk / len(prompts) / 1e3:.0f} KB a prompt)")
    print(f"memory    about {cost.memory / 1e9:.1f} GB at most")


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


def _measure(job: Job, prompts: list[Prompt], reading: float) -> tuple[Cost, int]:
    """What the run will cost, from a few of its batches; also how many prompts these have."""
    batches = job.batches(prompts, job.batch_tokens)
    began = time.perf_counter()
    model, _ = load_guarded(job, batches[0])
    extract = extractor(job, model)
    if job.config.knockouts.store:
        extract.knock_out(means.zeros(model), seed=job.config.run.seed)
    extract(batches[-1][:1])  # compiles the kernels, or loads them
    loading = time.perf_counter() - began
    fitting, samples, tables = Fitting(extract), [], []
    for i in _order(batches):
        began = time.perf_counter()
        found = [tables for _, (tables, _) in fitting(batches[i])]
        seconds, n_bytes = time.perf_counter() - began, sum(t.nbytes for part in found for t in part.values())
        tables += found
        samples.append(Sample(len(batches[i]), _length(batches[i]), seconds, n_bytes))
        if len(samples) >= _MEASURED_BATCHES and sum(sample.seconds for sample in samples) > _MEASURED_SECONDS:
            break
    memory = _peak_bytes()
    seconds, in_memory = extrapolated([(len(batch), _length(batch)) for batch in batches], samples)
    began = time.perf_counter()
    joined = {name: pa.concat_tables([part[name] for part in tables]) for name in tables[0]}
    packed, alone = (_packed(tables) for tables in (joined, {name: table[:1] for name, table in joined.items()}))
    factor = in_memory / sum(sample.n_bytes for sample in samples)
    writing = factor * (time.perf_counter() - began)
    named = pa.concat_tables([joined[name].select(neuron_tokens.KEY) for name in neuron_tokens.NAMING])
    neurons = neuron_tokens.seconds(model, job.located.weights_hash(), job.config.writes.top_k, named, factor)
    statistics = statistics_seconds(job, model, joined, factor)
    held = in_memory * min(1, _SHARDS_HELD * job.config.run.shard_size / len(prompts))
    whole = reading + loading + seconds + writing + neurons + statistics
    n_shards = len(shard_ranges(job.fingerprint.rows, job.config.run.shard_size))
    cost = Cost(whole, (packed - alone) * factor + alone * n_shards, memory + held)
    return cost, sum(sample.n_prompts for sample in samples)


def _packed(tables: dict[str, pa.Table]) -> int:
    """What tables take on disk; of one row each: what a file takes whatever it holds."""
    return sum(parquet_bytes(table, TABLES[name]) for name, table in tables.items())


def _order(batches: list[list[Prompt]]) -> list[int]:
    """The batch with the most tokens, which takes the most memory, the longest, then breadth first: the shortest, the
    middle, the quarters, ... so that what is measured stands for all lengths."""
    last = len(batches) - 1
    largest = max(range(len(batches)), key=lambda i: (len(batches[i]) * _length(batches[i]), i))
    breadth = sorted(range(last), key=lambda i: int(f"{i:032b}"[::-1], 2))
    return list(dict.fromkeys([largest, last, *breadth]))


def _length(batch: list[Prompt]) -> int:
    return max(len(prompt.token_ids) for prompt in batch)


def extrapolated(batches: list[tuple[int, int]], samples: list[Sample]) -> tuple[float, float]:
    """Seconds and bytes of all batches (prompts, longest prompt): of each, as a prompt of the sample nearest in length.

    Seconds grow with the tokens, bytes with the prompts: what is stored of a prompt depends little on its length.
    """
    seconds = n_bytes = 0.0
    for n_prompts, length in batches:
        near = min(samples, key=lambda sample: abs(sample.length - length))
        seconds += near.seconds * (n_prompts * length) / (near.n_prompts * near.length)
        n_bytes += near.n_bytes * n_prompts / near.n_prompts
    return seconds, n_bytes


def _weights(job: Job) -> int:
    return sum(os.path.getsize(file) for file in job.located.weights.files)


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
