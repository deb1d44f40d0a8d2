"""Every command of the documents is run in a folder of its own (rehearsal.py), or stands here with the reason why it is not.

A line of an indented or fenced block is a command when it begins with a program of `documents.PROGRAMS`, and so is code in
running text; blocks of Python are executed. A new command that is neither run nor explained fails. What is not run must at
least be understood by its own program.
"""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import flowatlas
import table_examples
from documents import PAGES, ROOT, blocks, commands, inline, outputs
from flowatlas import cli
from flowatlas.notebook import Shown
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.schema_compared import COMPARED_TABLES
from flowatlas.schema_interventions import INTERVENTION_TABLES
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.schema_vocab import VOCAB_TABLES
from flowatlas.vocab_files import clustering_of
from rehearsal import rehearse, words
from runs import write_prompts
from tiny import make_model

TABLES_PAGE = table_examples.PAGE
# What continuous integration itself runs, by how it begins: .ci/run is `make test`, and that carries out the others' recipes.
BY_CI = ("make test", "make test-explorer", "make lint", "make setup", "make explorer", "python -m pytest", "npm ci")
# What is not run, by how it begins (a pattern).
NOT_RUN = {
    "hf auth login": "asks for a secret of a hub",
    "hf download": "fetches from a hub",
    "pip install": "fetches from an index; tests/test_wheel.py installs the wheel",
    "make wheel": "tests/test_wheel.py builds it by the same command",
    "make (bench|bench-stats|bench-vocab|measure|measure-large)": "measures for minutes, on a machine that does nothing else",
    r"python tests/measure_\w+\.py": "the same",
    "flowatlas bench": "measures; tests/test_cli.py does it once",
    r"flowatlas run .*run\.dry=true": "measures; tests/test_dry.py does it",
    "flowatlas (serve --live|run -m)$": "the name of a thing, not a command",
    "make screenshots": "writes the pictures of the documents",
    "make audit": "asks online databases; tests/test_pins.py reads such answers",
    "make pins": "writes what tests/test_pins.py compares",
    r"python -m flowatlas\.docs": "writes what tests/test_docs.py compares",
    r"python tests/table_examples\.py": "writes what is compared here",
    r"python tests/kill_storm\.py": "takes minutes; tests/test_resume.py kills fewer",
}


def why_not(command: str) -> str | None:
    return next((reason for begin, reason in NOT_RUN.items() if re.match(begin + r"(?![\w-])", command)), None)


def to_run(found: Iterable[str]) -> list[str]:
    """Each once, of those that are neither CI's own nor explained."""
    return [one for one in dict.fromkeys(found) if not one.startswith(BY_CI) and why_not(one) is None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands change of this process is put back: signals, and where caches lie."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWATLAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for key, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org")):
            patch.setenv(f"GIT_AUTHOR_{key}", value)
            patch.setenv(f"GIT_COMMITTER_{key}", value)
        patch.setenv("SCRATCH", "scratch")
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, place: None, model: Path) -> Path:
    """The folder in which `make demo` did what it does, of four prompts."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rehearse("make demo", model)
    return folder


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory, place: None, model: Path) -> Path:
    """The folder in which the commands of docs/tables.md ran."""
    folder = tmp_path_factory.mktemp("tour")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in to_run(commands(TABLES_PAGE.read_text())):
            rehearse(command, model)
    return folder


YAML = {  # where what a page shows is read from
    "publishing.md": "site.yaml",
    "interventions.md": "interventions.yaml",
    "clusters.md": "my-conf/cluster/lab.yaml",
    "explorer.md": "data/runs/demo/names.yaml",
}


@pytest.fixture
def lent(demo: Path, tour: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, with what pages without a run of their own name: a run and its site, and runs of the tour."""
    monkeypatch.chdir(tmp_path)
    runs = tour / "data" / "runs"
    given = {
        "RUN": demo / "data" / "runs" / "demo",
        "SITE": demo / "data" / "site",
        "A": runs / "half",
        "B": runs / "half",
    }
    for name, folder in (given | {f"data/runs/{name}": runs / "tour" for name in ("demo", "tour")}).items():
        shutil.copytree(folder, name)


