"""The one thread that owns a model, and the bounded queue before it."""

import contextlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flowatlas.errors import FlowatlasError
from flowatlas.live_request import Request

WAITING = 8  # requests at most that wait for their turn
_MOMENT = 5.0  # seconds
_KEPT = 200  # finished jobs whose outcome may still be asked for


class FullError(Exception):
    """As many requests wait as may."""


@dataclass
class _Job:
    number: int
    request: Request
    outcome: dict[str, Any] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def end(self, outcome: dict[str, Any]) -> None:
        self.outcome = outcome
        self.over.set()


class Jobs:
    """Requests one after the other, in a thread of their own until `close`. `work` gives the id of a request's run."""

    def __init__(self, work: Callable[[Request], str]) -> None:
        self._work = work
        self._waiting: queue.Queue[_Job | None] = queue.Queue(WAITING)
        self._jobs: OrderedDict[int, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._last = 0
        self._thread = threading.Thread(target=self._go_on, name="model", daemon=True)
        self._thread.start()

    def put(self, request: Request) -> int:
        """The number of a new job. Raises FullError."""
        with self._lock:
            job = _Job(self._last + 1, request)
            try:
                self._waiting.put_nowait(job)
            except queue.Full as error:
                raise FullError from error
            self._last = job.number
            self._jobs[job.number] = job
            while len(self._jobs) > _KEPT + WAITING + 1:
                self._jobs.popitem(last=False)
        return job.number

    def outcome(self, number: int, seconds: float) -> dict[str, Any] | None:
        """What came of a job, waited for so long at most; None for one that is not known.

        `state` is waiting, done (with `run`, an id) or failed (with `message`).
        """
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            return None
        return job.outcome if job.over.wait(seconds) else {"state": "waiting"}

    def close(self) -> None:
        """Give up what waits; what is being done has a moment to end."""
        with contextlib.suppress(queue.Empty):
            while job := self._waiting.get_nowait():
                job.end({"state": "failed", "message": "the server was ended before its turn came"})
        with contextlib.suppress(queue.Full):  # somebody is quicker: the thread ends with the process
            self._waiting.put(None, timeout=_MOMENT)
        self._thread.join(_MOMENT)

    def _go_on(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                job.end({"state": "done", "run": self._work(job.request)})
            except FlowatlasError as error:
                job.end({"state": "failed", "message": " ".join(str(error).split())})
            except Exception as error:  # the next prompt may well be fine
                said = " ".join(str(error).split())
                job.end({"state": "failed", "message": f"{type(error).__name__}: {said[:300]}"})
