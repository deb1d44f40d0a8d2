"""How long the corpus pages take to open once the SQL engine is up, their code and files fetched anew."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import duckdb
from meter import Line, fresh, milliseconds
from playwright.sync_api import Browser

OPEN_MS = 300


@dataclass(frozen=True)
class Opening:
    """A page at `address` (after the site's), opened from `start`; `shows` must then be on it."""

    what: str
    address: str
    shows: str
    start: str = "#/demo/prompts"


OPENINGS = (
    Opening("corpus", "#/demo/corpus", "[data-testid=row-ranking]"),
    Opening("… its ranking of neurons", "#/demo/corpus?list=neuron", "[data-testid=row-ranking]", "#/demo/corpus"),
    Opening("a contrast", "#/demo/contrast", "[data-testid=volcano]"),
    Opening("… of neurons", "#/demo/contrast?list=neuron", "[data-testid=volcano]", "#/demo/contrast"),
    Opening("a head", "#/demo/head/L1H3", "[data-testid=row-roles]"),
    Opening("a neuron", "#/demo/neuron/{neuron}", "[data-testid=activation]"),
    Opening("the map of prompts", "#/demo/map", "[data-testid=map]"),
    Opening("the dataset's figures", "#/demo/data", "table"),
    Opening("trust", "#/demo/trust", "table"),
    Opening("two runs compared", "#/compare/demo/coarse", "[data-testid=compared-prompts]"),
)


def corpus_pages(browser: Browser, url: str, run: Path, repeats: int) -> list[Line]:
    """Each page opened once in a new browser, when the list of prompts (or the page before) is quiet: to its last change.

    The neuron is the one that carries most.
    """
    neurons = f"SELECT layer, index FROM '{run}/stats/importance.parquet' WHERE component = 'neuron'"
    layer, index = duckdb.execute(f'{neurons} AND "group" IS NULL ORDER BY mean_share DESC LIMIT 1').fetchall()[0]
    neuron, lines = f"L{layer}N{index}", []
    for opening in OPENINGS:
        times = [_open(browser, url, opening, opening.address.format(neuron=neuron)) for _ in range(repeats)]
        what = f"Opening: {opening.what}"
        lines.append(Line(what, statistics.median(times), milliseconds(times), OPEN_MS, "300 ms"))
    return lines


def _open(browser: Browser, url: str, opening: Opening, address: str) -> float:
    with fresh(browser) as (page, _):
        page.goto(f"{url}{opening.start}")
        page.locator("main table").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(300)
        time_ = page.evaluate(f"measure.settled(() => {{ location.hash = '{address}' }}, 500, '{opening.shows}')")
        assert time_ is not None, f"{opening.what}: nothing changed"
        assert page.locator(opening.shows).first.is_visible(), f"{opening.what}: no {opening.shows}"
        return time_
