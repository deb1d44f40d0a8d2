"""The commands: exit codes, one-line errors, quick answers."""

import re
import subprocess
import sys
import time
import types

import pytest

import flowatlas.hub as hub
from flowatlas import __version__
from flowatlas.cli import main
from flowatlas.config import Config
from flowatlas.errors import DatasetError, UnfinishedError
from flowatlas.hosts import Part
from flowatlas.site import Built, Wanted

GOOD = ["run", "model=demo", "dataset=demo"]


@pytest.fixture
def execute(monkeypatch):
    """Stands in for the run itself; set `.does` to what it does."""
    module = types.ModuleType("flowatlas.run")
    module.does = lambda config: 0  # type: ignore[attr-defined]
    module.execute = lambda config: module.does(config)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flowatlas.run", module)
    monkeypatch.setattr("flowatlas.hub.settle_offline", lambda: True)
    return module


def stand_in(monkeypatch, name, **functions):
    module = types.ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)


def test_run_hands_over_a_checked_config(execute):
    seen = []
    execute.does = lambda config: seen.append(config) or 1
    assert main([*GOOD, "run.dir=there"]) == 1
    assert isinstance(seen[0], Config)
    assert seen[0].run.dir == "there"


@pytest.mark.parametrize("error", [DatasetError("no such\n file"), UnfinishedError("no such file")])
def test_an_error_is_one_line_and_its_code(execute, capsys, error):
    def fail(config):
        raise error

    execute.does = fail
    assert main(GOOD) == error.exit_code
    assert capsys.readouterr().err == "flowatlas: no such file\n"


def test_a_bug_keeps_its_traceback(execute):
    def fail(config):
        raise ZeroDivisionError

    execute.does = fail
    with pytest.raises(ZeroDivisionError):
        main(GOOD)


def test_interrupting_says_how_to_go_on(execute, capsys):
    def stop(config):
        raise KeyboardInterrupt

    execute.does = stop
    assert main(GOOD) == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "goes on where it stopped" in err
    assert main([*GOOD, "-m", "run.seed=1,2"]) == 130


def test_multirun_prints_each_error(execute, capsys):
    def fail(config):
        raise DatasetError(f"seed {config.run.seed}")

    execute.does = fail
    assert main([*GOOD, "-m", "run.seed=1,2"]) == 2
    assert capsys.readouterr().err == "flowatlas: seed 1\nflowatlas: seed 2\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "model=demo", "dataset=demo", "model.dtpe=1"], "did you mean model.dtype?"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["status"], "required: RUN"),
        (["site", "RUN"], "required: --out"),
        (["site", "RUN", "--out", "S", "--max-size", "much"], "much is no size"),
        (["serve", "SITE", "--port", "http"], "http is no port"),
        (["serve", "SITE", "--port", "70000"], "70000 is no port"),
        (["check", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_wrong_command_lines(capsys, args, message):
    assert main(args) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("complete", "code"), [(True, 0), (False, 1)])
def test_status(monkeypatch, capsys, complete, code):
    stand_in(monkeypatch, "flowatlas.status", main_lines=lambda run: ([f"run {run}", "b"], complete),
             watch=lambda run, out: out.write(f"watched {run}\n") and complete)  # fmt: skip
    assert main(["status", "RUN"]) == code
    assert capsys.readouterr().out == "run RUN\nb\n"
    assert main(["status", "RUN", "--watch"]) == code
    assert capsys.readouterr().out == "watched RUN\n"


def test_check(monkeypatch, capsys):
    stand_in(monkeypatch, "flowatlas.check", check=lambda run: [])
    assert main(["check", "RUN"]) == 0
    stand_in(monkeypatch, "flowatlas.check", check=lambda run: ["edges: 3 rows too many", "b"])
    capsys.readouterr()
    assert main(["check", "RUN"]) == 1
    assert capsys.readouterr().out == "edges: 3 rows too many\nb\n"


def test_site_and_serve(monkeypatch, capsys):
    calls, built = [], Built(2, {"page": Part(1, 1, 1)})
    stand_in(
        monkeypatch,
        "flowatlas.site",
        Wanted=Wanted,
        build_site=lambda runs, out, wanted, dry: calls.append((runs, out, wanted, dry)) or built,
    )
    stand_in(monkeypatch, "flowatlas.server", serve=lambda site, port: calls.append((site, port)))
    more = ["--title", "T", "--select", "top_k=3", "--select", "tables=-maps", "--max-size", "1.5MB"]
    assert main(["site", "A", "B", "--out", "S", *more]) == 0
    assert main(["serve", "S"]) == 0
    assert main(["serve", "S", "--port", "0"]) == 0
    assert [[str(part) for part in call] for call in calls[1:]] == [["S", "8000"], ["S", "0"]]
    runs, out, wanted, dry = calls[0]
    assert ([str(run) for run in runs], str(out), dry) == (["A", "B"], "S", False)
    assert (wanted.front.title, wanted.select, wanted.host.own_bytes) == ("T", ("top_k=3", "tables=-maps"), 1_500_000)


def test_version_help_and_no_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"flowatlas {__version__}\n"
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("run", "status", "check", "site", "serve"))


@pytest.mark.parametrize("args", [["--help"], ["run", "model=demo", "dataset=demo", "routes.floor=7"]])
def test_help_and_config_errors_answer_without_torch(args):
    program = "import sys; from flowatlas.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    program += "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_reading_is_no_error(monkeypatch):
    program = (
        "import sys, types; m = types.ModuleType('flowatlas.status')\n"
        "m.main_lines, m.watch = lambda run: (['x' * 1000] * 1000, True), None\n"
        "sys.modules['flowatlas.status'] = m\nfrom flowatlas.cli import main; sys.exit(main(['status', 'R']))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_unreachable_hub_is_noticed_at_once(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    before = time.monotonic()
    try:
        assert hub.settle_offline()
        assert hub.os.environ["HF_HUB_OFFLINE"] == "1"
    finally:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert time.monotonic() - before < 2 * hub.SECONDS


def test_a_hub_that_answers_is_used(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "_reachable", lambda endpoint: True)
    assert not hub.settle_offline()
    assert "HF_HUB_OFFLINE" not in hub.os.environ


def test_bench_tells_what_a_model_costs(runs, tmp_path, models):
    (tmp_path / "prompts.txt").write_text("a cat\nthe dog sat on the mat\n")
    done = runs("bench", f"model={models['gpt2']}", "dataset=prompts.txt", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    (line,) = [line for line in done.out.splitlines() if line.startswith("2 x ")]
    ratio, disk = (float(number) for number in re.findall(r"([\d.]+)(?:x| KB)", line.split("tokens", 1)[1])[:2])
    assert ratio > 1
    assert disk > 0
    assert sorted(tmp_path.iterdir()) == [tmp_path / "prompts.txt"]
    wrong = runs("bench", "model=nowhere/at-all", "dataset=prompts.txt", cwd=tmp_path, env={"HF_HUB_OFFLINE": "1"})
    assert wrong.code == 2
