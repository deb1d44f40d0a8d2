"""What the processes of a run are at, from their claims and the markers of what they have finished."""

import dataclasses
import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from flowatlas import claims, sbatch, workers
from flowatlas.claims import Claims, State, claim_name
from flowatlas.files import read_json
from flowatlas.plan import Plan
from flowatlas.shards import Ledger, record_path

_RECENT = 600.0  # seconds over which the speed is taken


@dataclasses.dataclass(frozen=True)
class Busy:
    """A shard that a process is at, or was when it died (`lives` false)."""

    shard: int
    by: str
    log: str | None
    lives: bool


@dataclasses.dataclass(frozen=True)
class Failure:
    """A shard whose last attempt failed: `final` when it is not tried again by itself."""

    shard: int
    reason: str
    final: bool
    record: Path
    log: str | None


def look(run_dir: Path, plan: Plan, missing: list[int]) -> tuple[list[Busy], list[Failure]]:
    """Which of the missing shards processes are at, and which have failed."""
    me, folder = workers.me(), run_dir / claims.FOLDER
    watch = workers.Watch(folder / "alive", me)
    board = Claims(claims.Folder(folder), me, watch.alive)
    busy, failures = [], []
    for shard in missing:
        state = board.state(claim_name(shard, plan.shard_hashes[shard]))
        if (holder := state.holder) is not None:
            busy.append(Busy(shard, str(holder), holder.log, watch.alive(holder)))
        elif state.failures or state.given_up:
            failures.append(_failure(run_dir, shard, state))
    return busy, failures


def _failure(run_dir: Path, shard: int, state: State) -> Failure:
    record = record_path(run_dir, shard)
    try:
        log = read_json(record).get("log")
    except (OSError, ValueError):
        log = None
    return Failure(shard, state.why, state.given_up, record, log)


def prompts_per_second(run_dir: Path, markers: list[dict[str, Any]]) -> float | None:
    """Rows done per second over the last ten minutes, by when their markers were written; None when too few are known."""
    ledger, landed = Ledger(run_dir), []
    for marker in markers:
        try:
            landed.append((ledger.path(marker["shard"]).stat().st_mtime, marker["n_rows"]))
        except OSError:
            continue
    landed.sort()
    recent = [(moment, n) for moment, n in landed if moment > time.time() - _RECENT]
    if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
        return None
    return sum(n for _, n in recent[1:]) / (recent[-1][0] - recent[0][0])


def jobs_line(run_dir: Path) -> str | None:
    """How many jobs of what was submitted Slurm has, by their state; None when it cannot be asked or has none."""
    try:
        submitted = read_json(run_dir / sbatch.FOLDER / sbatch.JOBS)["submitted"]
        jobs = [job for entry in submitted for job in entry["jobs"]]
        asked = subprocess.run(
            ["squeue", "--noheader", "--array", "--format=%T", "--states=all", f"--jobs={','.join(jobs)}"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, subprocess.SubprocessError, json.JSONDecodeError):
        return None
    states = Counter(asked.stdout.split())
    return ", ".join(f"{n} {state.lower()}" for state, n in sorted(states.items())) or None
