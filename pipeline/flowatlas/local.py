"""The tasks of a run as processes of this machine, one per GPU: `flowatlas submit ... cluster=local`.

Also what to give inside one large job of a scheduler that hands out whole nodes.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from flowatlas import signals
from flowatlas.config import ClusterConfig
from flowatlas.errors import UnfinishedError
from flowatlas.files import unfinished

FOLDER = "local"  # of the logs, in the run folder
_LOOK = 0.2  # seconds between two looks at the processes


def default_tasks() -> int:
    """One per GPU that is visible here, at least one."""
    return max(len(_gpus()), 1)


def commands(cluster: ClusterConfig, args: list[str], tasks: int) -> list[list[str]]:
    """The command of each task, and at last that of the whole run, which does what they may have left."""
    whole = [
        *(shlex.split(cluster.command) if cluster.command else [sys.executable, "-m", "flowatlas.cli"]),
        "run",
        *args,
    ]
    each = [[*whole, f"run.task={task}", f"run.tasks={tasks}"] for task in range(tasks)]
    return [*each, whole] if cluster.closing else each


def run_tasks(run_dir: Path, cluster: ClusterConfig, args: list[str], tasks: int) -> int:
    """Run the tasks to their end, then once more as one process for what they may have left; returns 0.

    Raises UnfinishedError when that last one, or without it any task, failed; StoppedError after a scheduler's warning.
    """
    folder = run_dir / FOLDER
    with unfinished(folder):
        folder.mkdir(exist_ok=True)
    print(
        f"{tasks} tasks, what they print: {folder}/task-*.log; see how far they are: flowatlas status {run_dir} --watch"
    )
    every = commands(cluster, args, tasks)
    ended = _wait([_start(every[task], folder / f"task-{task}.log", task, tasks) for task in range(tasks)])
    if cluster.closing and not signals.warned():
        ended = _wait([_start(every[-1], folder / "closing.log", 0, 1)])
    signals.stop_if_warned("its tasks have ended")
    failed = [log for log, code in ended.items() if code]
    if failed:
        logs = ", ".join(map(str, failed[:3]))
        raise UnfinishedError(f"{len(failed)} of {len(ended)} processes failed, see {logs}: {_last_line(failed[0])}")
    print(_last_line(list(ended)[-1]))
    return 0


def _gpus() -> list[str]:
    """GPUs as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        return visible.split(",")
    return [str(gpu) for gpu in range(torch.cuda.device_count())]


def _start(command: list[str], log: Path, task: int, tasks: int) -> tuple[Path, subprocess.Popen]:
    environment, gpus = {**os.environ, "FLOWATLAS_LOG": str(log)}, _gpus()
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[task % len(gpus)]
    else:  # else each would take all cores, and they would wait for each other at every operation
        environment.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // tasks, 1)))
    with unfinished(log), log.open("ab") as output:
        return log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)


def _wait(started: list[tuple[Path, subprocess.Popen]]) -> dict[Path, int]:
    """Their exit codes by log; a scheduler's warning, and its end, go on to all of them."""
    processes, told = [process for _, process in started], False
    try:
        while any(process.poll() is None for process in processes):
            if signals.warned() and not told:
                _tell(processes, signal.SIGUSR1)
                told = True
            time.sleep(_LOOK)
    except BaseException:
        _tell(processes, signal.SIGTERM)
        for process in processes:
            process.wait()
        raise
    return {log: process.returncode for log, process in started}


def _tell(processes: list[subprocess.Popen], number: signal.Signals) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
