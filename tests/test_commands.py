"""Every command of the documents: run in a folder of its own, or parsed by its own program with the reason why it is not run.

A line of an indented or fenced block is a command when it begins with a program of `PROGRAMS`. A new one that is neither run
nor explained here fails. Names in capitals are what users fill in: here tiny models and short runs.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import table_examples
from flowatlas import cli
from flowatlas.compose import run_config
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.schema_compared import COMPARED_TABLES
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.schema_vocab import VOCAB_TABLES
from runs import write_prompts
from sites import small_explorer
from tiny import make_model

ROOT = Path(__file__).parents[1]
TABLES_PAGE = table_examples.PAGE
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURED = ("run", "submit", "bench", "vocab")  # by Hydra's grammar
PROGRAMS = (
    "flowatlas", "make", "pip", "python", "python3", "git", "source", "export", "hf", "sbatch", "scancel", "squeue", "npm",
    "apt-get", "cd", "duckdb", "curl",
)  # fmt: skip
# What is not run, by how it begins (a pattern); flowatlas' own are parsed or composed all the same.
NOT_RUN = {
    "make": "takes minutes and installs things; here: that make has the target",
    "source": "the environment that the tests are in already",
    "export": "a variable of the shell",
    "hf": "fetches from a hub",
    "python -m pytest": "this is it",
    "flowatlas submit": "starts jobs; tests/test_submit.py and tests/test_slurm.py do it",
    "flowatlas serve": "serves until it is interrupted; every browser test starts it (tests/e2e/stage.py)",
    "flowatlas try": "serves a page until it is interrupted; tests/test_live_server.py",
    "flowatlas publish": "makes a branch of the repository that it stands in; tests/test_publish.py does it",
    "flowatlas status .* --watch": "ends with a run that is not complete yet",
    "flowatlas run -m": "sweeps by submitit, which is no dependency; test_config sweeps",
    r"flowatlas run \.\.\. run.dir=RUN run.task": "one of several processes; tests/test_resume.py starts them",
}


def commands(page: Path) -> Iterator[str]:
    """The commands of a page in order: comments gone, lines that end with a backslash joined with what follows."""
    fenced = False
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or re.match(r"    \S", line):
            while line.endswith("\\"):
                line = line[:-1].rstrip() + " " + next(lines).strip()
            command = re.sub(r"^(?:\$ |(?:\S+ ){5} cd \S+ && )?(?:\w+=\S+ )*(?:\S*/bin/)?", "", line.strip())
            command = re.sub(r"\s+#\s.*$|\s>>.*$", "", command)
            if command.split(" ")[0] in PROGRAMS:
                yield command


def inline(page: Path) -> Iterator[str]:
    """Commands of flowatlas in running text."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for found in re.findall(r"`flowatlas ([^`]+)`", text):
        yield f"flowatlas {found}"


def why_not(command: str) -> str | None:
    return next((reason for begin, reason in NOT_RUN.items() if re.match(begin + r"\b", command)), None)


def parse(command: str) -> None:
    """By the program's own parser. Raises what that raises."""
    program, *args = shlex.split(re.sub(r" ?\[[^\]=]*\](?= |$)", "", command))
    if program == "make":
        done = subprocess.run(
            ["make", "--dry-run", "--silent", *args], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    elif program == "flowatlas" and args[0] in CONFIGURED:
        given = [arg for arg in args[1:] if arg != "..." and not arg.startswith(("hydra", "-m", "--config-dir"))]
        given = [re.sub(r"=\.\.\.$", "=demo", arg) for arg in given if arg not in ("cluster=lab", "my-conf")]
        given = [re.sub(r"^(model|dataset)=(?!demo).*", r"\1=demo", arg) for arg in given]
        swept, dataset = ["-m"] if "-m" in args else [], ["dataset=demo"]
        if args[0] == "vocab":  # of a run, or of a model by its keys
            given, dataset = [arg for arg in given if "=" in arg], []
        wanted = [*swept, "model=demo", *dataset, *given]
        assert run_config(wanted, lambda config: 0, lambda error: 2, bool(dataset)) == 0
    elif program == "flowatlas" and len(args) > 1:
        assert cli._parser().parse_args([arg for arg in args if arg != "..."]).command
    elif program == "flowatlas":
        assert args[0] in (*CONFIGURED, *_names())


def _names() -> list[str]:
    actions = cli._parser()._subparsers
    assert actions is not None
    return [name for action in actions._group_actions for name in action.choices or ()]


def run(command: str, model: Path) -> None:
    """In this process and folder, as short as it can be."""
    _, *args = shlex.split(re.sub(r" ?\[[^\]=]*\](?= |$)", "", command))
    args = [re.sub(r"^model=(?!demo).*", f"model={model}", arg) for arg in args]
    if args[0] == "run" and not any(arg.startswith("run.limit=") for arg in args):
        args.append("run.limit=4")
    if args[0] == "audit" and "--draws" not in args:
        args += ["--prompts", "4", "--draws", "1"]
    code = cli.main([*args, "run.progress=false"] if args[0] == "run" else args)
    assert code == 0, command


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands change of this process is put back: signals, where caches lie, and an explorer of two files."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWATLAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        small_explorer(tmp_path_factory.mktemp("explorer"), patch)
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory, place: None, model: Path) -> Path:
    """The folder in which the commands of docs/tables.md ran."""
    folder = tmp_path_factory.mktemp("tour")
    here = Path.cwd()
    os.chdir(folder)
    try:
        for command in commands(TABLES_PAGE):
            run(command, model)
    finally:
        os.chdir(here)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if page != TABLES_PAGE], ids=lambda page: page.name)
def test_commands_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    found = list(dict.fromkeys(commands(page)))
    for command in {*found, *inline(page)}:
        parse(command)
    to_run = [command for command in found if why_not(command) is None]
    assert all(command.startswith("flowatlas ") for command in to_run), "a program that is not ours: say in NOT_RUN why"
    if not to_run:
        return
    monkeypatch.chdir(tmp_path)
    write_prompts(tmp_path / "prompts.jsonl", 10)
    if "run" not in {command.split(" ")[1] for command in to_run}:
        _lend(request.getfixturevalue("tour"), page, tmp_path)
    for command in to_run:
        run(command, request.getfixturevalue("model"))


def _lend(tour: Path, page: Path, folder: Path) -> None:
    """The run of the tour under the names that pages without a run of their own use, and the page's YAML."""
    (folder / "data" / "runs").mkdir(parents=True)
    (folder / "data" / "runs" / "demo").symlink_to(tour / "data" / "runs" / "tour")
    (folder / "RUN").symlink_to(tour / "data" / "runs" / "tour")
    for example in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)[:1]:
        for name in ("site.yaml", "interventions.yaml"):
            (folder / name).write_text(example)


def test_reasons_are_needed() -> None:
    everything = [command for page in PAGES for command in commands(page)]
    assert len(everything) > 40
    assert [begin for begin in NOT_RUN if not any(re.match(begin, command) for command in everything)] == []


def test_every_table_has_a_question_and_its_answer(tour: Path) -> None:
    examples = list(table_examples.examples(TABLES_PAGE.read_text()))
    folders = {
        "model": MODEL_TABLES, "vocab": VOCAB_TABLES, "stats": STATS_TABLES, "compared": COMPARED_TABLES, "audit": AUDIT_TABLES
    }  # fmt: skip
    wanted = [*TABLES, *(f"{folder}/{name}" for folder, tables in folders.items() for name in tables)]
    assert sorted(table for table, _, _ in examples) == sorted(wanted)
    with table_examples.opened(tour) as atlas:
        for table, sql, shown in examples:
            now = table_examples.answer(atlas, sql)
            # half precision and the steps of k-means round as the processor does
            same_values = not table.startswith(("compared/", "vocab/cluster"))
            assert _alike(now, shown, same_values), f"{table}: python tests/table_examples.py {tour}\n{now}"


def _alike(now: str, shown: str, same_values: bool) -> bool:
    """Whether two tables have the same columns and rows; numbers may differ in the last of their three digits."""
    rows, others = ([line.strip("| ").split(" | ") for line in text.splitlines()] for text in (now, shown))
    if rows[:2] != others[:2] or len(rows) != len(others):
        return False
    return not same_values or all(
        _close(a, b) for row, other in zip(rows, others, strict=True) for a, b in zip(row, other, strict=True)
    )


def _close(a: str, b: str) -> bool:
    try:
        return float(a) == pytest.approx(float(b), rel=0.02, abs=2e-3)
    except ValueError:
        return a == b
