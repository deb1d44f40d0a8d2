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
    commands = [[*_flowatlas(cluster), *args, f"run.task={task}", f"run.tasks={tasks}"] for task in range(tasks)]
    logs = [folder / f"task-{task}.log" for task in range(tasks)]
    codes = _wait(
        [_start(command, log, task, tasks) for task, (command, log) in enumerate(zip(commands, logs, strict=True))]
    )
    if cluster.closing and not signals.warned():
        logs.append(folder / "closing.log")
        codes = [*[0] * tasks, *_wait([_start([*_flowatlas(cluster), *args], logs[-1], 0, 1)])]
    signals.stop_if_warned("its tasks have ended")
    failed = [str(log) for log, code in zip(logs, codes, strict=True) if code]
    if failed:
        raise UnfinishedError(
            f"{len(failed)} of {len(logs)} processes failed, see {', '.join(failed[:3])}: {_last_line(failed[0])}"
        )
    print(_last_line(str(logs[-1])))
    return 0


def _flowatlas(cluster: ClusterConfig) -> list[str]:
    return [*(shlex.split(cluster.command) if cluster.command else [sys.executable, "-m", "flowatlas.cli"]), "run"]


def _gpus() -> list[str]:
    """GPUs as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        return visible.split(",")
    return [str(gpu) for gpu in range(torch.cuda.device_count())]


def _start(command: list[str], log: Path, task: int, tasks: int) -> subprocess.Popen:
    environment, gpus = {**os.environ, "FLOWATLAS_LOG": str(log)}, _gpus()
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[task % len(gpus)]
    else:  # else each would take all cores, and they would wait for each other at every operation
        environment.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // tasks, 1)))
    with unfinished(log), log.open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)


def _wait(processes: list[subprocess.Popen]) -> list[int]:
    """Their exit codes; a scheduler's warning, and its end, go on to all of them."""
    told = False
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
    return [process.returncode for process in processes]


def _tell(processes: list[subprocess.Popen], number: signal.Signals) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def _last_line(log: str) -> str:
    lines = Path(log).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
