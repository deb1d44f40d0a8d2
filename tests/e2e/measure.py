"""`make measure`: what the page costs (first paint, bytes, clicks, frames), printed and put into docs/explorer.md.

Everything runs on this machine: the whole demo, a part of it with another floor, and a 64-token prompt of a random
32-layer model, made anew, served by `flowatlas serve`, in a Chromium without a window or a graphics card. Exit code 1
when a limit is missed.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from corpus_pages import corpus_pages
from meter import Line, fresh, in_order, kilobytes, milliseconds
from playwright.sync_api import Browser, Page
from stage import chromium, flowatlas, long_prompt, serving, until, wide_model, write_between

PAINT_MS, FIRST_BYTES, NEXT_BYTES, CLICK_MS = 1500, 1_000_000, 500_000, 100
OTHERS = (100, 200, 300, 400, 500, 600)  # prompts in buckets of their own
WIDE_FLOOR, WIDE_TO = 0.005, 0.01  # thresholds between which the wide model's route has about 5,000 edges


def first_paint(browser: Browser, url: str, repeats: int) -> list[Line]:
    """From an empty cache to a drawn graph, and what was sent until the page was quiet, the next prompt's data included."""
    times, engine, rest = [], 0, 0
    for _ in range(repeats):
        with fresh(browser) as (page, traffic):
            page.goto(f"{url}#/demo/p/0")
            until(page, "measure.drawnAt !== null")
            times.append(page.evaluate("measure.drawnAt"))
            page.wait_for_load_state("networkidle")
            engine, rest = traffic.take()
    paint = statistics.median(times)
    return [
        Line("First paint: navigation to a drawn graph, empty cache", paint, in_order(times), PAINT_MS, "1.5 s"),
        Line("… bytes beside the engine's own files", rest, kilobytes(rest), FIRST_BYTES, "1 MB"),
        Line("… the engine's own files (gzip; cached by the browser)", engine, f"{engine / 1e6:.1f} MB"),
    ]


def next_prompts(browser: Browser, url: str) -> list[Line]:
    """One prompt after the other, each from files that were not fetched before."""
    times, sizes = [], []
    with fresh(browser) as (page, traffic):
        page.goto(f"{url}#/demo/p/0")
        until(page, "measure.drawnAt !== null")
        page.wait_for_load_state("networkidle")
        traffic.take()
        for prompt in OTHERS:
            go = f"location.hash = '#/demo/p/{prompt}'"
            times.append(page.evaluate(f"measure.settled(() => {{ {go} }})"))
            page.wait_for_timeout(300)
            sizes.append(traffic.take()[1])
    shown = f"{kilobytes(statistics.mean(sizes))} (largest of {len(sizes)}: {kilobytes(max(sizes))})"
    return [
        Line("One more prompt whose files are not there: bytes", max(sizes), shown, NEXT_BYTES, "0.5 MB"),
        Line("… until all of it is shown", statistics.median(times), milliseconds(times)),
    ]  # fmt: skip


@dataclass(frozen=True)
class Clicks:
    """Ways to click: on the page at `start`, each of `actions` (JavaScript); after each, `shows` must be on the page."""

    what: str
    start: str
    shows: str
    actions: list[str]


def clicks(browser: Browser, url: str, run: Path) -> list[Line]:
    """Clicks whose data is there: the first of each kind fetches it and is not counted; each goes to another place."""
    lines = []
    with fresh(browser) as (page, _):
        for plan in click_plans(url, run):
            page.goto("about:blank")
            page.goto(plan.start)
            until(page, "measure.drawnAt !== null")
            page.wait_for_load_state("networkidle")
            times = [timed(page, plan, js) for js in plan.actions][1:]
            lines.append(Line(f"Click: {plan.what}", statistics.median(times), milliseconds(times), CLICK_MS, "100 ms"))
    return lines


def timed(page: Page, plan: Clicks, js: str) -> float:
    """A time only counts when something changed and what was asked for is there."""
    time_ = page.evaluate(f"measure.settled(() => {{ {js} }})")
    assert time_ is not None, f"{plan.what}: nothing changed after {js}"
    assert page.locator(plan.shows).first.is_visible(), f"{plan.what}: no {plan.shows} after {js}"
    return time_


