"""What a run is: `plan.json`, written first.

The plan holds the identity of a run: the configuration that changes results, the weights' hash and the dataset's
hashes. A run folder goes on only with the same identity; a dataset that has grown at its end is appended to.
"""

import contextlib
import dataclasses
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flowatlas.errors import RunConflict, RunError
from flowatlas.files import (
    canonical_json,
    create_exclusively,
    hash_json,
    json_text,
    read_json,
    remove_stale,
    unfinished,
    write_json_atomically,
)
from flowatlas.schema import SCHEMA_VERSION, TABLES
from flowatlas.shards import Fingerprint, Ledger, shard_ranges

_NO_PATH = {errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The content of `plan.json`: `identity` and `config` are nested, batches are cut by `batch_tokens`."""

    identity: dict[str, Any]
    config_hash: str
    weights_hash: str
    config: dict[str, Any]
    dataset_name: str
    n_rows: int
    shard_hashes: tuple[str, ...]
    shard_size: int
    batch_tokens: int
    created: str
    schema_version: int = SCHEMA_VERSION

    @property
    def shards(self) -> list[range]:
        """The rows of each shard."""
        return shard_ranges(self.n_rows, self.shard_size)

    def to_json(self) -> dict[str, Any]:
        """What is written to `plan.json`."""
        content = dataclasses.asdict(self)
        name, rows, hashes = (content.pop(key) for key in ("dataset_name", "n_rows", "shard_hashes"))
        return {**content, "dataset": {"name": name, "rows": rows, "shard_hashes": list(hashes)}}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Plan":
        """Raises KeyError, TypeError or ValueError for what is no plan."""
        names = {field.name for field in dataclasses.fields(cls)}
        dataset = content["dataset"]
        own = {name: value for name, value in content.items() if name in names}
        hashes = tuple(dataset["shard_hashes"])
        plan = cls(**own, dataset_name=dataset["name"], n_rows=dataset["rows"], shard_hashes=hashes)
        plan._refuse_nonsense()
        return plan

    def _refuse_nonsense(self) -> None:
        """Raises TypeError or ValueError where a value is none that a plan can have."""
        words = (self.config_hash, self.weights_hash, self.dataset_name, self.created, *self.shard_hashes)
        _refuse_others(str, *words)
        _refuse_others(int, self.n_rows, self.shard_size, self.batch_tokens)
        _refuse_others(dict, self.identity, self.config)
        _refuse_others(dict, *(section for section in self.config.values() if section is not None))
        if self.n_rows < 0 or self.shard_size < 1 or len(self.shards) != len(self.shard_hashes):
            raise ValueError(f"{self.n_rows} rows in shards of {self.shard_size} have {len(self.shard_hashes)} hashes")


def _refuse_others(kind: type, *values: object) -> None:
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{value!r} is no {kind.__name__}")


def open_plan(
    run_dir: Path,
    identity: dict[str, Any],
    weights_hash: str,
    fingerprint: Fingerprint,
    shard_size: int,
    batch_tokens: int,
    config: dict[str, Any],
    dataset_name: str,
    before_creating: Callable[[], object] = lambda: None,
) -> Plan:
    """Start a run in `run_dir`, or go on with the one there when it is the same.

    `before_creating` is called before the plan of a new run is written; what it raises leaves no run behind.

    `batch_tokens` is the number to use for a new run; a run that is gone on with keeps its own, and only a number that
    `config` gives under `run.batch_tokens` (instead of "auto") must agree with it. Any number of processes may do this
    at once: one creates the plan, the others check theirs against it.

    Raises RunConflict (one line naming the first difference and both values), RunError (a plan that cannot be read or
    is of another schema), UnfinishedError (the disk).
    """
    is_ours = _make(run_dir)
    _clean(run_dir)
    identity = _plain(_with_batch_tokens(identity, batch_tokens))
    plan = Plan(
        identity=identity,
        config_hash=hash_json(identity),
        weights_hash=weights_hash,
        config=_plain(config),
        dataset_name=dataset_name,
        n_rows=fingerprint.rows,
        shard_hashes=fingerprint.shard_hashes,
        shard_size=shard_size,
        batch_tokens=batch_tokens,
        created=now(),
    )
    if not (run_dir / "plan.json").exists():
        _refuse_foreign(run_dir)
        try:
            before_creating()
        except BaseException:  # an interruption too
            if is_ours:
                with contextlib.suppress(OSError):  # another process has begun the run meanwhile
                    run_dir.rmdir()
            raise
        create_exclusively(run_dir / "plan.json", json_text(plan.to_json()))
    old = read_plan(run_dir)  # also one's own: it may be another's that was there a moment before
    _check_identity(run_dir, old, plan)
    if _check_dataset(run_dir, old, plan, fingerprint):
        return _grow(run_dir, old, plan)
    return old


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_plan(run_dir: Path) -> Plan:
    """The plan of a run folder. Raises RunError when there is none, or of another schema."""
    return Plan.from_json(read_planned(run_dir, "plan.json", f"{run_dir} is no run folder: it has no plan.json"))


def read_planned(run_dir: Path, name: str, missing: str) -> dict[str, Any]:
    """A JSON file of this schema version that is a plan or begins with one."""
    try:
        content = read_json(run_dir / name)
        version = content.get("schema_version")
        if version == SCHEMA_VERSION:
            Plan.from_json(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(missing) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        mend = "make the run again in another run.dir" if name == "plan.json" else "remove it and run again"
        raise RunError(f"{run_dir / name} is damaged: {mend}") from error
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{run_dir} was written with table schema {version}, this flowatlas has {SCHEMA_VERSION}: "
            "make the run again in another run.dir, or use the flowatlas that wrote it"
        )
    return content


def _make(run_dir: Path) -> bool:
    """Make the folder; True when it was not there. Raises RunConflict for a path that can be none."""
    was_there = run_dir.exists()
    with unfinished(run_dir):
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in _NO_PATH:
                reason = os.strerror(error.errno).lower()
                raise RunConflict(f"{run_dir} cannot be a run folder ({reason}); give another run.dir") from error
            raise
    return not was_there


def _clean(run_dir: Path) -> None:
    for folder in (
        run_dir,
        run_dir / "shards",
        run_dir / "model",
        run_dir / "errors",
        *(run_dir / table for table in TABLES),
    ):
        remove_stale(folder)


def _refuse_foreign(run_dir: Path) -> None:
    others = sorted(path.name for path in run_dir.iterdir() if not path.name.startswith("."))
    if others and not (run_dir / "plan.json").exists():  # another process may have begun the run in between
        raise RunConflict(f"{run_dir} is not empty and holds no run (it has {others[0]}); give another run.dir")


def _with_batch_tokens(identity: dict[str, Any], batch_tokens: int) -> dict[str, Any]:
    """The identity with the number that "auto" came to, wherever it names `run.batch_tokens`."""
    run = identity.get("run")
    if not isinstance(run, dict) or "batch_tokens" not in run:
        return identity
    return {**identity, "run": {**run, "batch_tokens": batch_tokens}}


def _flat(nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in sorted(nested.items()):
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _check_identity(run_dir: Path, old: Plan, new: Plan) -> None:
    before, after = dict(_flat(old.identity)), dict(_flat(new.identity))
    before["run.shard_size"], after["run.shard_size"] = old.shard_size, new.shard_size
    before["run.batch_tokens"], after["run.batch_tokens"] = old.batch_tokens, new.batch_tokens
    if new.config.get("run", {}).get("batch_tokens", "auto") == "auto":
        del before["run.batch_tokens"], after["run.batch_tokens"]
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            raise RunConflict(
                f"{run_dir} holds a run with {key}={_show(before.get(key))}, but this one has "
                f"{_show(after.get(key))}; give another run.dir or the same settings"
            )
    if old.weights_hash != new.weights_hash:
        raise RunConflict(
            f"{run_dir} holds a run of a model whose weights hash to {old.weights_hash[:12]}, but this model's hash "
            f"to {new.weights_hash[:12]}; give another run.dir or the same model"
        )


def _plain(nested: dict[str, Any]) -> dict[str, Any]:
    """As it will come back from JSON (tuples are lists), so that two plans compare by value."""
    return json.loads(canonical_json(nested))


def _show(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _check_dataset(run_dir: Path, old: Plan, new: Plan, fingerprint: Fingerprint) -> bool:
    """True when the dataset has grown, its old rows unchanged; False when it is the same. Else RunConflict."""
    for rows, before, after in zip(old.shards, old.shard_hashes, new.shard_hashes, strict=False):
        if new.n_rows < rows.stop:
            break
        if before != after and before != fingerprint.hash_range(rows.start, rows.stop):
            raise RunConflict(
                f"rows {rows.start} to {rows.stop - 1} of {new.dataset_name} are not those that {run_dir} was made "
                "from; give another run.dir or the same dataset"
            )
    if new.n_rows < old.n_rows:
        raise RunConflict(
            f"{run_dir} holds a run over {old.n_rows} rows, but {new.dataset_name} now has {new.n_rows} (with "
            "run.limit); give another run.dir or the same dataset and limit"
        )
    return new.n_rows > old.n_rows


def _grow(run_dir: Path, old: Plan, new: Plan) -> Plan:
    """The old plan over the new rows. The manifest goes first, so that at no moment a run seems complete and is not.

    Several processes may do this at once, and a late one must not undo what an early one has already finished: only
    what belongs to the old rows is removed.
    """
    last = len(old.shards) - 1
    marker = Ledger(run_dir).marker(last)
    with unfinished(run_dir):
        if _rows_of(run_dir / "manifest.json") not in (None, new.n_rows):
            (run_dir / "manifest.json").unlink(missing_ok=True)
        if marker is not None and marker.get("rows_hash") != new.shard_hashes[last]:
            Ledger(run_dir).path(last).unlink(missing_ok=True)
    grown = dataclasses.replace(
        old, n_rows=new.n_rows, shard_hashes=new.shard_hashes, dataset_name=new.dataset_name, config=new.config
    )
    write_json_atomically(run_dir / "plan.json", grown.to_json())
    return grown


def _rows_of(manifest: Path) -> int | None:
    """How many rows a manifest is about: None when it is not there, -1 when it is damaged."""
    try:
        return int(read_json(manifest)["dataset"]["rows"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return -1
