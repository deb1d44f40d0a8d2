"""What is submitted: scripts that bash and Slurm understand, the tasks' commands, and tasks on this machine."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowatlas.cli import main
from flowatlas.config import ClusterConfig
from flowatlas.sbatch import array_scripts, closing_script
from runs import Done, hashes, write_prompts

# Notes its arguments and every signal; ends with the code in FAKE_CODE at the first one, or at once when FAKE_CODE is "now".
FAKE = """#!/bin/bash
printf '%s\\n' "$@" > {0}/arguments
[ "$FAKE_CODE" = now ] && exit 3
trap 'echo USR1 >> {0}/signals; exit $FAKE_CODE' USR1
trap 'echo TERM >> {0}/signals; exit 143' TERM
touch {0}/ready
while :; do sleep 0.05; done
"""


def options(text: str) -> list[str]:
    lines = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]
    return [word for line in lines for word in shlex.split(line)]


def test_every_setting_becomes_an_option(tmp_path: Path) -> None:
    cluster = ClusterConfig(
        "slurm", tasks=4, parallel=2, partition="gpu", account="lab", qos="low", time="4:00:00", memory="32G", cpus=8,
        gpus="a100:1", constraint="a100|h100", exclude="n[1-3]", options=["--comment=for the paper"],
        setup=["module load cuda", "source ~/env/bin/activate"], warning=300,
    )  # fmt: skip
    (script,) = array_scripts(cluster, tmp_path / "run" / "slurm", ["flowatlas", "run", "dataset.path='a b'"], 4, 1001)
    assert script.name == "array.sbatch"
    assert options(script.text) == [
        *("--job-name=flowatlas-run", "--array=0-3%2", f"--output={tmp_path}/run/slurm/%A_%a.log"),
        *(f"--chdir={Path.cwd()}", "--open-mode=append", "--requeue", "--signal=B:USR1@300", "--partition=gpu"),
        *("--account=lab", "--qos=low", "--time=4:00:00", "--constraint=a100|h100", "--exclude=n[1-3]"),
        *("--mem=32G", "--cpus-per-task=8", "--gres=gpu:a100:1", "--comment=for the paper"),
    ]
    before, _, after = script.text.partition("\nflowatlas run")
    assert "\nmodule load cuda\nsource ~/env/bin/activate\n" in before
    assert after.startswith(" \\\n    'dataset.path='\"'\"'a b'\"'\"'' \\\n")
    assert 'run.task="$SLURM_ARRAY_TASK_ID" run.tasks=4 &' in after
    closing = closing_script(cluster, tmp_path / "run" / "slurm", ["flowatlas", "run"])
    assert not any(option.startswith("--array") for option in options(closing.text))
    assert "run.task" not in closing.text


def test_what_is_not_given_is_left_to_the_cluster(tmp_path: Path) -> None:
    (script,) = array_scripts(ClusterConfig("slurm"), tmp_path / "a run%", ["flowatlas"], 1, 1001)
    given = [option.partition("=")[0] for option in options(script.text)]
    assert given == ["--job-name", "--array", "--output", "--chdir", "--open-mode", "--requeue", "--signal"]
    assert f"--output={tmp_path}/a run%%/%A_%a.log" in options(script.text)


def test_arrays_are_split_at_the_clusters_limit(tmp_path: Path) -> None:
    scripts = array_scripts(ClusterConfig("slurm"), tmp_path, ["flowatlas", "run"], 2500, 1000)
    assert [script.name for script in scripts] == ["array-0.sbatch", "array-1000.sbatch", "array-2000.sbatch"]
    tasks = []
    for script in scripts:
        (array,) = [option for option in options(script.text) if option.startswith("--array=0-")]
        command = next(line for line in script.text.splitlines() if "run.task=" in line)
        number = command.split("run.task=")[1].split(" run.tasks=2500")[0]
        for index in (0, int(array.removeprefix("--array=0-"))):
            said = subprocess.run(
                ["bash", "-c", f"echo {number}"], capture_output=True, text=True, check=True,
                env={**os.environ, "SLURM_ARRAY_TASK_ID": str(index)},
            )  # fmt: skip
            tasks.append(int(said.stdout))
    assert tasks == [0, 999, 1000, 1999, 2000, 2499]


class Script:
    """An array's script under bash, with stand-ins for flowatlas and scontrol."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        for name, text in (("fake flowatlas", FAKE), ("scontrol", '#!/bin/sh\necho "$@" >> {0}/requeued\n')):
            (folder / name).write_text(text.format(folder))
            (folder / name).chmod(0o755)
        cluster = ClusterConfig("slurm", setup=["export SET_UP=yes"])
        (script,) = array_scripts(cluster, folder, [str(folder / "fake flowatlas"), "run", "a='b c'", "$HOME"], 9, 1001)
        (folder / "script").write_text(script.text)
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "FAKE_CODE": code}
        environment |= {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "15"}
        self.process = subprocess.Popen(["bash", folder / "script"], env=environment)

    def signal(self, number: signal.Signals) -> int:
        while not (self.folder / "ready").exists():
            time.sleep(0.01)
        time.sleep(0.1)  # the script has started it, and is about to wait for it
        self.process.send_signal(number)
        return self.process.wait(30)

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


