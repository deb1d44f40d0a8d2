"""A real site of the demo model, served as a user would serve it, and a real browser."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, expect
from stage import PATIENCE_SECONDS, chromium, flowatlas, serving

# What stands on the site's first page, markup among it.
ABOUT = """
title: Routes of the demo
authors:
  - Ada <b>Example</b>
  - {name: Ben Example, affiliation: Some Institute, orcid: 0000-0002-1825-0097}
abstract: |
  A made-up paper, <img src=x onerror=alert(1)> as its abstract says.

  Its second paragraph.
links: {Paper: "https://paper.example/a?b=c", Code: "https://code.example"}
bibtex: |
  @article{example2026,
    title = {Routes of the <i>demo</i>}
  }
"""
PATIENCE_MS = PATIENCE_SECONDS * 1000
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Site:
    """Where the site answers, and the folder of the runs that it was made of: `routes` explains every target, `last` one."""

    url: str
    runs: Path

    def ask(self, sql: str, run: str = "routes", **values) -> list[tuple]:
        """DuckDB's answer on a run's own Parquet files; {table} in the SQL stands for one of them."""
        query = re.sub(r"\{(\w+)\}", lambda m: f"read_parquet('{self.runs}/{run}/{m[1]}/*.parquet')", sql)
        with duckdb.connect() as connection:
            return connection.execute(query, values or None).fetchall()


@pytest.fixture(scope="session")
def runs(tmp_path_factory, request) -> Path:
    """The folder of the runs and of the site: made by whichever process of the tests asks first, read by all."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if hasattr(request.config, "workerinput") else own) / "e2e"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "site" / "index.html").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    demo = ("run", "model=demo", "dataset=demo")
    flowatlas(*demo, "run.dir=routes", "run.limit=60", "run.shard_size=25", "vocab.store=true", cwd=folder)
    flowatlas(*demo, "run.dir=last", "run.limit=5", "routes.targets=last", "knockouts.store=true", cwd=folder)
    flowatlas("audit", "last", "--draws", "2", cwd=folder)
    edits = [f"L1H{head}=off" for head in range(4)]  # the heads that copy names: answers change
    flowatlas("intervene", "routes", *edits, "--name", "no heads in L1", "--generate", "5", cwd=folder)
    (folder / "site.yaml").write_text(ABOUT)
    flowatlas("site", "routes", "last", "--out", "site", "--about", "site.yaml", cwd=folder)


@pytest.fixture(scope="session")
def interventions(runs) -> Path:
    """One of the first run, in which the answers change: the heads of the second layer, which copy names, are off."""
    return runs / "routes" / "interventions" / "no-heads-in-l1"


@pytest.fixture(scope="session")
def site(runs):
    with serving(runs / "site") as url:
        yield Site(url, runs)


@pytest.fixture(scope="session")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture
def page(browser: Browser):
    """A fresh page; the test fails when the page logs an error, throws, or asks any other host for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page: Page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    # A file that is not there is the test's own business: what the page says about it is what counts.
    lost = "Failed to load resource"
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" and lost not in m.text else None)
    page.on(
        "request",
        lambda r: None if r.url.startswith(("http://127.0.0.1:", "blob:", "data:")) else problems.append(r.url),
    )
    yield page
    context.close()
    assert not problems
