"""`flowatlas audit RUN`: do routes hold what matters? A causal test of a finished run, in `RUN/audit` (docs/audit.md).

For prompts drawn by `run.seed`, the heads and MLPs on the route of the last target above a threshold are kept while all others
are set to their mean over the dataset, or set to their mean while all others are kept; and so are as many by other rules.

The trials of a few prompts at a time are files of their own, so that an audit that is interrupted goes on where it was.
"""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from flowatlas import __version__, run_means, run_model
from flowatlas.audit_curves import curves, described
from flowatlas.audit_sets import thresholds
from flowatlas.audit_store import VERSION, Audit, current, made_from, write
from flowatlas.audit_trials import Trials
from flowatlas.corpus import to_table
from flowatlas.errors import ConfigError, RunError
from flowatlas.files import hash_json, remove, replacing
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.site_data import RunReader
from flowatlas.stored_prompts import stored_prompts
from flowatlas.writer import write_parquet

PARTS = "audit-parts"
_AT_ONCE = 8  # prompts of a part
_READ = ("prompts", "targets", "generated", "edges", "components", "logit_effects")


@dataclasses.dataclass(frozen=True)
class Settings:
    """`prompts` are drawn (all, where there are no more), with `draws` random sets each."""

    prompts: int = 256
    draws: int = 5

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 1 <= value <= 32767:
                raise ConfigError(f"--{name} {value} is not allowed: it must be a whole number from 1 to 32767")


def make(
    run_dir: Path, settings: Settings, model: str | None = None, device: str | None = None, progress: bool | None = None
) -> Audit:
    """Audit a run, or return its audit of the same settings and shards. `model` is where its weights lie now.

    Raises RunError when it is no run with a done shard, ModelError, GuardError, RunConflict for other weights,
    UnfinishedError when the disk does not let it; what was tried is then kept.
    """
    run_dir = Path(run_dir).resolve()
    reader = RunReader(run_dir)
    found = current(reader)
    if found is not None and found.marker["settings"] == dataclasses.asdict(settings):
        return found
    began = time.perf_counter()
    work = _Work(reader, settings, model, device)
    pieces = list(
        tqdm(work.parts(), total=work.n_parts, unit="part", disable=None if progress is None else not progress)
    )
    tables = {name: pa.concat_tables([piece[name] for piece in pieces]) for name in ("trials", "ends")}
    rng = np.random.default_rng([run_means.seed_of(reader.plan), *b"curves"])
    tables["curves"] = to_table(AUDIT_TABLES["curves"], curves(tables["trials"], tables["ends"], rng))
    marker = {
        "audit_version": VERSION,
        "flowatlas": __version__,
        "settings": dataclasses.asdict(settings),
        "made_from": made_from(reader),
        "means": run_means.means_hash(run_dir),
        "taus": work.taus,
        "n_prompts": tables["ends"].num_rows,
        "seconds": round(time.perf_counter() - began, 1),
    }
    audit = write(run_dir, tables, marker)
    remove(run_dir / PARTS)
    return audit


def lines(audit: Audit) -> Iterator[str]:
    """What the command line says about it."""
    marker = audit.marker
    yield f"{audit.folder}: {marker['n_prompts']} prompts, {len(marker['taus'])} thresholds, {marker['seconds']:.1f} s"
    yield from described(audit.read("curves").to_pydict())


class _Work:
    """The prompts of an audit, a few at a time; the model is loaded when a part is not there yet."""

    def __init__(self, reader: RunReader, settings: Settings, model: str | None, device: str | None) -> None:
        self._reader, self._settings = reader, settings
        self._located, self._config = run_model.locate(reader.plan, model, device)
        self._seed = run_means.seed_of(reader.plan)
        ids = self._drawn()
        self._chunks = [ids[first : first + _AT_ONCE] for first in range(0, len(ids), _AT_ONCE)]
        self._folder = reader.run_dir / PARTS / hash_json([made_from(reader), dataclasses.asdict(settings)])[:16]
        self.n_parts, self.taus = len(self._chunks), thresholds(float(reader.plan.config["routes"]["floor"]))
        self._trials: Trials | None = None

    def _drawn(self) -> list[int]:
        reader = self._reader
        ids = np.concatenate([reader.shard("prompts", shard)["prompt_id"].to_numpy() for shard in reader.shards])
        if not len(ids):
            raise RunError(f"{reader.run_dir} has no prompt to audit: all of its rows were rejected")
        order = np.random.default_rng([self._seed, *b"audited"]).permutation(len(ids))
        return sorted(ids[order[: self._settings.prompts]].tolist())

    def parts(self) -> Iterator[dict[str, pa.Table]]:
        """The tables `trials` and `ends` of each part, from its files or made."""
        for part, ids in enumerate(self._chunks):
            paths = {name: self._folder / f"{name}-{part:05d}.parquet" for name in ("ends", "trials")}
            found = _read_part(paths)
            if found is None:
                found = self._make(ids)
                for name, path in paths.items():
                    with replacing(path) as temporary:
                        write_parquet(temporary, found[name])
            yield found

    def _make(self, ids: list[int]) -> dict[str, pa.Table]:
        trials = self._ready()
        rows = {name: pa.concat_tables([self._reader.rows(name, id_, id_ + 1) for id_ in ids]) for name in _READ}
        model = trials.model
        with torch.inference_mode():
            return trials.tables(list(stored_prompts(rows, model.n_layers, model.n_heads, model.stream.parallel)))

    def _probe(self) -> list[tuple[int, ...]]:
        """A prompt to check the model on."""
        first = self._chunks[0][0]
        return [tuple(ids) for ids in self._reader.rows("prompts", first, first + 1)["token_ids"].to_pylist()]

    def _ready(self) -> Trials:
        if self._trials is None:
            batches = run_means.of_run(self._reader, self._located)
            model = run_model.load(self._located, self._config, self._probe())
            means = run_means.ensure(self._reader.run_dir, model, lambda: batches)
            self._trials = Trials(model, means, self.taus, self._settings.draws, self._seed)
        return self._trials


def _read_part(paths: dict[str, Path]) -> dict[str, pa.Table] | None:
    try:
        return {name: pq.read_table(path, schema=AUDIT_TABLES[name].schema) for name, path in paths.items()}
    except (OSError, pa.ArrowException):
        return None  # it is not there, or was damaged
