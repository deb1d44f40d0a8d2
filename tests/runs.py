"""Runs of the command line in processes of their own, killed or failing at a chosen moment.

Importing the model libraries takes far longer than a small run. So one process imports them once and forks a fresh
child per run: `Runs.start` asks it to. A child can be told to report its moments (`watch`), and to die, fail or wait at
one of them.
"""

import dataclasses
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Functions whose calls are the moments of a run, in the order in which a run first meets them.
WATCHED = (
    "flowatlas.run:open_plan",
    "os:link",
    "flowatlas.models:load",
    "flowatlas.extract:Extractor.__call__",
    "flowatlas.kernels:top_tokens",
    "os:replace",
    "flowatlas.run:write_manifest",
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
        one_thread = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **one_thread, **environment},
        )
        self._logs = tempfile.TemporaryDirectory()
        self._n = 0

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._logs.cleanup()

    def __call__(self, *args: object, **more: Any) -> Done:
        """Run to the end; arguments as `start`."""
        return self.wait(self.start(*args, **more))

    def start(
        self, *args: object, cwd: Path, at: int | None = None, does: str = "die", env: dict[str, str] | None = None
    ) -> int:
        """Start `flowatlas ARGS`; at its moment number `at` (from 0) it does `die` or `disk_full`. Returns its pid."""
        self._n += 1
        log = str(Path(self._logs.name) / str(self._n))
        order = {"args": [str(a) for a in args], "cwd": str(cwd), "at": at, "does": does, "env": env or {}, "log": log}
        pid = int(self._ask({"start": order}))
        setattr(self, f"_log{pid}", log)
        return pid

    def wait(self, pid: int) -> Done:
        code, log = self._ask({"wait": pid}), getattr(self, f"_log{pid}")
        out, err, moments = (Path(f"{log}.{end}").read_text() for end in ("out", "err", "moments"))
        return Done(int(code), out, err, moments.split())

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


def _child(args: list[str], cwd: str, at: int | None, does: str, env: dict[str, str], log: str) -> None:
    """Never returns: whatever happens, the child ends here."""
    code = 70
    try:
        os.chdir(cwd)
        os.environ.update(env)
        for number, end in ((0, "in"), (1, "out"), (2, "err")):
            os.dup2(os.open(f"{log}.{end}", os.O_CREAT | os.O_RDWR), number)
        _watch(Path(f"{log}.moments").open("w", buffering=1), at, does)
        from flowatlas.cli import main

        code = main(args)
    except BaseException:  # as the interpreter would: a traceback, and an exit code that is none of ours
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(moments: Any, at: int | None, does: str) -> None:
    count = 0

    def watched(name: str, function: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            where = "/".join(Path(args[1]).parts[-2:]) if name == "os:replace" else ""
            print(f"{name}({where})", file=moments)
            count += 1
            if count - 1 == at:
                if does == "disk_full":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    if at is None and does == "die" and os.environ.get("WATCH") != "1":
        return
    for name in WATCHED:
        module, _, path = name.partition(":")
        *owner, last = path.split(".")
        place: Any = importlib.import_module(module)
        for part in owner:
            place = getattr(place, part)
        setattr(place, last, watched(name, getattr(place, last)))


if __name__ == "__main__":
    _serve()