def id_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if page != TABLES_PAGE], ids=id_of)
def test_the_commands_and_programs_of_a_page_run(
    page: Path, demo: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text = page.read_text()
    found, programs = to_run(commands(text)), blocks(text, "python")
    monkeypatch.chdir(tmp_path)
    write_prompts(Path("prompts.jsonl"), 10)
    if (found or programs) and not any(re.match("flowatlas run|python|make", command) for command in found):
        request.getfixturevalue("lent")
    for shown in blocks(text, "yaml"):
        Path(YAML[page.name]).parent.mkdir(parents=True, exist_ok=True)
        Path(YAML[page.name]).write_text(with_own_clustering(shown))
    said = {command: rehearse(command, model) for command in found}
    for program in programs:
        execute(program)
    for command, shown in outputs(text):
        assert missing(shown, said[command]) == [], f"{command} prints\n{said[command]}"
    if page.name == "explorer.md":
        rehearse("flowatlas check data/runs/demo", model)  # are its names understood?


def test_the_commands_in_running_text_run(lent: None, model: Path) -> None:
    pages = [page.read_text() for page in PAGES]
    write_prompts(Path("prompts.jsonl"), 10)
    in_blocks = {one.replace("=demo", "=...") for page in pages for one in commands(page)}
    for command in to_run(one for page in pages for one in inline(page) if one not in in_blocks):
        if command.startswith("flowatlas."):
            execute(command.replace('("...")', '("FROM edges")').replace("(...)", "('RUN')").replace("(RUN", "('RUN'"))
        elif len(words(command)) > 2 or "=" in command or words(command)[1] not in names_of_commands():
            rehearse(command, model)


def with_own_clustering(names: str) -> str:
    """A names.yaml, with the hash of the lent run's clusters where the document shows another's."""
    return re.sub(
        r"(?<=^clustering: )\w+", lambda _: clustering_of(Path("data/runs/demo"))["clustering"], names, flags=re.M
    )


def execute(program: str) -> None:
    """As a cell of a notebook: what stands alone is evaluated; what it shows is closed again."""
    names: dict = {"flowatlas": flowatlas}
    for node in ast.parse(program).body:
        if isinstance(node, ast.Expr):
            value = eval(ast.unparse(node), names)
            if isinstance(value, Shown):
                value.close()
        else:
            exec(ast.unparse(node), names)


def missing(shown: str, said: str) -> list[str]:
    """Lines that were not said. Numbers may differ by a sixth; of what the explorer's own files take only the name counts."""
    lines = [_parts(line) for line in said.splitlines()]

    def was_said(line: str) -> bool:
        text, numbers = _parts(line)
        return any(
            (text.split() or [""])[0] == (other.split() or [""])[0]
            if text.startswith(("page", "all"))
            else text == other and numbers == pytest.approx(others, rel=0.17)
            for other, others in lines
        )

    return [line for line in shown.splitlines() if not was_said(line)]


def _parts(line: str) -> tuple[str, list[float]]:
    """A line with # for each number and one space between words; and its numbers."""
    number = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?")
    numbers = [float(found.replace(",", "")) for found in number.findall(line)]
    return " ".join(number.sub("#", line).split()), numbers


def names_of_commands() -> list[str]:
    actions = cli._parser()._subparsers
    assert actions is not None
    return [
        "run",
        "submit",
        "bench",
        "vocab",
        *(name for action in actions._group_actions for name in action.choices or ()),
    ]


def test_reasons_are_needed_and_what_is_not_run_is_understood() -> None:
    everything = [one for page in PAGES for one in (*commands(page.read_text()), *inline(page.read_text()))]
    assert len(everything) > 100
    assert [begin for begin in NOT_RUN if not any(re.match(begin, command) for command in everything)] == []
    named = {file for reason in NOT_RUN.values() for file in re.findall(r"tests/\w+\.py", reason)}
    assert [file for file in named if not (ROOT / file).exists()] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for command in {one for one in everything if why_not(one)}:
        program, *args = words(command)
        if program == "make":
            dry_run(*args)
        elif program == "pip" and "[" in args[-1]:
            assert re.split(r"[\[\]]", args[-1])[1] in extras, command
        elif program == "python" and args[0] != "-m":
            assert (ROOT / args[0]).exists(), command
        elif program == "hf" and args[0] == "download":
            said = subprocess.run(
                [Path(sys.prefix, "bin", "hf"), *args], capture_output=True, text=True, check=False
            ).stderr
            assert "offline mode" in said, (
                said
            )  # it lacks nothing else: the tests' environment says that there is no hub
            assert "Ignoring" not in said, said


def test_what_ci_runs_is_run_by_ci() -> None:
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
    carried_out = dry_run("test")
    for command in BY_CI:
        _, target = command.split(" ", 1)
        wanted = dry_run(target) if command.startswith("make ") else {command}
        assert wanted
        assert [line for line in wanted if not any(line in other for other in carried_out)] == []


def dry_run(*targets: str) -> set[str]:
    """The lines that make would carry out were nothing there yet. Fails for a target that there is not."""
    command = ["make", "--dry-run", "--always-make", "MAKECMDGOALS=", *targets]  # which a message of it repeats
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


def test_every_table_has_a_question_and_its_answer(tour: Path) -> None:
    examples = list(table_examples.examples(TABLES_PAGE.read_text()))
    folders = {
        "model": MODEL_TABLES, "vocab": VOCAB_TABLES, "stats": STATS_TABLES, "compared": COMPARED_TABLES,
        "audit": AUDIT_TABLES, "interventions": INTERVENTION_TABLES,
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
