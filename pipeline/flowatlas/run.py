"""A run: every prompt of a dataset through a model, shard by shard, into Parquet.

1. Everything that can be wrong is looked at before any weight is loaded: the model's config, the tokenizer, the dataset.
2. The plan is compared with the one there, if any; the shards that are done are left alone.
3. The model is loaded and guarded on the first batch. Only then is a new run's plan written, so that a model that is
   refused leaves nothing behind. Shards that no other process is at are claimed, extracted and written whole (`task.py`).
4. When no shard is missing, the model's own tables, the manifest and the statistics make the run complete (`finish.py`).
"""

import platform
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from flowatlas import claims, finish, guard, models, poison, run_means, shards, signals, workers
from flowatlas.claims import Claim, LostError
from flowatlas.config import Config, as_dict, identity
from flowatlas.devices import pick_device
from flowatlas.errors import DatasetError, RunConflict, UnfinishedError
from flowatlas.extract import Extractor
from flowatlas.fitting import Fitting
from flowatlas.generation import Continuation
from flowatlas.job import Job, count_text, first_batch, prepare
from flowatlas.manifest import open_plan
from flowatlas.memory import keep_freed_memory
from flowatlas.models import Model
from flowatlas.plan import Plan
from flowatlas.progress import Progress
from flowatlas.prompts import Prompt, Reject
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger
from flowatlas.task import Task
from flowatlas.writer import write_shard

_LIBRARIES = (
    "flowatlas", "torch", "transformers", "transformer_lens", "numpy", "pyarrow", "numba", "duckdb", "scipy", "scikit-learn",
)  # fmt: skip


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
    plan = open_run(job, loaded.load)
    manifest = _carry_out(job, plan, loaded)
    print(_summary(job.run_dir, plan, manifest, time.monotonic() - started))
    if manifest is not None and not manifest["counts"]["prompts"]:
        raise DatasetError(f"no prompt of {job.dataset.name} could be processed: see {job.run_dir}/rejects")
    return 0


def open_run(job: Job, before_creating: Callable[[], object] = lambda: None) -> Plan:
    """The plan in the run folder, made or compared; `before_creating` and errors as in `open_plan`."""
    identity_of = {**identity(job.config), "tokenizer": job.located.tokenizer_hash()}
    return open_plan(
        job.run_dir, identity_of, job.located.weights_hash(), job.fingerprint, job.config.run.shard_size,
        job.batch_tokens, as_dict(job.config), job.dataset.name, before_creating=before_creating,
    )  # fmt: skip


def _carry_out(job: Job, plan: Plan, loaded: "Loaded") -> dict[str, Any] | None:
    """Do what is missing and no other process is at; returns the manifest, or None while others have shards to do."""
    signals.set_warning(job.config.cluster.warning)
    me, folder = workers.me(), job.run_dir / claims.FOLDER
    hearts = folder / "alive"
    board = claims.Claims(claims.Folder(folder), me, workers.Watch(hearts, me).alive)
    manifest, waits = None, job.config.run.tasks is None
    with workers.Heart(hearts, me), Worker(job, plan, loaded) as worker:
        task = Task(job.run_dir, plan, job.config.run, board, worker)
        while task.work():
            manifest = finish.finish(job, plan, board, lambda: loaded.load().model)
            if manifest is not None or not waits:
                break
            task.wait("the end of the run")
    if manifest is not None:
        finish.clear(job.run_dir)
    return manifest