def test_the_script_passes_the_warning_on_and_puts_the_task_back(tmp_path: Path) -> None:
    script = Script(tmp_path, "75")
    assert script.signal(signal.SIGUSR1) == 75
    assert script.read("signals") == "USR1\n"
    assert script.read("requeued") == "requeue 12_3\n"
    assert script.read("arguments").splitlines() == ["run", "a='b c'", "$HOME", "run.task=3", "run.tasks=9"]


def test_a_warned_task_with_nothing_left_is_not_put_back(tmp_path: Path) -> None:
    script = Script(tmp_path, "0")
    assert script.signal(signal.SIGUSR1) == 0
    assert script.read("requeued") == ""


def test_the_script_passes_the_end_on(tmp_path: Path) -> None:
    script = Script(tmp_path, "75")
    assert script.signal(signal.SIGTERM) == 143
    assert (script.read("signals"), script.read("requeued")) == ("TERM\n", "")


def test_the_script_ends_as_its_task_does(tmp_path: Path) -> None:
    script = Script(tmp_path, "now")
    assert script.process.wait(30) == 3
    assert script.read("requeued") == ""


GOOD = ["submit", "model=demo", "dataset=demo", "run.shard_size=200"]


def test_a_dry_submission_prints_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no Slurm here
    how = [
        "cluster=slurm",
        "cluster.tasks=64",
        "cluster.dry=true",
        "cluster.command=apptainer exec --nv a.sif flowatlas",
    ]
    assert main([*GOOD, f"run.dir={tmp_path}/run", "routes.targets=last", *how]) == 0
    out = capsys.readouterr().out
    assert "#SBATCH --array=0-3\n" in out, "no more tasks than shards: 652 prompts make four"
    assert out.count("apptainer exec \\\n    --nv \\\n    a.sif \\\n    flowatlas \\\n    run \\\n    model=demo") == 2
    assert f"'run.dir='\"'\"'{tmp_path}/run'\"'\"''" in out
    assert "cluster.tasks" not in out
    assert main([*GOOD, f"run.dir={tmp_path}/run", "cluster=local", "cluster.tasks=2", "cluster.dry=true"]) == 0
    *tasks, closing = capsys.readouterr().out.splitlines()
    assert [line.removeprefix(closing) for line in tasks] == [" run.task=0 run.tasks=2", " run.task=1 run.tasks=2"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "where shall it run? add cluster=slurm or cluster=local"),
        (["cluster=slurm", "run.tasks=2", "run.task=0"], 2, "submit numbers the tasks itself; give cluster.tasks"),
        (["cluster=slurm", "run.dry=true"], 2, "cluster.dry=true"),
        (["cluster=slurm", "-m"], 2, "submit takes one run at a time"),
        (["cluster=slurm", "routes.floor=7"], 2, "routes.floor=7.0"),
        (["cluster=pbs"], 2, "cluster/pbs"),
        (["cluster.kind=pbs"], 2, "cluster.kind=pbs is not allowed: it must be local or slurm"),
        (["cluster.tasks=0"], 2, "cluster.tasks=0"),
        (["cluster.partiton=gpu"], 2, "did you mean cluster.partition?"),
        (["cluster.time=14400"], 2, "such as 4:00:00 or 1-12:00:00, in quotes where it stands in a file"),
        (["cluster.warning=5"], 2, "at least 30"),
        (["cluster.setup=['a\nb']"], 2, "cluster.setup='a\\nb' is not allowed"),
        (["cluster=local", "cluster.partition=gpu"], 2, "cluster.partition is for cluster=slurm"),
        (["cluster=slurm"], 1, "scontrol cannot be started (No such file or directory): is this a node of a cluster?"),
    ],
)
def test_what_cannot_be_submitted_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    args: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*GOOD, f"run.dir={tmp_path}/run", *args]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_dataset_that_has_grown_is_submitted_again(
    run: Callable[..., Done], runs, tmp_path: Path, models: dict[str, Path]
) -> None:
    assert run("run.dir=alone", "run.shard_size=2").code == 0
    write_prompts(tmp_path / "prompts.jsonl", 5)
    command = [f"model={models['gpt2']}", "dataset=prompts.jsonl", "run.dir=run", "run.shard_size=2"]
    assert runs("run", *command, cwd=tmp_path).code == 0
    markers = (tmp_path / "run" / "shards" / f"part-0000{shard}.json" for shard in range(2))
    kept = {marker: marker.stat().st_ino for marker in markers}
    write_prompts(tmp_path / "prompts.jsonl", 10)
    how = ["cluster=local", "cluster.tasks=2", "cluster.closing=false"]
    done = runs("submit", *command, *how, cwd=tmp_path, env={"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"})
    assert (done.code, done.err) == (0, "")
    assert hashes(tmp_path / "run") == hashes(tmp_path / "alone")
    assert {marker: marker.stat().st_ino for marker in kept} == kept
    logs = sorted((tmp_path / "run" / "local").glob("*.log"))
    assert [log.name for log in logs] == ["task-0.log", "task-1.log"]
    again = runs("submit", *command, *how, cwd=tmp_path)
    assert "is complete: nothing to submit" in again.out


