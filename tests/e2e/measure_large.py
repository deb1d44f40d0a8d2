"""`make measure-large`: a site of 100,000 made-up prompts: what its pages fetch and how long they take; for docs/publishing.md.

As `make measure`: everything on this machine, `flowatlas serve`, a Chromium without a window or a graphics card, an empty
cache. Exit code 1 when a limit is missed.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measure import calm, machine, table
from meter import Line, fresh, in_order, kilobytes
from playwright.sync_api import Browser, Page
from stage import ROOT, chromium, flowatlas, serving, write_between

sys.path.insert(0, str(ROOT / "tests"))  # large_run

PROMPTS = 100_000
FIRST_MS, FIRST_BYTES, NEXT_MS = 1500, 25_000_000, 300
DOCUMENT = ROOT / "docs" / "publishing.md"


@dataclass(frozen=True)
class Opened:
    """A page opened from an empty cache: `shows` is there when it can be read."""

    what: str
    hash: str
    shows: str


PAGES = [
    Opened("First page (the catalogue)", "#/", "[data-testid=run-card]"),
    Opened("The list of prompts", "#/large/prompts", "[data-testid=prompt-row]"),
    Opened("A prompt in the middle: its graph", "#/large/p/54321", "[data-testid=graph] .node"),
    Opened("The corpus", "#/large/corpus", "[data-testid=row-ranking]"),
]
# What is done on the list, one after the other, each with the state that it leads to.
STEPS = [
    ("the next page", "?page=2", None),
    ("page 1,500", "?page=1500", None),
    ("a group: first time (fetches what all rows are filtered by)", "?group=group+7", None),
    ("another group", "?group=group+3", None),
    ("sorted by the answer's probability", "?sort=-prob", None),
    ("sorted by its rank", "?sort=-rank", None),
    ("a word: first time (fetches every page of texts)", "?q=harbour", None),
    ("another word", "?q=silver+paper", None),
    ("a word in a group", "?q=narrow+bridge&group=group+5", None),
    ("a word that no prompt has", "?q=zebra", "nothing"),
]


def opened(browser: Browser, url: str, repeats: int) -> list[Line]:
    """Each page from an empty cache: until it shows its contents, and bytes until it is quiet."""
    lines = []
    for page_ in PAGES:
        times, engine, rest = [], 0, 0
        for _ in range(repeats):
            with fresh(browser) as (page, traffic):
                page.goto(url + page_.hash)
                page.wait_for_selector(page_.shows, state="attached")
                times.append(page.evaluate("performance.now()"))
                page.wait_for_load_state("networkidle")
                engine, rest = traffic.take()
        lines.append(Line(page_.what, statistics.median(times), in_order(times), FIRST_MS, "1.5 s"))
        shown = f"{kilobytes(rest)}, and {engine / 1e6:.1f} MB of the engine (gzip)"
        lines.append(Line("… bytes", engine + rest, shown, FIRST_BYTES, "25 MB"))
    return lines


def stepped(browser: Browser, url: str) -> list[Line]:
    """Ways through the list, from the change of the address to the rows on the page."""
    lines = []
    with fresh(browser) as (page, traffic):
        page.goto(f"{url}#/large/prompts")
        page.wait_for_selector("[data-testid=prompt-row]")
        page.wait_for_load_state("networkidle")
        traffic.take()
        for what, query, outcome in STEPS:
            go = f"location.hash = '#/large/prompts{query}'"
            time_ = page.evaluate(f"measure.served(() => {{ {go} }}, 'table.list[aria-busy]')")
            expect_rows(page, outcome)
            page.wait_for_timeout(200)
            engine, rest = traffic.take()
            first = "first time" in what
            shown = f"{time_:.0f} ms, {kilobytes(engine + rest)}"
            lines.append(
                Line(f"List: {what}", time_, shown, FIRST_MS if first else NEXT_MS, "1.5 s" if first else "0.3 s")
            )
    return lines


def expect_rows(page: Page, outcome: str | None) -> None:
    """What is timed must have led somewhere."""
    assert not page.get_by_test_id("message").count(), page.get_by_test_id("message").inner_text()
    assert (page.get_by_test_id("prompt-row").count() == 0) == (outcome == "nothing")


def make_site(folder: Path) -> Path:
    from large_run import make_large_run

    make_large_run(folder / "large", PROMPTS)
    flowatlas("site", "large", "--out", "site", "--title", "100,000 prompts", cwd=folder)
    return folder / "site"


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Measure a site of 100,000 prompts and write the table of docs/publishing.md."
    )
    parser.add_argument("--site", type=Path, help="a site made before, instead of one made anew")
    parser.add_argument("--repeats", type=int, default=3, help="times that each page is opened (default 3)")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for a calm machine (default 120)")
    parser.add_argument("--print-only", action="store_true", help="leave the document alone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = args.site or make_site(Path(folder))
        calm(1.0, args.patience)
        with serving(site) as url, chromium() as browser:
            where = machine(browser)
            lines = opened(browser, url, args.repeats) + stepped(browser, url)
    for line in lines:
        print(f"{line.what:75} {line.limit_shown:>8}  {line.shown}{'  MISSED' if line.missed else ''}")
    if not args.print_only:
        write_between("measured-large", table(lines, where), DOCUMENT)
    return int(any(line.missed for line in lines))


if __name__ == "__main__":
    sys.exit(main())
