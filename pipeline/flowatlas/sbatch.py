"""The files that are submitted to Slurm: plain, readable sbatch scripts that can be changed and submitted by hand."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from flowatlas.config import ClusterConfig, slug

FOLDER, JOBS = "slurm", "jobs.json"  # in the run folder: scripts and logs; in that, what has been submitted
_OPTIONS = ("partition", "account", "qos", "time", "constraint", "exclude")

_ARRAY = """\
#!/bin/bash
# Tasks {first} to {last} of {tasks} of a flowatlas run, written by `flowatlas submit`. By hand: sbatch {file}
# A task does shards that no other one is at until none is missing, so more tasks, fewer, or the same again are all right.
{options}
{setup}
export FLOWATLAS_LOG={folder}/"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}.log"
{command} run.task="{number}" run.tasks={tasks} &
{wait}"""

_CLOSING = """\
#!/bin/bash
# What the tasks of a flowatlas run may have left, written by `flowatlas submit`; it starts when all of them have ended.
# By hand: sbatch {file}
{options}
{setup}
export FLOWATLAS_LOG={folder}/"${{SLURM_JOB_ID}}.log"
{command} &
{wait}"""

_WAIT = """\
child=$!

# Slurm's warning (USR1) and its end (TERM) go on to flowatlas, which finishes what it is at or gives it back.
trap 'kill -USR1 "$child" 2>/dev/null' USR1
trap 'kill -TERM "$child" 2>/dev/null' TERM
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
code=$?

# 75: it was warned and there is more to do; 138: it was warned before it could listen. Slurm starts the task again later.
if [ "$code" = 75 ] || [ "$code" = 138 ]; then
    scontrol requeue "{job}"
fi
exit "$code"
"""


@dataclass(frozen=True)
class Script:
    """A file to be submitted: its name in the folder, and its text."""

    name: str
    text: str


def array_scripts(cluster: ClusterConfig, folder: Path, command: list[str], tasks: int, largest: int) -> list[Script]:
    """The array of `tasks` tasks, in as many files as a cluster with arrays of `largest` tasks at most needs.

    `command`: flowatlas with everything but the task's number. Folder: absolute; the files and the logs lie there.
    """
    scripts = []
    for first in range(0, tasks, largest):
        n = min(largest, tasks - first)
        name = f"array-{first}.sbatch" if tasks > largest else "array.sbatch"
        at_once = f"%{cluster.parallel}" if cluster.parallel else ""
        options = _options(cluster, folder, [f"--array=0-{n - 1}{at_once}", _output(folder, "%A_%a")])
        text = _ARRAY.format(
            first=first, last=first + n - 1, tasks=tasks, file=shlex.quote(str(folder / name)), options=options,
            setup=_setup(cluster), folder=shlex.quote(str(folder)), command=_continued(command),
            number=f"$(({first} + SLURM_ARRAY_TASK_ID))" if first else "$SLURM_ARRAY_TASK_ID",
            wait=_WAIT.format(job="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"),
        )  # fmt: skip
        scripts.append(Script(name, text))
    return scripts


def closing_script(cluster: ClusterConfig, folder: Path, command: list[str]) -> Script:
    """The job that comes after all tasks: the same run as one process."""
    name = "closing.sbatch"
    text = _CLOSING.format(
        file=shlex.quote(str(folder / name)), options=_options(cluster, folder, [_output(folder, "%j")]),
        setup=_setup(cluster), folder=shlex.quote(str(folder)), command=_continued(command),
        wait=_WAIT.format(job="${SLURM_JOB_ID}"),
    )  # fmt: skip
    return Script(name, text)


def _options(cluster: ClusterConfig, folder: Path, own: list[str]) -> str:
    given = [f"--{key}={value}" for key in _OPTIONS if (value := getattr(cluster, key)) is not None]
    if cluster.memory is not None:
        given.append(f"--mem={cluster.memory}")
    if cluster.cpus is not None:
        given.append(f"--cpus-per-task={cluster.cpus}")
    if cluster.gpus:
        given.append(f"--gres=gpu:{cluster.gpus}")
    name = f"--job-name=flowatlas-{slug(folder.parent.name)}"
    ours = [name, *own, f"--chdir={Path.cwd()}", "--open-mode=append", "--requeue"]
    warning = f"--signal=B:USR1@{cluster.warning}"
    return "\n".join(f"#SBATCH {_quoted(option)}" for option in [*ours, warning, *given, *cluster.options])


def _output(folder: Path, name: str) -> str:
    return f"--output={str(folder).replace('%', '%%')}/{name}.log"


def _setup(cluster: ClusterConfig) -> str:
    return "".join(f"\n{line}" for line in cluster.setup) + "\n" * bool(cluster.setup)


def _quoted(option: str) -> str:
    """As sbatch reads its lines: an option with spaces stands in double quotes."""
    if not any(c in option for c in " \t\"'\\#"):
        return option
    return '"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _continued(command: list[str]) -> str:
    """One word a line after the first two, so that it can be read."""
    head, words = command[:2], command[2:]
    return " \\\n    ".join([" ".join(map(shlex.quote, head)), *map(shlex.quote, words)]) + " \\\n   "
