"""Where a run stands, for a person: done shards, prompts, rejects, bytes, and how to go on."""

import dataclasses
from pathlib import Path
from typing import Any

from flowatlas.manifest import find_manifest, read_plan, summary
from flowatlas.plan import Plan
from flowatlas.shards import Ledger

BAR = 30
NAMED_GAPS = 8


@dataclasses.dataclass(frozen=True)
class Status:
    """`done` and `missing` are shard numbers; `content` is a manifest over the shards that are done."""

    plan: Plan
    done: list[int]
    missing: list[int]
    content: dict[str, Any]
    complete: bool


def status(run_dir: Path) -> Status:
    """Read the markers of a run, finished or in progress. Raises RunError when `run_dir` is no run folder."""
    plan, ledger = read_plan(run_dir), Ledger(run_dir)
    markers = {shard: ledger.finished(shard) for shard in range(len(plan.shards))}
    done = [shard for shard, marker in markers.items() if marker]
    missing = [shard for shard, marker in markers.items() if not marker]
    content = summary(run_dir, plan, [marker for marker in markers.values() if marker])
    complete = not missing and find_manifest(run_dir, plan) is not None
    return Status(plan, done, missing, content, complete)


def main_lines(run_dir: Path) -> tuple[list[str], bool]:
    """What `flowatlas status` prints, and whether the run is complete. Raises RunError."""
    now = status(run_dir)
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
    return lines + _counts(now.content) + [_next_step(run_dir, now)], now.complete


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


def _next_step(run_dir: Path, now: Status) -> str:
    if now.complete:
        return f"complete: look at it with `flowatlas site {run_dir} --out SITE` and `flowatlas serve SITE`"
    what = "not complete" if now.missing else "not complete (all shards are done, the manifest is missing)"
    return f"{what}: give its `flowatlas run` command again with run.dir={run_dir}; finished shards are kept"


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
