"""Who a process is, and whether another one still lives.

A worker is known to be dead, in this order, when
1. it ran on this machine and its process is no more;
2. Slurm says that its job has ended, or was started again since;
3. the file that it touches every `BEAT` seconds has not changed for `DEAD` seconds of our own clock (clocks of nodes may
   differ, so times of different nodes are not compared).
A worker wrongly taken for dead loses its turn, nothing else (see claims.py).
"""

import contextlib
import dataclasses
import functools
import os
import re
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEAT = 20.0
DEAD = 180.0
_FRESH = 60.0  # seconds: a younger beat is believed without asking Slurm, so that it is not asked by all about all
_ASKED = 15.0  # seconds for which an answer of Slurm's holds
_ENDED = re.compile(r"\bJobState=(?!RUNNING|COMPLETING|SUSPENDED|STOPPED)")


@dataclasses.dataclass(frozen=True)
class Worker:
    """A process: `machine` tells boots and containers apart, `started` tells a pid's lives apart.

    `job` is Slurm's name for it (`123_4` in an array), `restarts` how often Slurm had started it before; `log` where
    Slurm puts what it prints.
    """

    id: str
    host: str = "?"
    machine: str = ""
    pid: int = 0
    started: str = ""
    cluster: str | None = None
    job: str | None = None
    restarts: int = 0
    log: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> "Worker":
        """What cannot be read is a worker of whom nothing is known: it counts as living until `DEAD` seconds passed."""
        try:
            return cls(**content)
        except TypeError:
            return cls("?")

    def __str__(self) -> str:
        return f"job {self.job} on {self.host}" if self.job else f"process {self.pid} on {self.host}"


def me() -> Worker:
    """This process."""
    env, pid = os.environ, os.getpid()
    host = socket.gethostname()
    job, task = env.get("SLURM_ARRAY_JOB_ID") or env.get("SLURM_JOB_ID"), env.get("SLURM_ARRAY_TASK_ID")
    return Worker(
        id=f"{host}.{pid}.{uuid.uuid4().hex[:8]}",
        host=env.get("SLURMD_NODENAME") or host,
        machine=_machine(),
        pid=pid,
        started=_started(pid) or "",
        cluster=env.get("SLURM_CLUSTER_NAME"),
        job=f"{job}_{task}" if job and task else job,
        restarts=int(env.get("SLURM_RESTART_COUNT") or 0),
        log=env.get("FLOWATLAS_LOG"),
    )


class Heart:
    """Touches `folder/<worker's id>` while the body runs; the file goes when the body ends."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        self._file = folder / worker.id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heart":
        with contextlib.suppress(OSError):  # then only the other ways of telling are left
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self._file.unlink()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self._file)  # by the file server's clock


class Watch:
    """Judges workers by what is known of them; made once per process, because it remembers the beats that it saw."""

    def __init__(self, folder: Path, myself: Worker, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._me, self._clock = folder, myself, clock
        self._seen: dict[str, tuple[float | None, float]] = {}  # by id: the beat, and since when it is unchanged
        self._jobs: dict[str, tuple[float, bool | None]] = {}

    def alive(self, worker: Worker) -> bool:
        """False only when it is known to be dead; one whose heart beats again after all lives again."""
        return worker.id == self._me.id or not self._has_died(worker)

    def _has_died(self, worker: Worker) -> bool:
        if worker.machine and worker.machine == self._me.machine:
            return _started(worker.pid) != worker.started
        beat, now = _beat_of(self._folder / worker.id), self._clock()
        if worker.id not in self._seen or self._seen[worker.id][0] != beat:
            self._seen[worker.id] = beat, now
        if now - self._seen[worker.id][1] >= DEAD:
            return True
        if beat is not None and time.time() - beat < _FRESH:
            return False
        return self._slurm_says_ended(worker) is True

    def _slurm_says_ended(self, worker: Worker) -> bool | None:
        """None when it cannot tell."""
        if worker.job is None or worker.cluster is None or worker.cluster != self._me.cluster:
            return None
        if worker.job == self._me.job:
            return worker.restarts < self._me.restarts
        asked, answer = self._jobs.get(worker.job, (-_ASKED, None))
        if self._clock() - asked >= _ASKED:
            answer = _job_has_ended(worker.job, worker.restarts)
            self._jobs[worker.job] = self._clock(), answer
        return answer


def _beat_of(path: Path) -> float | None:
    """When a file was touched. It is opened, because a network file system then asks the server."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.fstat(handle).st_mtime
    finally:
        os.close(handle)


def _job_has_ended(job: str, restarts: int) -> bool | None:
    try:
        asked = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", job], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if asked.returncode:
        return True if "Invalid job id" in asked.stderr + asked.stdout else None
    again = re.search(r"\bRestarts=(\d+)", asked.stdout)
    return bool(_ENDED.search(asked.stdout)) or (again is not None and int(again[1]) > restarts)


@functools.cache
def _machine() -> str:
    """This boot of this host, as seen from this container: where a pid means something. Empty where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process of this machine began, in ticks since boot; None when it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
