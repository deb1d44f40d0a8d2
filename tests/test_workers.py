"""Who still lives: by its process, by Slurm's word, by its heart."""

import dataclasses
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flowatlas import workers
from flowatlas.workers import DEAD, Heart, Watch, Worker, me


@pytest.fixture
def child():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in for scontrol: what it prints and its exit code are in files, and it notes what it is asked."""
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncat {tmp_path}/says\nexit $(cat {tmp_path}/code)\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def says(text: str, code: int = 0) -> None:
        (tmp_path / "says").write_text(text)
        (tmp_path / "code").write_text(str(code))

    says("JobState=RUNNING Restarts=0")
    return says


class Hours:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def process(pid: int) -> Worker:
    return dataclasses.replace(me(), id="other", pid=pid, started=workers._started(pid) or "")


def test_a_process_of_this_machine_is_looked_up(tmp_path: Path, child: subprocess.Popen) -> None:
    other = process(child.pid)
    assert Watch(tmp_path, me()).alive(other)
    assert not Watch(tmp_path, me()).alive(dataclasses.replace(other, started="1")), "the pid is another's now"
    child.send_signal(signal.SIGKILL)
    while workers._started(child.pid) is not None:
        time.sleep(0.01)
    assert not Watch(tmp_path, me()).alive(other), "though nobody has waited for it yet"


def test_a_process_of_another_machine_lives_while_its_heart_beats(tmp_path: Path) -> None:
    clock, other = Hours(), Worker("other", "far", machine="far/away")
    watch, beat = Watch(tmp_path, me(), clock), tmp_path / "other"
    for age in (-5000, 0, 5000):  # by whatever clock its node or the file server has
        beat.touch()
        os.utime(beat, (time.time() - age, time.time() - age))
        clock.now += DEAD
        assert watch.alive(other)
    clock.now += DEAD - 1
    assert watch.alive(other)
    clock.now += 1
    assert not watch.alive(other)
    beat.touch()
    assert watch.alive(other), "it had only stood still"


def test_one_who_has_no_heart_is_given_time(tmp_path: Path) -> None:
    clock, other = Hours(), Worker("other", machine="far/away")
    watch = Watch(tmp_path, me(), clock)
    assert watch.alive(other)
    clock.now += DEAD
    assert not watch.alive(other)


def test_a_heart_beats_and_goes_with_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BEAT", 0.01)
    beat = tmp_path / "alive" / me().id
    worker = me()
    with Heart(tmp_path / "alive", worker):
        beat = tmp_path / "alive" / worker.id
        os.utime(beat, (1, 1))
        while beat.stat().st_mtime == 1:
            time.sleep(0.01)
    assert not beat.exists()
    with Heart(Path("/proc/none"), worker):
        pass  # where nothing can be written there are other ways of telling


ENDED = [
    ("JobState=RUNNING Restarts=0", 0, True),
    ("JobState=COMPLETING Restarts=0", 0, True),
    ("JobState=RUNNING Restarts=1", 0, False),
    ("JobState=PENDING Restarts=0", 0, False),
    ("JobState=FAILED Restarts=0", 0, False),
    ("slurm_load_jobs error: Invalid job id specified", 1, False),
    ("slurm_load_jobs error: Unable to contact slurm controller", 1, True),
]


@pytest.mark.parametrize(("text", "code", "alive"), ENDED)
def test_slurm_is_asked_about_a_heart_that_is_late(tmp_path: Path, slurm, text: str, code: int, alive: bool) -> None:
    myself = dataclasses.replace(me(), cluster="c", job="8_1")
    other = Worker("other", machine="far/away", cluster="c", job="7_3")
    slurm(text, code)
    watch = Watch(tmp_path, myself)
    assert [watch.alive(other), watch.alive(other)] == [alive] * 2
    assert (tmp_path / "asked").read_text() == "--oneliner show job 7_3\n", "once in a while"
    (tmp_path / "young").touch()
    assert watch.alive(dataclasses.replace(other, id="young", job="7_4"))
    assert watch.alive(dataclasses.replace(other, id="else", cluster="d", job="7_5"))
    assert "7_4" not in (tmp_path / "asked").read_text()
    assert "7_5" not in (tmp_path / "asked").read_text()


def test_an_earlier_life_of_ones_own_job_is_over(tmp_path: Path, slurm) -> None:
    myself = dataclasses.replace(me(), cluster="c", job="7_3", restarts=1)
    watch = Watch(tmp_path, myself)
    assert not watch.alive(Worker("before", machine="far/away", cluster="c", job="7_3", restarts=0))
    assert watch.alive(Worker("now", machine="far/away", cluster="c", job="7_3", restarts=1))
    assert not (tmp_path / "asked").exists()


def test_a_task_knows_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert me().job is None
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert (me().job, me().restarts) == ("12", 0)
    for name, value in (("ARRAY_JOB_ID", "11"), ("ARRAY_TASK_ID", "4"), ("RESTART_COUNT", "2")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert (me().job, me().restarts) == ("11_4", 2)
    assert Worker.from_json(me().to_json()).pid == os.getpid()
    assert Worker.from_json({"unknown": 1}) == Worker("?")