def test_local_tasks_that_fail_are_named(run: Callable[..., Done], runs, tmp_path: Path) -> None:
    run()  # writes the prompts
    (tmp_path / "fail.sh").write_text("echo out of luck; exit 7")
    how = ["cluster=local", "cluster.tasks=2", "cluster.command=sh fail.sh"]
    failed = runs("submit", *how, "model=demo", "dataset=prompts.jsonl", "run.dir=failing", cwd=tmp_path)
    assert failed.code == 1
    assert "closing.log: out of luck" in failed.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143)])
def test_signals_go_on_to_local_tasks(
    run: Callable[..., Done], runs, tmp_path: Path, number: signal.Signals, code: int
):
    run()  # writes the prompts
    (tmp_path / "wait.sh").write_text(
        f"trap 'touch $$.told; exit {code}' {number.name.removeprefix('SIG')}; touch $$.ready; while :; do sleep 0.05; done"
    )
    how = ["cluster=local", "cluster.tasks=2", "cluster.command=sh wait.sh"]
    pid = runs.start(
        "submit", *how, "model=demo", "dataset=prompts.jsonl", "run.dir=r", "run.shard_size=1", cwd=tmp_path
    )
    while len(list(tmp_path.glob("*.ready"))) < 2:
        time.sleep(0.01)
    os.kill(pid, number)
    assert runs.wait(pid).code == code
    assert len(list(tmp_path.glob("*.told"))) == 2
