"""The one thread that owns a model, and the bounded queue before it."""

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flowatlas.errors import FlowatlasError
from flowatlas.live_request import Request

WAITING = 8  # requests at most that wait for their turn
_KEPT = 200  # finished jobs whose outcome may still be asked for


class FullError(Exception):
    """As many requests wait as may."""


@dataclass
class _Job:
    number: int
    request: Request
    outcome: dict[str, Any] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)


class Jobs:
    """Requests one after the other, in a thread that ends with the process. `work` gives the id of a request's run."""

    def __init__(self, work: Callable[[Request], str]) -> None:
        self._work = work
        self._waiting: queue.Queue[_Job] = queue.Queue(WAITING)
        self._jobs: OrderedDict[int, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._last = 0
        threading.Thread(target=self._go_on, name="model", daemon=True).start()

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

    def _go_on(self) -> None:
        while True:
            job = self._waiting.get()
            try:
                job.outcome = {"state": "done", "run": self._work(job.request)}
            except FlowatlasError as error:
                job.outcome = {"state": "failed", "message": " ".join(str(error).split())}
            except Exception as error:  # the next prompt may well be fine
                said = " ".join(str(error).split())
                job.outcome = {"state": "failed", "message": f"{type(error).__name__}: {said[:300]}"}
            job.over.set()
