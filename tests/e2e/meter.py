"""One measurement, and the page it is made on: times and bytes as `make measure` reports them."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, Request

SCRIPT = (Path(__file__).parent / "measure.js").read_text()


@dataclass(frozen=True)
class Line:
    """One measurement: `value` against `limit` (None: none is set), and both in words."""

    what: str
    value: float
    shown: str
    limit: float | None = None
    limit_shown: str = "-"

    @property
    def missed(self) -> bool:
        return self.limit is not None and self.value > self.limit


class Traffic:
    """Bytes that a page was sent, bodies as they went over the line, the engine's own files apart."""

    def __init__(self, page: Page) -> None:
        self._sent: list[Request] = []
        page.on("requestfinished", lambda request: self._sent.append(request))

    def take(self) -> tuple[int, int]:
        """(engine, all else) since the last call."""
        sizes = [("duckdb" in r.url, r.sizes()["responseBodySize"]) for r in self._sent]
        self._sent.clear()
        return sum(n for engine, n in sizes if engine), sum(n for engine, n in sizes if not engine)


@contextmanager
def fresh(browser: Browser) -> Iterator[tuple[Page, Traffic]]:
    """A page with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.add_init_script(SCRIPT)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page, Traffic(page)
    context.close()


def milliseconds(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms (slowest of {len(times)}: {max(times):.0f} ms)"


def in_order(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms (in order: {', '.join(f'{time_:.0f}' for time_ in times)} ms)"


def kilobytes(n: float) -> str:
    return f"{n / 1e3:,.0f} kB"