class Loaded:
    """The model of a run, loaded and guarded on the run's first batch when it is first needed."""

    def __init__(self, job: Job):
        self.job = job
        self._extractor: Extractor | None = None
        self.guard: dict[str, float] = {}
        self.proven: list[Prompt] = []

    def load(self) -> Extractor:
        """Raises ModelError, GuardError, UnfinishedError (no memory)."""
        if self._extractor is None:
            began = time.perf_counter()
            self.proven = first_batch(self.job)
            try:
                model, self.guard = load_guarded(self.job, self.proven)
            except (torch.OutOfMemoryError, MemoryError) as error:
                raise UnfinishedError(
                    f"no memory for model {self.job.located.name}: free some, or give a smaller model.dtype or another "
                    "model.device, and the command again"
                ) from error
            self._extractor = extractor(self.job, model)
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
    """Computes claimed shards, one being written while the next is extracted; a context, in which its progress is shown."""

    def __init__(self, job: Job, plan: Plan, loaded: Loaded):
        self.job, self.plan, self.loaded = job, plan, loaded
        self._fitting: Fitting[Any] | None = None

    def __enter__(self) -> "Worker":
        marked = Ledger(self.job.run_dir).marked()
        total = sum(len(rows) for shard, rows in enumerate(self.plan.shards) if shard not in marked)
        self._progress, self._writing = Progress(total, self.job.config.run.progress), Writing(self.job.run_dir)
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self._writing.__exit__(*raised)
        finally:
            self._progress.__exit__()

    def ready(self) -> None:
        """Load the model. Raises ModelError, GuardError, UnfinishedError."""
        self._fit()

    def do(self, shard: int, claim: Claim) -> None:
        """Extract a shard and hand it over to be written.

        Raises RuntimeError and MemoryError of torch, LostError, RunConflict, and what writing the one before raised.
        """
        self._writing.put(shard, claim, *self._extract(shard, claim))

    def settle(self) -> bool:
        """Wait until all is written; False when it was already. Raises UnfinishedError."""
        return self._writing.settle()

    def check(self, error: BaseException) -> None:
        """Raises UnfinishedError when, after an error, nothing can be computed any more."""
        poison.require_health(self.loaded.load(), self.loaded.proven[0], error)

    def _extract(self, shard: int, claim: Claim) -> tuple[dict[str, pa.Table], dict[str, Any]]:
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
        if claim.state.isolate:
            prompts, poisoned = poison.sift(prompts, claim, self.loaded.load(), self.loaded.proven[0])
            rejects += poisoned
        self._progress.add(len(rejects))
        seconds = {"read": time.perf_counter() - began}
        parts = []
        for batch in self.job.batches(prompts, self.plan.batch_tokens):
            for piece, (tables, refused) in self._fit()(batch):
                parts.append(tables)
                rejects += refused
                self._progress.add(len(piece), sum(len(p.token_ids) for p in piece), self.loaded.load().clock)
        info = marker_info(self.plan, shard, {**seconds, **self.loaded.take_seconds()}, self.loaded.guard)
        if self.job.config.knockouts.store:
            info["means"] = run_means.means_hash(self.job.run_dir)
        return together(parts, rejects), info

    def _fit(self) -> Fitting[Any]:
        if self._fitting is None:
            extractor = self.loaded.load()
            if self.job.config.knockouts.store:
                batches = partial(run_means.of_job, self.job, self.plan)
                means = run_means.ensure(self.job.run_dir, extractor.model, batches)
                extractor.knock_out(means, run_means.seed_of(self.plan))
            self._fitting = Fitting(extractor, self._progress.say)
        return self._fitting


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
            self.settle()

    def put(self, shard: int, claim: Claim, tables: dict[str, pa.Table], info: dict[str, Any]) -> None:
        """Hand a shard over once the one before is on disk; raises what writing that one raised."""
        self.settle()
        self._last = self._thread.submit(self._write, shard, claim, tables, info)

    def settle(self) -> bool:
        """Wait for the last one; False when nothing was being written. Raises what writing it raised."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
        return last is not None

    def _write(self, shard: int, claim: Claim, tables: dict[str, pa.Table], info: dict[str, Any]) -> None:
        try:
            claim.publish()
            write_shard(self._run_dir, shard, tables, info)
            claim.done()
            shards.forget_failure(self._run_dir, shard)
        except LostError:
            pass  # whoever took it over writes it
        except BaseException:
            claim.drop()
            raise


def load_guarded(job: Job, batch: list[Prompt]) -> tuple[Model, dict[str, float]]:
    """Load the model and check it on a batch; returns it with the guard's errors. Raises ModelError, GuardError."""
    device = pick_device(job.config.model.device)
    probe = guard.probe_batch([prompt.token_ids for prompt in batch], device)
    model, reference = models.load(job.located, job.config.model, lambda hf: guard.reference_logits(hf, probe))
    return model, guard.check(model, probe, reference)


def extractor(job: Job, model: Model) -> Extractor:
    """What extracts the job's prompts, and continues them before where the run generates."""
    n = job.config.generate.max_new_tokens
    return Extractor(model, job.config, Continuation(model, job.tokenizer, n) if n else None)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def marker_info(plan: Plan, shard: int, seconds: dict[str, float], guard: dict[str, float]) -> dict[str, Any]:
    """What a shard's marker says of how it was made."""
    return {
        "first_row": plan.shards[shard].start,
        "n_rows": len(plan.shards[shard]),
        "rows_hash": plan.shard_hashes[shard],
        "config_hash": plan.config_hash,
        "seconds": seconds,
        "guard": guard,
        "versions": versions(),
    }


def together(parts: list[dict[str, pa.Table]], rejects: Iterable[Reject]) -> dict[str, pa.Table]:
    """All tables of a shard from those of its batches."""
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
