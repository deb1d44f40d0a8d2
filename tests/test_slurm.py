"""A run as an array of a real Slurm, to which happens what happens on clusters."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowatlas.check import check
from flowatlas.cli import main
from runs import Runs, hashes, write_prompts
from slurm_cluster import Cluster, lacking, until

ROWS, SHARD = 64, 2  # so many shards that some are left, whatever happens first


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := lacking():
        if os.environ.get("FLOWATLAS_NO_SLURM"):
            pytest.skip("FLOWATLAS_NO_SLURM is set")
        pytest.fail(f"Slurm is not installed ({', '.join(missing)}): make slurm; without it: FLOWATLAS_NO_SLURM=1")
    with Cluster(tmp_path_factory.mktemp("slurm"), n_nodes=3, largest_array=3) as up:
        yield up


class Submitted:
    """A run that is submitted from the working directory, a folder of the test's own."""

    def __init__(self, model: Path) -> None:
        self.run_dir = Path("a run").resolve()
        write_prompts(Path("prompts.jsonl"), ROWS)
        self.arguments = [f"model={model}", "dataset=prompts.jsonl", f"run.shard_size={SHARD}"]

    def submit(self, *more: str) -> int:
        command = f"{sys.executable} {Path(__file__).with_name('slow_flowatlas.py')}"
        how = ["cluster=slurm", "cluster.gpus=0", f'cluster.command="{command}"', *more]
        return main(["submit", *self.arguments, "run.dir='a run'", *how])

    def jobs(self) -> list[str]:
        """The numbers of the jobs that were submitted last."""
        return json.loads((self.run_dir / "slurm" / "jobs.json").read_text())["submitted"][-1]["jobs"]

    def at_work(self) -> dict[str, int]:
        """Who holds a shard now: pids by job."""
        holders = {}
        for first in self.run_dir.glob("claims/part-*.0"):
            entries = [first.with_suffix(f".{n}") for n in range(20) if first.with_suffix(f".{n}").exists()]
            last = json.loads(entries[-1].read_text())
            if last["event"] == "take":
                holders[last["worker"]["job"]] = last["worker"]["pid"]
        return holders

    def events(self) -> list[str]:
        return [json.loads(entry.read_text())["event"] for entry in self.run_dir.glob("claims/part-*.*[0-9]")]


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Submitted:
    monkeypatch.chdir(tmp_path)
    settings = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "FLOWATLAS_CACHE": str(tmp_path / "cache")}
    for name, value in (cluster.environment | settings).items():
        monkeypatch.setenv(name, value)
    return Submitted(models["gpt2"])


def test_an_array_survives_what_clusters_do(
    cluster: Cluster, run: Submitted, runs: Runs, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("FLOWATLAS_SLOW", "6")
    assert run.submit("cluster.tasks=4") == 0
    first, second, closing = run.jobs()
    pids: dict[str, int] = {}
    until(lambda: pids.update(run.at_work()) or len(pids) == 3, "three tasks are in a shard")
    assert pids.keys() == {f"{first}_0", f"{first}_1", f"{first}_2"}
    assert (cluster.jobs()[f"{second}_0"], cluster.jobs()[closing]) == ("PENDING", "PENDING")

    os.kill(pids[f"{first}_0"], signal.SIGKILL)
    until(lambda: cluster.jobs()[f"{first}_0"] == "FAILED", "the killed task has failed")

    cluster.call("scancel", "--batch", "--signal=USR1", f"{first}_1")  # as before the end of its time
    until(lambda: cluster.restarts(f"{first}_1") == 1, "the warned task is put back")
    assert "drop" not in run.events(), "it had the time to finish its shard"

    until(lambda: f"{second}_0" in run.at_work(), "the last task is in a shard")
    cluster.call("sbatch", "--partition=urgent", "--nodelist=n2", "--output=/dev/null", "--wrap=true")
    until(lambda: any(cluster.restarts(job) for job in (f"{first}_2", f"{second}_0")), "a task is preempted")
    until(lambda: run.events().count("drop") == 1, "it has given its shard back")

    cluster.start_now(f"{first}_1")
    until(lambda: f"{first}_1" in run.at_work(), "the warned task goes on")
    assert main(["status", str(run.run_dir)]) == 1
    status = capsys.readouterr().out
    assert re.search(rf"^running  .*shard \d+ \(job {first}_1 on n\d\)", status, re.M)
    assert re.search(r"^jobs     .*1 failed", status, re.M)

    cluster.call("scancel", first, second, closing)
    until(lambda: not {"RUNNING", "COMPLETING", "PENDING"} & set(cluster.jobs().values()), "all is cancelled")
    n_done = len(list(run.run_dir.glob("shards/*.json")))
    assert 0 < n_done < ROWS // SHARD
    kept = {path: path.stat().st_ino for path in run.run_dir.glob("shards/*.json")}

    monkeypatch.setenv("FLOWATLAS_SLOW", "0")
    assert run.submit("cluster.tasks=2") == 0
    array, closing = run.jobs()
    assert array not in (first, second)
    until(lambda: cluster.jobs()[closing] == "COMPLETED", "the closing job has ended")
    assert {path: path.stat().st_ino for path in kept} == kept, "what was done was not done again"
    undisturbed = runs("run", *run.arguments, "run.dir=alone", cwd=tmp_path)
    assert (undisturbed.code, undisturbed.err) == (0, "")
    assert hashes(run.run_dir) == hashes(tmp_path / "alone")
    assert check(run.run_dir) == []
    assert main(["status", str(run.run_dir), "--watch"]) == 0
    assert run.submit() == 0
    assert "is complete: nothing to submit" in capsys.readouterr().out


def test_what_slurm_refuses_is_one_line(run: Submitted, capsys: pytest.CaptureFixture) -> None:
    assert run.submit("cluster.partition=none") == 1
    assert re.fullmatch(r"flowatlas: sbatch --parsable refused: .*partition.*\n", capsys.readouterr().err)
