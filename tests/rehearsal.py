"""Commands of the documents as the tests run them: in this process and in the current folder, short, and with tiny models.

Names in capitals are what users fill in; servers are started, asked for their page once, and interrupted.
"""

import contextlib
import functools
import importlib
import io
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from documents import ROOT
from flowatlas import cli

_OPTIONAL = re.compile(r" ?\[[^\]=]*\](?= |$)")  # what a document shows in brackets
_SHORT = {  # added where a command does not say otherwise
    "run": ("run.limit=4", "run.progress=false"),
    "audit": ("--prompts=2", "--draws=1"),
    "serve": ("--port=0",),
    "try": ("--port=0", "--no-browser"),
}
_COMPOSED = ("run", "submit")  # need a model and a dataset


def words(command: str) -> list[str]:
    """The words of a command as a shell takes them, without what is optional; its variables are those of the environment."""
    return shlex.split(os.path.expandvars(_OPTIONAL.sub("", command)))


def rehearse(command: str, model: Path) -> str:
    """Run it; returns what it printed. `model` stands for every model but the demo. Fails where the command does."""
    program, *args = words(command)
    how: dict[str, Callable[[list[str]], str]] = {
        "flowatlas": lambda args: _flowatlas(filled_in(args, model), model),
        "make": lambda args: _make(args[0], model),
        "python": _python,
    }
    return how.get(program, lambda _: _succeeds(["bash", "-c", command.replace(".venv", sys.prefix)]))(args)


def filled_in(args: list[str], model: Path) -> list[str]:
    """The words after `flowatlas`, with values for what users fill in, and short."""
    name, *rest = args
    rest = [re.sub(r"^model=(?!demo$).*", f"model={model}", arg.replace("=...", "=demo")) for arg in rest]
    rest = [re.sub(r"^dataset=(?!demo$).*", "dataset=prompts.jsonl", arg).replace("/scratch/me", ".") for arg in rest]
    rest = [arg for arg in rest if not re.match(r"hydra[./]", arg)]  # a launcher that is no dependency
    if name in _COMPOSED:
        needed = [f"{key}=demo" for key in ("model", "dataset") if not any(arg.startswith(f"{key}=") for arg in rest)]
        rest = [*needed, *(arg for arg in rest if arg != "...")]
    given = {arg.split("=")[0] for arg in rest}
    short = [arg for arg in _SHORT.get(name, ()) if arg.split("=")[0] not in given or arg == "--port=0"]
    if "--cfg" in given:
        short = []
    if "-m" in given:
        short = ["run.limit=1", "run.progress=false"]
    if "knockouts.store=true" in rest and "knockouts.top_k" not in given:
        short.append("knockouts.top_k=2")
    return [name, *rest, *short]


def _flowatlas(args: list[str], model: Path) -> str:
    if args[0] == "submit":  # the files that it would submit; tests/test_slurm.py submits such to a real Slurm
        return _main([*args, "cluster.dry=true"])
    if args[0] == "status" and not Path(args[1]).exists():  # of a run that was submitted so
        _main(filled_in(["run", f"run.dir={args[1]}"], model))
    if args[0] in ("serve", "try"):
        return asked_once(args)
    if args[0] == "publish" and not Path(".git").exists():
        _succeeds(["git", "init", "--quiet"])
        _succeeds(["git", "commit", "--quiet", "--allow-empty", "--message", "paper"])
    return _main(args)


def _main(args: list[str]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = cli.main(args)
    assert code == 0, f"exit code {code}: flowatlas {shlex.join(args)}"
    return said.getvalue()


def asked_once(args: list[str]) -> str:
    """Run a command that serves until it is interrupted: its first address must answer, then it is interrupted."""
    said, ended, answers = io.StringIO(), threading.Event(), list[int]()

    def ask() -> None:
        while not ended.wait(0.02):
            if found := re.search(r"(http://\S+)\s", said.getvalue()):
                try:
                    with urllib.request.urlopen(found[1].partition("#")[0], timeout=60) as page:
                        answers.append(page.status)
                finally:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    asking = threading.Thread(target=ask)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's workers ignore it
    asking.start()
    try:
        with contextlib.redirect_stdout(said):
            code = cli.main(args)
    finally:
        signal.signal(signal.SIGINT, before)
        ended.set()
        asking.join()
    assert (code, answers) == (0, [200]), f"flowatlas {shlex.join(args)}"
    return said.getvalue()


@functools.cache
def _make(target: str, model: Path) -> str:
    """Once. `demo`: its recipe as make and the shell carry it out, which calls flowatlas by commands that are then run here."""
    if target == "format":
        badly = Path("badly").mkdir() or Path("badly", "written.py")
        badly.write_text("import os\nx = {  'a':1 }\n")
        _succeeds(["make", "-C", ROOT, "--silent", "-o", ".venv/.done", "format", f"SOURCES={badly.parent.resolve()}"])
        assert badly.read_text() == 'x = {"a": 1}\n'
        return ""
    assert target == "demo", target
    stub, called = Path("bin", "flowatlas").absolute(), Path("called").absolute()
    stub.parent.mkdir()
    stub.write_text(
        f"#!/bin/sh\nprintf '%s\\0' \"$@\" >> {shlex.quote(str(called))}\necho >> {shlex.quote(str(called))}\n"
    )
    stub.chmod(0o755)
    done = ("-o", ".venv/.done", "-o", "explorer/dist/index.html")
    _succeeds(["make", "-C", ROOT, "--silent", *done, "demo", f"BIN={stub.parent}"])
    commands = [line.split("\0")[:-1] for line in called.read_text().splitlines()]
    assert [name for name, *_ in commands] == ["run", "site", "serve"]
    return "".join(_flowatlas(filled_in(args, model), model) for args in commands)


def _python(args: list[str]) -> str:
    """A module or script of the repository, in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as said, pytest.MonkeyPatch.context() as patch:
        if args[:2] == ["-m", "demo.prompts"]:
            patch.setattr(sys, "argv", [*args[1:], "--model", str(ROOT / "data" / "models" / "demo")])
            importlib.import_module("demo.prompts").main()
        elif args[:2] == ["-m", "demo.train"]:
            _train(args[2:], patch)
        elif args[0] == "tests/claims_simulation.py":
            patch.setattr(sys, "argv", [args[0], "40", "4"])
            runpy.run_path(str(ROOT / args[0]), run_name="__main__")
        else:
            raise AssertionError(f"python {shlex.join(args)}: say here how it is run")
    return said.getvalue()


def _train(args: list[str], patch: pytest.MonkeyPatch) -> None:
    import torch

    train, threads = importlib.import_module("demo.train"), torch.get_num_threads()
    patch.setattr(train, "EVALUATION_PAIRS", 1)
    patch.setattr(sys, "argv", ["train", *args, "--steps", "1"])
    try:
        train.main()
    finally:
        torch.set_num_threads(threads)


def _succeeds(command: list) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
