"""Tasks that are killed at random moments, again and again, and what becomes of their run.

`python tests/kill_storm.py 50` kills 50 of them, as the suite does with a few.
"""

import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from flowatlas.check import check
from runs import Runs, hashes, write_prompts

ROWS, SHARD, TASKS = 60, 2, 2


@dataclass(frozen=True)
class Outcome:
    """How many were killed, and every way in which the run's tables are not those of one that nobody disturbed."""

    killed: int
    differences: list[str]


def kill_storm(runs: Runs, model: Path, folder: Path, n_kills: int, seed: int) -> Outcome:
    """Two tasks at once, each killed and started again until `n_kills` have died; then what is left, in peace."""
    write_prompts(folder / "prompts.jsonl", ROWS)
    command = ["run", f"model={model}", "dataset=prompts.jsonl", f"run.shard_size={SHARD}"]
    draw, killed = random.Random(seed), 0
    while killed < n_kills:
        pids = [
            runs.start(*command, "run.dir=run", f"run.tasks={TASKS}", f"run.task={task}", cwd=folder)
            for task in range(TASKS)
        ]
        for pid in pids:
            time.sleep(draw.uniform(0, 1.0))
            os.kill(pid, signal.SIGKILL)  # one that has ended is not gone until it is waited for
        killed += sum(runs.wait(pid).code == -signal.SIGKILL for pid in pids)
        if (folder / "run" / "manifest.json").exists():  # they were faster; the storm goes on over more prompts
            write_prompts(folder / "prompts.jsonl", len((folder / "prompts.jsonl").read_text().splitlines()) + ROWS)
    last = runs(*command, "run.dir=run", cwd=folder)
    alone = runs(*command, "run.dir=alone", cwd=folder)
    differences = [f"exit code {done.code}: {done.err}" for done in (last, alone) if done.code]
    made, expected = hashes(folder / "run"), hashes(folder / "alone")
    differences += [name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name)]
    differences += [str(path) for path in (folder / "run").rglob("*.tmp")]
    return Outcome(killed, differences + check(folder / "run"))


def main(n_kills: int) -> int:
    from tiny import make_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = Runs({"FLOWATLAS_CACHE": str(folder / "cache")})
        try:
            outcome = kill_storm(runs, make_model(folder / "model", "gpt2"), folder, n_kills, seed=n_kills)
        finally:
            runs.close()
    print(f"{outcome.killed} tasks killed, {len(outcome.differences)} differences", *outcome.differences, sep="\n")
    return bool(outcome.differences)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
