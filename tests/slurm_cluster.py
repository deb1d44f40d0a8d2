"""A real Slurm on this machine: one controller and several nodes, without systemd, cgroups, a database or root's rights.

Needs Debian's packages slurmctld, slurmd, slurm-client and munge (`make slurm` installs them). Everything lies in one
folder and is stopped by the pids that the daemons wrote there.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from getpass import getuser
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where Debian has daemons, which not everybody looks through
WAIT = 90.0  # seconds: long, because the machine may be busy; what is waited for usually comes at once

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=10
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
MaxArraySize={largest_array}
NodeName=n[0-{last}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first_port}-{last_port}] CPUs=1 State=UNKNOWN
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
"""


class Cluster:
    """A context, in which `n_nodes` nodes of one CPU each take jobs; partition `urgent` preempts those of `work`."""

    def __init__(self, folder: Path, n_nodes: int, largest_array: int) -> None:
        self.folder, self.n_nodes, self.largest_array = folder, n_nodes, largest_array
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.SubprocessError, AssertionError):
            self.call("scancel", "--quiet", "--user", getuser())
            until(lambda: not self.call("squeue", "--noheader"), "the jobs end")
        files = [*self.folder.glob("*.pid"), *self.folder.glob("munge/pid")]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in _pids(files):
                os.kill(pid, number)
            with contextlib.suppress(AssertionError):
                until(lambda: not _pids(files), "the daemons end", 5.0)

    def call(self, *command: str) -> str:
        """What a command of Slurm's prints; an assertion fails when it fails."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **self.environment}, timeout=WAIT
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """The state of every job that Slurm still knows, arrays task by task (`12_0`)."""
        listed = self.call("squeue", "--noheader", "--array", "--states=all", "--format=%i %T")
        return dict(line.split() for line in listed.splitlines())

    def restarts(self, job: str) -> int:
        found = re.search(r"Restarts=(\d+)", self.call("scontrol", "--oneliner", "show", "job", job))
        assert found
        return int(found[1])

    def start_now(self, job: str) -> None:
        """Slurm lets a job that was put back wait for two minutes."""
        until(lambda: self.jobs()[job] == "PENDING", f"{job} is put back")

        def started() -> bool:  # for a moment after it was put back, this is refused
            with contextlib.suppress(AssertionError):
                self.call("scontrol", "update", f"JobId={job}", "StartTime=now")
            return "BeginTime" not in self.call("squeue", "--noheader", "--jobs", job, "--format=%r")

        until(started, f"{job} may start")

    def _start(self) -> None:
        for name in ("munge", "state", *(f"spool/n{node}" for node in range(self.n_nodes))):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").chmod(0o711)
        self._start_munge()
        port = _free_ports(self.n_nodes + 1)
        conf = _CONF.format(
            host=socket.gethostname().partition(".")[0], user=getuser(), folder=self.folder, port=port, last=self.n_nodes - 1,
            first_port=port + 1, last_port=port + self.n_nodes, largest_array=self.largest_array,
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(conf)
        if _version() >= (24, 5):  # later ones start a cgroup plugin unless told not to, earlier ones know no such word
            (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        self.call("slurmctld", "-c")
        for node in range(self.n_nodes):
            self.call("slurmd", "-N", f"n{node}")
        until(self._is_up, "all nodes are idle")

    def _start_munge(self) -> None:
        munge = self.folder / "munge"
        (munge / "key").touch(0o600)
        (munge / "key").write_bytes(os.urandom(128))
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self.call("munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items()))

    def _is_up(self) -> bool:
        states = self.call("sinfo", "--noheader", "--Node", "--partition=work", "--format=%t").split()
        return states == ["idle"] * self.n_nodes


def lacking() -> list[str]:
    """The programs of Slurm that are not installed."""
    return [name for name in DAEMONS if shutil.which(name, path=_PATH) is None]


def until(true: Callable[[], object], what: str, seconds: float = WAIT) -> None:
    """Wait until something is true; an assertion fails when it takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.1)


def _version() -> tuple[int, ...]:
    printed = subprocess.run(["slurmd", "-V"], capture_output=True, text=True, check=True, env={"PATH": _PATH}).stdout
    return tuple(map(int, re.findall(r"\d+", printed)[:2]))


def _pids(files: list[Path]) -> list[int]:
    """Those of the pid files whose processes still live."""
    found = []
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text())
            os.kill(pid, 0)
            found.append(pid)
    return found


def _free_ports(n: int) -> int:
    """The first of n neighbouring ports that nobody listens on."""
    for port in range(20000 + os.getpid() % 10000, 40000, n):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for i in range(n):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + i))
            return port
    raise AssertionError("no free ports")
