"""A run: every prompt of a dataset through a model, shard by shard, into Parquet.

1. Everything that can be wrong is looked at before any weight is loaded: the model's config, the tokenizer, the dataset.
2. The plan is compared with the one there, if any; the shards that are done are left alone.
3. The model is loaded and guarded on the first batch. Only then is a new run's plan written, so that a model that is
   refused leaves nothing behind. Each missing shard is extracted and written whole.
4. When no shard is missing, the model's own tables and the manifest make the run complete; its statistics follow.
"""

import contextlib
import platform
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from flowatlas import guard, models, neuron_tokens, shards
from flowatlas.clock import Clock
from flowatlas.config import Config, as_dict, identity
from flowatlas.devices import pick_device
from flowatlas.errors import DatasetError, RunConflict, UnfinishedError
from flowatlas.extract import Extractor
from flowatlas.files import remove, write_json_atomically
from flowatlas.fitting import Fitting
from flowatlas.job import Job, count_text, first_batch, make_batches, prepare
from flowatlas.manifest import find_manifest, is_current, open_plan, write_manifest
from flowatlas.memory import keep_freed_memory
from flowatlas.models import Model
from flowatlas.plan import Plan
from flowatlas.progress import Progress
from flowatlas.prompts import Prompt, Reject
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger
from flowatlas.tokens import special_ids, token_texts
from flowatlas.writer import write_shard

_LIBRARIES = ("flowatlas", "torch", "transformers", "transformer_lens", "pyarrow", "numba")
ERRORS = "errors"  # the folder in a run for the tracebacks of failed shards


def execute(config: Config) -> int:
    """Carry out `flowatlas run`; returns the exit code 0, or raises (see errors.py for the codes)."""
    job = prepare(config)
    config = job.config
    keep_freed_memory()
    if config.run.dry:
        from flowatlas.dry import print_plan

        print_plan(job)
        return 0
    started = time.monotonic()
    loaded = Loaded(job)
    plan = open_plan(
        job.run_dir, {**identity(config), "tokenizer": job.located.tokenizer_hash()}, job.located.weights_hash(),
        job.fingerprint, config.run.shard_size, job.batch_tokens, as_dict(config), job.dataset.name,
        before_creating=loaded.load,
    )  # fmt: skip
    worker = Worker(job, plan, loaded)
    failed = worker.work(_own_shards(config, plan))
    if failed:
        some = "; ".join(f"shard {shard}: {reason}" for shard, reason in list(failed.items())[:3])
        raise UnfinishedError(
            f"{len(failed)} shards failed and can be tried again with the same command ({some}); "
            f"their tracebacks are in {job.run_dir / ERRORS}"
        )
    manifest = worker.finish()
    print(_summary(job.run_dir, plan, manifest, time.monotonic() - started))
    if manifest is not None and not manifest["counts"]["prompts"]:
        raise DatasetError(f"no prompt of {job.dataset.name} could be processed: see {job.run_dir}/rejects")
    if manifest is not None:
        from flowatlas.stats import ensure  # loads more libraries than the extraction

        ensure(job.run_dir)
    return 0


def _own_shards(config: Config, plan: Plan) -> list[int]:
    every, tasks = range(len(plan.shards)), config.run.tasks or 1
    return [shard for shard in every if shard % tasks == (config.run.task or 0)]


class Loaded:
    """The model of a run, loaded and guarded on the run's first batch when it is first needed."""

    def __init__(self, job: Job):
        self.job = job
        self._extractor: Extractor | None = None
        self.guard: dict[str, float] = {}

    def load(self) -> Extractor:
        """Raises ModelError, GuardError, UnfinishedError (no memory)."""
        if self._extractor is None:
            began = time.perf_counter()
            try:
                model, self.guard = load_guarded(self.job, first_batch(self.job))
            except (torch.OutOfMemoryError, MemoryError) as error:
                raise UnfinishedError(
                    f"no memory for model {self.job.located.name}: free some, or give a smaller model.dtype or another "
                    "model.device, and the command again"
                ) from error
            self._extractor = Extractor(model, self.job.config)
            self._extractor.clock.add("load", time.perf_counter() - began)
        return self._extractor

    def take_seconds(self) -> dict[str, float]:
        """Seconds by stage since they were last taken."""
        if self._extractor is None:
            return {}
        taken = {stage: round(seconds, 4) for stage, seconds in self._extractor.clock.items()}
        self._extractor.clock.clear()
        return taken


