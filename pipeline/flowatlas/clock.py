"""Where the time goes: seconds per named stage."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock(dict[str, float]):
    """Seconds by stage. `settle` is called at both ends of a stage (a GPU must finish its queue)."""

    def __init__(self, settle: Callable[[], None] = lambda: None):
        super().__init__()
        self._settle = settle

    @contextmanager
    def stage(self, name: str, within: str | None = None) -> Iterator[None]:
        """A stage; one that runs `within` another is not counted there."""
        self._settle()
        start = time.perf_counter()
        yield
        self._settle()
        seconds = time.perf_counter() - start
        self.add(name, seconds)
        if within is not None:
            self.add(within, -seconds)

    def add(self, name: str, seconds: float) -> None:
        self[name] = self.get(name, 0.0) + seconds