def click_plans(url: str, run: Path) -> list[Clicks]:
    """What is clicked on prompt 0; its strongest edges and neurons are looked up, so that each place has data."""

    def ask(table: str, sql: str) -> list[tuple[Any, ...]]:
        return duckdb.execute(sql.replace("{}", f"read_parquet('{run}/{table}/*.parquet')")).fetchall()

    ((last,),) = ask("prompts", "SELECT n_tokens - 1 FROM {} WHERE prompt_id = 0")
    strongest = (
        f"WHERE prompt_id = 0 AND kind = 'attn' AND head >= 0 AND dst = {last} GROUP BY ALL ORDER BY max(share) DESC"
    )
    edges_ = [f"sel={l}.attn.{last}-{j}" for l, j in ask("edges", f"SELECT layer, src FROM {{}} {strongest} LIMIT 6")]
    ((layer, key, n_heads),) = ask(
        "edges", f"SELECT layer, src, (SELECT max(head) + 1 FROM {{}}) FROM {{}} {strongest} LIMIT 1"
    )
    heads = [f"sel={layer}.attn.{last}-{key}&head=L{layer}H{h}" for h in range(n_heads)]
    mlps = ask("neurons", "SELECT DISTINCT layer, pos FROM {} WHERE prompt_id = 0 ORDER BY pos DESC, layer LIMIT 6")
    start = f"{url}#/demo/p/0"

    def to(queries: list[str]) -> list[str]:
        return [f"location.hash = '#/demo/p/0?{query}'" for query in queries]

    def click(names: list[str]) -> list[str]:
        return [f"measure.click('[data-testid={name}]')" for name in names]

    def test(name: str) -> str:
        return f"[data-testid={name}]"

    positions = range(1, min(last, 7))
    return [
        Clicks("a node: its lens", start, test("lens-row"), click([f"node-{l}-post-{last}" for l in range(-1, 4)])),
        Clicks("a token: its target's route", start, test("graph"), click([f"token-{i}" for i in positions])),
        Clicks("a mode of shares", start, test("graph"), to(["mode=per_head", "mode=renormalised", "mode=summed"] * 2)),
        Clicks("an attention edge: its heads", start, test("head-row"), to(edges_)),
        Clicks("a head: its maps and tokens", start, test("map-contribution"), to(heads)),
        Clicks(
            "an MLP: its neurons", start, test("neuron-row"), to([f"t={i}&sel={l}.mlp.{i}&tab=mlp" for l, i in mlps])
        ),
        Clicks(
            "the trace of a position", start, test("trace-row"), to([f"sel=3.post.{i}&tab=trace" for i in positions])
        ),
        Clicks("direct effects at a target", start, test("effect-row"), to([f"t={i}&tab=effects" for i in positions])),
    ]


def wide(browser: Browser, url: str) -> list[Line]:
    """64 tokens x 32 layers: frames while the threshold moves, the graph is dragged and zoomed, the pointer moves."""
    with fresh(browser) as (page, _):
        page.goto(f"{url}#/wide/p/0?tau={WIDE_FLOOR}")
        until(page, "measure.drawnAt !== null")
        painted = page.evaluate("measure.drawnAt")
        page.wait_for_load_state("networkidle")
        most = edges(page)
        slider = page.get_by_test_id("tau-slider")
        start = int(slider.input_value())
        page.get_by_test_id("tau-field").fill(str(WIDE_TO))
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        stop, least = int(slider.input_value()), edges(page)
        box = page.get_by_test_id("graph").bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.evaluate(f"measure.slide({(start + stop) // 2})")
        page.wait_for_timeout(500)
        fit = page.get_by_role("button", name="Fit the graph to the window")
        moves = {
            "the threshold moves": f"(i) => measure.slide({start} + (i % 60) * {(stop - start) / 60})",
            "the graph is dragged": f"(i) => measure.drag('mousemove', {x} + 60 * Math.sin(i / 6), {y} + 40 * Math.cos(i / 6))",
            "the graph is zoomed": f"(i) => measure.wheel(i % 40 < 20 ? -40 : 40, {x}, {y})",
            "the pointer moves": f"(i) => measure.hover({x} + 250 * Math.sin(i / 9), {y} + 200 * Math.cos(i / 7))",
        }
        lines = [
            Line("64 tokens x 32 layers: navigation to a drawn graph", painted, f"{painted:.0f} ms", PAINT_MS, "1.5 s")
        ]
        for what, step in moves.items():
            fit.click()
            page.wait_for_timeout(300)
            if "dragged" in what:
                page.evaluate(f"measure.drag('mousedown', {x}, {y})")
            times = sorted(page.evaluate(f"measure.frames({step}, 120)"))
            if "dragged" in what:
                page.evaluate(f"measure.drag('mouseup', {x}, {y})")
            middle, late = statistics.median(times), times[int(len(times) * 0.95)]
            name = f"… time of a frame while {what}" + (
                f" ({least:,} to {most:,} edges)" if "threshold" in what else ""
            )
            lines.append(Line(name, middle, f"{middle:.0f} ms (95 of 100 under {late:.0f} ms)"))
        return lines


