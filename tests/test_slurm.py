"""A run as an array of a real Slurm, to which happens what happens on clusters."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowatlas.audit import check
from flowatlas.cli import main
from runs import Runs, hashes, write_prompts
from slurm_cluster import Cluster, lacking, until

ROWS, SHARD = 32, 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := lacking():
        if os.environ.get("FLOWATLAS_NO_SLURM"):
            pytest.skip("FLOWATLAS_NO_SLURM is set")
        pytest.fail(f"Slurm is not installed ({', '.join(missing)}): make slurm; without it: FLOWATLAS_NO_SLURM=1")
    with Cluster(tmp_path_factory.mktemp("slurm"), n_nodes=3, largest_array=3) as up:
        yield up


class Submitted:
    """A run that is submitted from `folder`, and looked at from outside."""

    def __init__(self, cluster: Cluster, folder: Path, model: Path) -> None:
        self.cluster, self.folder, self.run_dir = cluster, folder, folder / "a run"
        write_prompts(folder / "prompts.jsonl", ROWS)
        self.arguments = [f"model={model}", "dataset=prompts.jsonl", f"run.shard_size={SHARD}"]

    def flowatlas(self, *args: str, seconds: float = 0.0) -> subprocess.CompletedProcess:
        settings = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "FLOWATLAS_SLOW": str(seconds)}
        settings["FLOWATLAS_CACHE"] = str(self.folder / "cache")
        return subprocess.run(
            [sys.executable, "-m", "flowatlas.cli", *args], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, **self.cluster.environment, **settings}, check=False, timeout=200,
        )  # fmt: skip

    def submit(self, *more: str, seconds: float) -> list[str]:
        """The numbers of the jobs."""
        command = f"{sys.executable} {Path(__file__).with_name('slow_flowatlas.py')}"
        how = ["cluster=slurm", "cluster.gpus=0", f'cluster.command="{command}"', *more]
        done = self.flowatlas("submit", *self.arguments, "run.dir='a run'", *how, seconds=seconds)
        assert (done.returncode, done.stderr) == (0, "")
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


def test_an_array_survives_what_clusters_do(
    cluster: Cluster, runs: Runs, tmp_path: Path, models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    run = Submitted(cluster, tmp_path, models["gpt2"])
    first, second, closing = run.submit("cluster.tasks=4", seconds=2.0)
    until(lambda: len(run.at_work()) == 3, "three tasks are in a shard")
    assert run.at_work().keys() == {f"{first}_0", f"{first}_1", f"{first}_2"}
    assert (cluster.jobs()[f"{second}_0"], cluster.jobs()[closing]) == ("PENDING", "PENDING")

    os.kill(run.at_work()[f"{first}_0"], signal.SIGKILL)
    until(lambda: cluster.jobs()[f"{first}_0"] == "FAILED", "the killed task has failed")

    cluster.call("scancel", "--batch", "--signal=USR1", f"{first}_1")  # as before the end of its time
    until(lambda: cluster.restarts(f"{first}_1") == 1, "the warned task is put back")
    assert "drop" not in run.events(), "it had the time to finish its shard"

    until(lambda: f"{second}_0" in run.at_work(), "the last task is in a shard")
    cluster.call("sbatch", "--partition=urgent", "--nodelist=n2", "--output=/dev/null", "--wrap=true")
    until(lambda: any(cluster.restarts(job) for job in (f"{first}_2", f"{second}_0")), "a task is preempted")
    assert run.events().count("drop") == 1, "it gave its shard back"

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

    array, closing = run.submit("cluster.tasks=2", seconds=0.0)
    assert array not in (first, second)
    until(lambda: cluster.jobs()[closing] == "COMPLETED", "the closing job has ended")
    assert {path: path.stat().st_ino for path in kept} == kept, "what was done was not done again"
    undisturbed = runs("run", *run.arguments, "run.dir=alone", cwd=tmp_path)
    assert (undisturbed.code, undisturbed.err) == (0, "")
    assert hashes(run.run_dir) == hashes(tmp_path / "alone")
    assert check(run.run_dir) == []
    assert main(["status", str(run.run_dir), "--watch"]) == 0
    again = run.flowatlas("submit", *run.arguments, "run.dir='a run'", "cluster=slurm")
    assert "is complete: nothing to submit" in again.stdout


def test_what_slurm_refuses_is_one_line(cluster: Cluster, tmp_path: Path, models: dict[str, Path]) -> None:
    run = Submitted(cluster, tmp_path, models["gpt2"])
    refused = run.flowatlas(
        "submit", *run.arguments, "run.dir=run", "cluster=slurm", "cluster.gpus=0", "cluster.partition=none"
    )
    assert refused.returncode == 1
    assert re.fullmatch(r"flowatlas: sbatch --parsable refused: .*partition.*\n", refused.stderr)
