"""Where a run stands, for a person: shards done, at work and failed, prompts, rejects, bytes, and how to go on."""

import dataclasses
import time
from pathlib import Path
from typing import Any, TextIO

from flowatlas import activity
from flowatlas.activity import Busy, Failure
from flowatlas.manifest import find_manifest, read_plan, summary
from flowatlas.plan import Plan
from flowatlas.shards import Ledger

BAR = 30
NAMED_GAPS = 8
NAMED = 5  # processes and failures that are named
_LOOK = 5.0  # seconds between two looks of `watch`
_HOME = "\x1b[H\x1b[J"  # to the upper left, and everything below it away


@dataclasses.dataclass(frozen=True)
class Status:
    """`done` and `missing` are shard numbers; `content` is a manifest over the shards that are done.

    `speed`: prompts per second of the last minutes, None when too few shards are done to tell.
    """

    plan: Plan
    done: list[int]
    missing: list[int]
    content: dict[str, Any]
    complete: bool
    busy: list[Busy]
    failures: list[Failure]
    speed: float | None


def status(run_dir: Path, known: dict[int, dict[str, Any]] | None = None) -> Status:
    """Read the markers of a run, finished or in progress. Raises RunError when `run_dir` is no run folder.

    `known`: markers that need not be read again; those that are read are added to it.
    """
    plan, ledger, known = read_plan(run_dir), Ledger(run_dir), {} if known is None else known
    markers = {shard: known.get(shard) or ledger.finished(shard) for shard in range(len(plan.shards))}
    known.update({shard: marker for shard, marker in markers.items() if marker})
    done = [shard for shard, marker in markers.items() if marker]
    missing = [shard for shard, marker in markers.items() if not marker]
    content = summary(run_dir, plan, [marker for marker in markers.values() if marker])
    complete = not missing and find_manifest(run_dir, plan) is not None
    busy, failures = activity.look(run_dir, plan, missing)
    speed = activity.prompts_per_second(run_dir, [marker for marker in markers.values() if marker])
    return Status(plan, done, missing, content, complete, busy, failures, speed)


def watch(run_dir: Path, out: TextIO) -> bool:
    """Show a run's status on `out` again and again, until it is complete (then True) or nothing can go on (False)."""
    known: dict[int, dict[str, Any]] = {}
    while True:
        lines, complete = main_lines(run_dir, known)
        stuck = lines[-1].startswith(_STUCK)
        out.write("\n".join([_HOME * out.isatty() + lines[0], *lines[1:], ""]))
        out.flush()
        if complete or stuck:
            return complete
        time.sleep(_LOOK)


def main_lines(run_dir: Path, known: dict[int, dict[str, Any]] | None = None) -> tuple[list[str], bool]:
    """What `flowatlas status` prints, and whether the run is complete; `known` as for `status`. Raises RunError."""
    now = status(run_dir, known)
    n_shards = len(now.plan.shards)
    model = now.plan.config.get("model", {}).get("name") or "?"
    lines = [
        f"run      {run_dir}",
        f"model    {model}",
        f"dataset  {now.plan.dataset_name}, {now.plan.n_rows:,} rows",
        f"shards   [{_bar(len(now.done), n_shards)}] {len(now.done):,} of {n_shards:,}",
    ]
    if now.missing:
        lines.append(f"missing  {_gaps(now.missing)}")
    if not now.complete:
        lines += _work(run_dir, now)
    return lines + _counts(now.content) + [_next_step(run_dir, now)], now.complete


def _work(run_dir: Path, now: Status) -> list[str]:
    """Who is at what, what has failed and why, how fast it goes."""
    lines = []
    for word, some in (("running", [b for b in now.busy if b.lives]), ("lost", [b for b in now.busy if not b.lives])):
        if some:
            named = [f"shard {b.shard} ({b.by})" for b in some[:NAMED]]
            lines.append(f"{word:<9}{len(some):,}: {', '.join(named)}{_more(some)}")
    if now.failures:
        lines.append(f"failed   {len(now.failures):,}:{_more(now.failures)}")
    for failure in now.failures[:NAMED]:
        again = "given up" if failure.final else "to be tried again"
        place = f"{failure.record}, {failure.log}" if failure.log else str(failure.record)
        lines.append(f"         shard {failure.shard}: {failure.reason} ({again}; see {place})")
    if jobs := activity.jobs_line(run_dir):
        lines.append(f"jobs     {jobs}")
    if now.speed and any(b.lives for b in now.busy):
        left = sum(len(now.plan.shards[shard]) for shard in now.missing) / now.speed
        lines.append(f"speed    {now.speed:,.1f} prompts/s, about {human_seconds(left)} left")
    return lines


def _more(some: list[Any]) -> str:
    return f" and {len(some) - NAMED} more" if len(some) > NAMED else ""


def _counts(content: dict[str, Any]) -> list[str]:
    counts = content["counts"]
    lines = [f"prompts  {counts['prompts']:,} done, {counts['rejects']:,} rejected"]
    lines += [f"         {n:,} rejected: {reason}" for reason, n in counts["reject_reasons"].items()]
    tables = content["tables"]
    total = sum(entry["bytes"] for entry in tables.values())
    lines.append(f"tables   {human_bytes(total)}")
    lines += [
        f"         {name:<14}{human_bytes(entry['bytes']):>10}{entry['rows']:>14,} rows"
        for name, entry in tables.items()
    ]
    return lines


_STUCK = "stuck"


def _next_step(run_dir: Path, now: Status) -> str:
    if now.complete:
        return f"complete: look at it with `flowatlas site {run_dir} --out SITE` and `flowatlas serve SITE`"
    again = f"give its `flowatlas run` command again with run.dir={run_dir}"
    given_up = {failure.shard for failure in now.failures if failure.final}
    if given_up and given_up.issuperset(now.missing):
        return f"{_STUCK}: what is missing was given up; {again} and run.resume=failed"
    if any(busy.lives for busy in now.busy):
        return "in progress"
    what = "not complete" if now.missing else "not complete (all shards are done, the manifest is missing)"
    return f"{what}: {again}; finished shards are kept"


def _bar(done: int, total: int) -> str:
    filled = BAR * done // total if total else BAR
    return "#" * filled + "-" * (BAR - filled)


def _gaps(shards: list[int]) -> str:
    """Runs of consecutive numbers: `0, 3-7, 9`; the end of a long list is counted, not named."""
    runs: list[list[int]] = []
    for shard in shards:
        if runs and shard == runs[-1][1] + 1:
            runs[-1][1] = shard
        else:
            runs.append([shard, shard])
    named = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:NAMED_GAPS]]
    left = sum(last - first + 1 for first, last in runs[NAMED_GAPS:])
    return ", ".join(named) + (f" and {left} more" if left else "")


def human_bytes(n: float) -> str:
    """`1.2 MB` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def human_seconds(seconds: float) -> str:
    """`90 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