def edges(page: Page) -> int:
    """Edges drawn, as the page counts them."""
    text = page.get_by_test_id("route-count").inner_text()
    return int(text.partition(" edge")[0].rpartition(" ")[2].replace(",", "").replace("\u202f", ""))


def stored(site: Path, run: str, what: str) -> list[Line]:
    """Bytes of a prompt in the site's files."""
    index = json.loads((site / "data" / run / "index.json").read_text())
    prompts, tables = index["counts"]["prompts"], index["tables"]
    eager = sum(tables[name]["bytes"] for name in index["eager"]) / prompts
    maps, buckets = tables["maps"]["bytes"], sum(last - first + 1 for first, last in tables["maps"]["buckets"])
    share = (
        f"{kilobytes(maps / prompts)} ({kilobytes(maps / buckets)} a file of {index['maps']['bucket_size']} prompts)"
    )
    return [
        Line(f"Stored for a prompt of {what}: what its page needs", eager, f"{eager / 1e3:,.1f} kB"),
        Line(f"… its `maps` (floor {index['maps']['floor']}), fetched on click", maps / prompts, share),
    ]


def make_site(folder: Path) -> Path:
    """The whole demo, and the wide model's prompt with a floor low enough for thousands of edges."""
    flowatlas("run", "model=demo", "dataset=demo", "run.dir=demo", cwd=folder)
    wide_model(folder / "model")
    (folder / "long.txt").write_text(long_prompt() + "\n")
    more = (f"routes.floor={WIDE_FLOOR}", "maps.store=true")
    flowatlas("run", f"model={folder / 'model'}", "dataset=long.txt", "run.dir=wide", *more, cwd=folder)
    other = ("run.limit=220", "routes.floor=0.02", "run.dir=coarse")  # to compare with
    flowatlas("run", "model=demo", "dataset=demo", *other, cwd=folder)
    flowatlas("site", "demo", "wide", "coarse", "--out", "site", cwd=folder)
    return folder / "site"


def machine(browser: Browser) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{os.cpu_count()} cores of {name}, load average {os.getloadavg()[0]:.1f} at the start "
        f"(other work was running where it is above 1); Chromium {browser.version} "
        "without a window or a graphics card, 1280x800."
    )


def calm(most: float, patience: float) -> None:
    """Wait a while for other work on this machine to end: it would be measured, too."""
    until = time.monotonic() + patience
    while os.getloadavg()[0] > most and time.monotonic() < until:
        time.sleep(5)


def table(lines: list[Line], where: str) -> str:
    rows = [
        f"| {line.what} | {line.limit_shown} | {line.shown}{' **missed**' if line.missed else ''} |" for line in lines
    ]
    return "\n".join(["", "| what | limit | measured (median) |", "|---|---|---|", *rows, "", f"On {where}", "", ""])


def report(browser: Browser, site: Path, url: str, repeats: int) -> str | None:
    """Print every line as it comes; returns the table, or None when a limit is missed."""
    where, lines = machine(browser), []
    steps: list[Callable[[], list[Line]]] = [
        lambda: first_paint(browser, url, repeats),
        lambda: next_prompts(browser, url),
        lambda: clicks(browser, url, site.parent / "demo"),
        lambda: corpus_pages(browser, url, site.parent / "demo", repeats),
        lambda: wide(browser, url),
        lambda: stored(site, "demo", "the demo (13 tokens on average, 4 layers)"),
        lambda: stored(site, "wide", "64 tokens x 32 layers, 4 heads"),
    ]
    for step in steps:
        found = step()
        lines += found
        for line in found:
            print(f"{line.what:75} {line.limit_shown:>8}  {line.shown}{'  MISSED' if line.missed else ''}", flush=True)
    print(f"On {where}")
    return table(lines, where)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the page and write the table of docs/explorer.md.")
    parser.add_argument("--repeats", type=int, default=5, help="first paints (default 5)")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for a calm machine (default 120)")
    parser.add_argument(
        "--folder", type=Path, help="where to make the runs and the site, or where they were made before"
    )
    parser.add_argument("--print-only", action="store_true", help="leave the document alone")
    args: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = args.folder or Path(folder)
        site = kept / "site" if (kept / "site").exists() else make_site(kept)
        calm(1.0, args.patience)
        with serving(site) as url, chromium() as browser:
            text = report(browser, site, url, args.repeats)
    if text and not args.print_only:
        write_between("measured", text)
    return int(text is None or "**missed**" in text)


if __name__ == "__main__":
    sys.exit(main())