class Worker:
    """Carries out shards; the model is loaded when the first one needs it. One shard is written while the next is extracted."""

    def __init__(self, job: Job, plan: Plan, loaded: Loaded):
        self.job, self.plan, self.loaded, self.ledger = job, plan, loaded, Ledger(job.run_dir)

    def work(self, own: list[int]) -> dict[int, str]:
        """Do the shards that are missing; returns why, for those that failed (their traceback lies in RUN/errors)."""
        missing = [shard for shard in own if self.ledger.finished(shard) is None]
        if not missing:
            return {}
        extractor, failed = self.loaded.load(), {}
        total = sum(len(self.plan.shards[shard]) for shard in missing)
        with Progress(total, self.job.config.run.progress) as progress, Writing(self.job.run_dir) as writing:
            fitting = Fitting(extractor, progress.say)
            for shard in missing:
                try:
                    writing.put(shard, *self._extract(shard, fitting, progress, extractor.clock))
                except (RuntimeError, MemoryError) as error:  # torch's own, out of memory among them: one shard's fate
                    failed[shard] = (str(error).strip() or type(error).__name__).splitlines()[0]
                    write_json_atomically(_error_record(self.job.run_dir, shard), {"traceback": traceback.format_exc()})
        with contextlib.suppress(OSError):  # it is not there, or shards of other tasks have failed
            (self.job.run_dir / ERRORS).rmdir()
        return failed

    def _extract(
        self, shard: int, fitting: Fitting, progress: Progress, clock: Clock
    ) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        """The shard's tables, and what its marker says of them."""
        rows_of = self.plan.shards[shard]
        began = time.perf_counter()
        rows = list(self.job.dataset.rows(rows_of.start, rows_of.stop))
        rows_hash = shards.rows_hash(rows)
        if rows_hash != self.plan.shard_hashes[shard]:
            raise RunConflict(
                f"rows {rows_of.start} to {rows_of.stop - 1} of {self.job.dataset.name} changed meanwhile"
            )
        encoded = [self.job.encoder.encode(row) for row in rows]
        rejects = [item for item in encoded if isinstance(item, Reject)]
        prompts = [item for item in encoded if isinstance(item, Prompt)]
        progress.add(len(rejects))
        seconds = {"read": time.perf_counter() - began}
        parts = []
        for batch in make_batches(prompts, self.plan.batch_tokens, self.job.located.rope_switch):
            for piece, (tables, refused) in fitting(batch):
                parts.append(tables)
                rejects += refused
                progress.add(len(piece), sum(len(p.token_ids) for p in piece), clock)
        info = {
            "first_row": rows_of.start,
            "n_rows": len(rows),
            "rows_hash": rows_hash,
            "config_hash": self.plan.config_hash,
            "seconds": {**seconds, **self.loaded.take_seconds()},
            "guard": self.loaded.guard,
            "versions": versions(),
        }
        return _together(parts, rejects), info

    def finish(self) -> dict[str, Any] | None:
        """Make the run complete when no shard is missing; None while other tasks have shards to do."""
        job, plan = self.job, self.plan
        if len(self.ledger.done(range(len(plan.shards)))) < len(plan.shards):
            return None
        manifest = find_manifest(job.run_dir, plan)
        if manifest is not None and is_current(job.run_dir, manifest, self.ledger):
            return manifest
        model = self.loaded.load().model
        texts, special = token_texts(job.tokenizer, model.vocab_size), special_ids(job.tokenizer)
        neuron_tokens.write_vocab(job.run_dir, model, texts, special)
        neuron_tokens.write_neuron_tokens(job.run_dir, model, plan.weights_hash, job.config.writes.top_k)
        return write_manifest(
            job.run_dir, plan, self.ledger, {"model": model.describe(), "input": job.encoder.describe()}
        )


class Writing:
    """Writes shards in a thread of its own, one behind the extraction."""

    def __init__(self, run_dir: Path):
        self._run_dir = run_dir
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writing")
        self._last: Future[None] | None = None

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown()
        if raised[0] is None:
            self._settle()

    def put(self, shard: int, tables: dict[str, pa.Table], info: dict[str, Any]) -> None:
        """Hand a shard over once the one before is on disk; raises what writing that one raised."""
        self._settle()
        self._last = self._thread.submit(self._write, shard, tables, info)

    def _settle(self) -> None:
        if self._last is not None:
            self._last.result()

    def _write(self, shard: int, tables: dict[str, pa.Table], info: dict[str, Any]) -> None:
        write_shard(self._run_dir, shard, tables, info)
        remove(_error_record(self._run_dir, shard))  # of an earlier attempt


def _error_record(run_dir: Path, shard: int) -> Path:
    return run_dir / ERRORS / f"{shards.part_name(shard)}.json"


def load_guarded(job: Job, batch: list[Prompt]) -> tuple[Model, dict[str, float]]:
    """Load the model and check it on a batch; returns it with the guard's errors. Raises ModelError, GuardError."""
    device = pick_device(job.config.model.device)
    probe = guard.probe_batch([prompt.token_ids for prompt in batch], device)
    model, reference = models.load(job.located, job.config.model, lambda hf: guard.reference_logits(hf, probe))
    return model, guard.check(model, probe, reference)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def _together(parts: list[dict[str, pa.Table]], rejects: Iterable[Reject]) -> dict[str, pa.Table]:
    joined = {
        name: pa.concat_tables([part[name] for part in parts]) if parts else table.empty()
        for name, table in TABLES.items()
        if name != "rejects"
    }
    refused = sorted(rejects, key=lambda reject: reject.prompt_id)
    columns = {name: [getattr(reject, name) for reject in refused] for name in TABLES["rejects"].schema.names}
    return {**joined, "rejects": TABLES["rejects"].from_columns(columns)}


def _summary(run_dir: Path, plan: Plan, manifest: dict[str, Any] | None, seconds: float) -> str:
    if manifest is None:
        done = len(Ledger(run_dir).done(range(len(plan.shards))))
        return f"{run_dir}: {done} of {len(plan.shards)} shards done, {seconds:.1f} s; the other tasks do the rest"
    counts = manifest["counts"]
    size = sum(entry["bytes"] for entry in manifest["tables"].values())
    rejected = f", {counts['rejects']} rejected ({count_text(counts['reject_reasons'])})" if counts["rejects"] else ""
    without = manifest["model"].get("without_neurons")
    level = f"; no neurons of {len(without)} layers, whose experts are one part each (block level)" if without else ""
    return f"{run_dir}: {counts['prompts']} prompts{rejected}, {size / 1e6:.1f} MB, {seconds:.1f} s{level}"
