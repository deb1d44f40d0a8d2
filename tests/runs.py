"""Runs of the command line in processes of their own, killed or failing at a chosen moment.

Importing the model libraries takes far longer than a small run. So one process imports them once and forks a fresh
child per run: `Runs.start` asks it to. A child can be told to report its moments (`watch`), and to die, fail or wait at
one of them.
"""

import dataclasses
import errno
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

# Functions whose calls are the moments of a run, in the order in which a run first meets them.
WATCHED = (
    "flowatlas.run:open_plan",
    "os:link",
    "flowatlas.models:load",
    "flowatlas.extract:Extractor.__call__",
    "flowatlas.vocabulary:Vocabulary.read_nodes",
    "os:replace",
    "flowatlas.neuron_tokens:compute",
    "flowatlas.finish:write_manifest",
)


@dataclasses.dataclass(frozen=True)
class Done:
    """A run that has ended: its exit code (minus the signal, if one ended it), its two outputs and its moments."""

    code: int
    out: str
    err: str
    moments: list[str]


class Runs:
    """Starts runs; `environment` is theirs on top of ours."""

    def __init__(self, environment: dict[str, str]) -> None:
        # the command line sets the verbosity, but in a child transformers is imported already
        settings = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings, **environment},
        )
        self._folder = tempfile.TemporaryDirectory()
        self._logs: dict[int, str] = {}
        self._n = 0

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._folder.cleanup()

    def __call__(self, *args: object, **more: Any) -> Done:
        """Run to the end; arguments as `start`."""
        return self.wait(self.start(*args, **more))

    def start(
        self, *args: object, cwd: Path, at: str = "", does: str = "die", env: dict[str, str] | None = None
    ) -> int:
        """Start `flowatlas ARGS`; returns its pid.

        At the moment `at` (`name` or `name 2`, counted from 0; `23` is the 23rd of all; `prompt 5` and `batch of 4` whenever
        the extractor is given such) it does `die`, `fail` or `disk_full`, or gets a signal (`SIGUSR1`) and goes on.
        """
        self._n += 1
        log = str(Path(self._folder.name) / str(self._n))
        order = {"args": [str(a) for a in args], "cwd": str(cwd), "at": at, "does": does, "env": env or {}, "log": log}
        pid = int(self._ask({"start": order}))
        self._logs[pid] = log
        return pid

    def wait(self, pid: int) -> Done:
        """Wait for a run that was started."""
        code, log = self._ask({"wait": pid}), self._logs.pop(pid)
        out, err, moments = (Path(f"{log}.{end}").read_text() for end in ("out", "err", "moments"))
        return Done(int(code), out, err, moments.splitlines())

    def _ask(self, request: dict) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


def _serve() -> None:
    for module in ("torch", "transformer_lens", "pyarrow.parquet", "numba", "hydra._internal.hydra", "transformers"):
        importlib.import_module(module)
    for module in ("transformers.models.gpt2.modeling_gpt2", "transformers.models.llama.modeling_llama"):
        importlib.import_module(module)
    # Tables that are built at first use. Nothing here may start a thread: threads do not survive a fork.
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("gpt2")
    target: Any = importlib.import_module("numba.core.registry").cpu_target
    target.typing_context.refresh()
    target.target_context.refresh()
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                _child(**request["start"])
            answer = pid
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        print(json.dumps(answer), flush=True)


def _child(args: list[str], cwd: str, at: str, does: str, env: dict[str, str], log: str) -> None:
    """Never returns: whatever happens, the child ends here."""
    code = 70
    try:
        os.chdir(cwd)
        os.environ.update(env)
        for number, end in ((0, "in"), (1, "out"), (2, "err")):
            os.dup2(os.open(f"{log}.{end}", os.O_CREAT | os.O_RDWR), number)
        _watch(os.open(f"{log}.moments", os.O_CREAT | os.O_WRONLY), at, does)
        from flowatlas.cli import main

        code = main(args)
    except BaseException:  # as the interpreter would: a traceback, and an exit code that is none of ours
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(log: int, at: str, does: str) -> None:
    """Report every call of the watched functions, and do what is asked for at the one that is asked for."""
    met: Counter[str] = Counter()

    def watched(name: str, function: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            label = "/".join(Path(args[1]).parts[-2:]) if name == "os:replace" else name.rpartition(":")[2]
            moments = {label, f"{label} {met[label]}", str(met.total())}
            if label == "Extractor.__call__":
                moments |= {f"batch of {len(args[1])}", *(f"prompt {prompt.prompt_id}" for prompt in args[1])}
            if at in moments:
                if does in ("fail", "disk_full"):
                    met[label] += 1
                    no_space = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    raise RuntimeError("out of luck") if does == "fail" else no_space
                os.kill(os.getpid(), signal.SIGKILL if does == "die" else signal.Signals[does])
            os.write(log, f"{label}\n".encode())
            met[label] += 1
            return function(*args, **kwargs)

        return call

    for name in WATCHED:
        module, _, path = name.partition(":")
        *owner, last = path.split(".")
        place: Any = importlib.import_module(module)
        for part in owner:
            place = getattr(place, part)
        setattr(place, last, watched(name, getattr(place, last)))


def write_prompts(path: Path, n: int, first: int = 0) -> Path:
    """A .jsonl of n prompts of 2 to 9 words, the same ones in every file; every second has an answer and a foil."""
    lines = []
    for i in range(first, first + n):
        draw = Random(i)
        row = {"id": f"p{i}", "text": " ".join(f"w{draw.randrange(1, 400)}" for _ in range(draw.randrange(2, 10)))}
        lines.append(json.dumps(row | ({"answer": "w7", "foil": "w8"} if i % 2 else {})))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def hashes(folder: Path, pattern: str = "*.parquet") -> dict[str, str]:
    """sha256 of every file below a folder."""
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def one_line(text: str) -> bool:
    """Whether an error is as it should be: one line, ours."""
    return text.startswith("flowatlas: ") and text.count("\n") == 1 and text.endswith("\n")


if __name__ == "__main__":
    _serve()
