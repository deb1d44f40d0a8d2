"""`flowatlas submit`: plan a run once, then start its tasks, as a Slurm job array or as processes of this machine.

Slurm is the engine. What is submitted lies in the run folder (`RUN/slurm`), and each task is an ordinary `flowatlas run`
with `run.task` and `run.tasks`, so whatever is done here can be done by hand, or by another scheduler.
"""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from flowatlas import local, run, sbatch
from flowatlas.config import Config
from flowatlas.errors import ConfigError, UnfinishedError
from flowatlas.files import read_json, replacing, write_json_atomically
from flowatlas.job import Job, prepare
from flowatlas.manifest import find_manifest, now
from flowatlas.overrides import quoted
from flowatlas.sbatch import FOLDER, JOBS, Script
from flowatlas.shards import Ledger, shard_ranges

_LARGEST = 1001  # tasks of an array where the cluster cannot be asked: Slurm's own default


def submit(config: Config, args: list[str]) -> int:
    """Carry out `flowatlas submit ARGS`, of which `config` was composed; returns the exit code.

    Raises ConfigError for what cannot be submitted, UnfinishedError when Slurm refuses, and what planning raises.
    """
    _check(config)
    job = _prepared(config)
    missing = _missing(job)
    if not config.cluster.dry:
        plan = run.open_run(job)
        missing = _missing(job)
        if not missing and find_manifest(job.run_dir, plan) is not None:
            print(f"{job.run_dir} is complete: nothing to submit")
            return 0
    tasks = min(config.cluster.tasks or local.default_tasks(), max(missing, 1))
    own = task_arguments(args, job)
    if config.cluster.kind == "local":
        if config.cluster.dry:
            print("\n".join(map(shlex.join, local.commands(config.cluster, own, tasks))))
            return 0
        return local.run_tasks(job.run_dir, config.cluster, own, tasks)
    return _slurm(job, own, tasks)


def task_arguments(args: list[str], job: Job) -> list[str]:
    """What a task is given of the arguments of `flowatlas submit`: all but where and how it is started.

    The run folder is named in full, and the seconds between warning and end are said, because a task acts on them.
    """
    kept = [arg for arg in args if not re.match(r"\+{0,2}(cluster[.=]|run\.dir=)", arg)]
    folder = quoted(str(job.run_dir.resolve()))
    return [*kept, f"run.dir={folder}", f"cluster.warning={job.config.cluster.warning}"]


def _check(config: Config) -> None:
    if config.cluster.kind is None:
        raise ConfigError("where shall it run? add cluster=slurm or cluster=local")
    if config.run.tasks is not None:
        raise ConfigError(f"run.tasks={config.run.tasks}: submit numbers the tasks itself; give cluster.tasks")
    if config.run.dry:
        raise ConfigError("run.dry=true belongs to `flowatlas run`; to see what would be submitted: cluster.dry=true")


def _prepared(config: Config) -> Job:
    """The job as `flowatlas run` sees it, but for the device: this machine need not have the one that tasks will have."""
    here = dataclasses.replace(config.model, device="cpu", device_map=None, max_memory=None)
    job = prepare(dataclasses.replace(config, model=here))
    there = dataclasses.replace(config.model, dtype=job.config.model.dtype)
    return dataclasses.replace(job, config=dataclasses.replace(job.config, model=there))


def _missing(job: Job) -> int:
    return len(shard_ranges(job.fingerprint.rows, job.config.run.shard_size)) - len(Ledger(job.run_dir).marked())


def _slurm(job: Job, args: list[str], tasks: int) -> int:
    cluster, folder = job.config.cluster, job.run_dir.resolve() / FOLDER
    command = [*_flowatlas(cluster.command), "run", *args]
    scripts = sbatch.array_scripts(cluster, folder, command, tasks, _largest_array(cluster.dry))
    closing = sbatch.closing_script(cluster, folder, command)
    if cluster.dry:
        print("\n".join(script.text for script in [*scripts, *[closing] * cluster.closing]), end="")
        return 0
    arrays = [_sbatch(folder, script) for script in scripts]
    last = [_sbatch(folder, closing, f"--dependency=afterany:{':'.join(arrays)}")] if cluster.closing else []
    _note(folder, [*arrays, *last], tasks)
    after = f", then job {last[0]}, which does what they may leave" if last else ""
    print(f"submitted {tasks} tasks in {_named('job array', arrays)}{after}: {folder / scripts[0].name}")
    print(f"see how far it is: flowatlas status {shlex.quote(str(job.run_dir))} --watch")
    return 0


def _flowatlas(command: str | None) -> list[str]:
    if command is not None:
        return shlex.split(command)
    installed = Path(sys.executable).with_name("flowatlas")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "flowatlas.cli"]


def _largest_array(dry: bool) -> int:
    """The most tasks that an array may have. Raises UnfinishedError where there is no Slurm, unless it is a dry run."""
    try:
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", _slurm_says(["scontrol", "show", "config"]))
        return max(int(found[1]), 1) if found else _LARGEST
    except UnfinishedError:
        if dry:
            return _LARGEST
        raise


def _sbatch(folder: Path, script: Script, *options: str) -> str:
    """Write a script and submit it; returns the job's number."""
    path = folder / script.name
    with replacing(path) as temporary:
        temporary.write_text(script.text)
    return _slurm_says(["sbatch", "--parsable", *options, str(path)]).strip().partition(";")[0]


def _slurm_says(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    except OSError as error:
        raise UnfinishedError(
            f"{command[0]} cannot be started ({error.strerror}): is this a node of a cluster?"
        ) from error
    if done.returncode:
        raise UnfinishedError(f"{' '.join(command[:2])} refused: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours without the options of a job that we may be in: they would be taken for the new job's."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("SBATCH_", "SLURM_")) or key in _KEPT
    }


_KEPT = ("SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION")


def _note(folder: Path, jobs: list[str], tasks: int) -> None:
    try:
        before = read_json(folder / JOBS)["submitted"]
    except (OSError, ValueError, KeyError):
        before = []
    write_json_atomically(folder / JOBS, {"submitted": [*before, {"jobs": jobs, "tasks": tasks, "time": now()}]})


def _named(noun: str, names: list[str]) -> str:
    return f"{noun}{'s' * (len(names) > 1)} {', '.join(names)}"
