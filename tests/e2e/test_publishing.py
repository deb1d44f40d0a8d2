"""A published site as its readers meet it: the first page, a plain host, a part of a run, and a list of many pages."""

import functools
import http.server
import threading

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from stage import flowatlas, serving, until
from test_accessibility import failures

PART = "20 of its 60 prompts (prompt_id % 3 = 1); without components, writes, maps"


def test_the_first_page_says_whose_it_is_and_how_to_cite_it(page: Page, site):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(site.url)
    front = page.get_by_test_id("front")
    expect(page.get_by_role("heading", level=1)).to_have_text("Routes of the demo")
    expect(page).to_have_title("Routes of the demo · flowatlas")
    expect(front).to_contain_text("Ada <b>Example</b>")
    expect(front.get_by_role("link", name="Ben Example")).to_have_attribute(
        "href", "https://orcid.org/0000-0002-1825-0097"
    )
    expect(front.get_by_role("link", name="Paper")).to_have_attribute("href", "https://paper.example/a?b=c")
    expect(front.locator(".abstract p")).to_have_count(2)
    expect(front).to_contain_text("<img src=x onerror=alert(1)>")
    front.get_by_text("Cite").click()
    expect(page.get_by_test_id("bibtex")).to_contain_text("title = {Routes of the <i>demo</i>}")
    front.get_by_role("button", name="Copy BibTeX").click()
    expect(front.get_by_role("status")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("@article{example2026,\n  title")
    assert failures(page) == []
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width


class PlainHost(http.server.SimpleHTTPRequestHandler):
    """Python's own: it knows no ranges, compresses nothing, and sends no policy."""

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is watched in the page."""


@pytest.fixture
def plain(site, tmp_path):
    """The address of the site in a folder of a folder of a plain server."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "folder").symlink_to(site.runs / "site")
    handler = functools.partial(PlainHost, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/sub/folder/"
        server.shutdown()


def test_a_plain_host_in_a_subfolder_is_enough(plain, site, page: Page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(plain)
    page.locator("[data-run=routes]").get_by_test_id("run-open").click()
    expect(page.get_by_test_id("graph")).to_be_visible()
    expect(page.get_by_test_id("outcome")).to_contain_text("prediction")
    page.goto(f"{plain}#/routes/corpus")
    expect(page.get_by_test_id("heat")).to_be_visible()
    ((rows,),) = site.ask("SELECT count(*) FROM {edges}")
    page.goto(f"{plain}#/routes/sql?q=SELECT+count(*)+AS+n+FROM+edges")
    expect(page.get_by_test_id("sql-row")).to_have_text([str(rows)])
    assert f"{plain}data/catalogue.json" in asked
    assert [url for url in asked if not url.startswith((plain, "blob:", "data:"))] == []


@pytest.fixture
def part(runs, tmp_path):
    """The address of a site of every third prompt of `routes`, without heads' summaries, maps and writes."""
    select = ["prompts=prompt_id % 3 = 1", "tables=-components,-maps,-writes"]
    options = [word for one in select for word in ("--select", one)]
    flowatlas("site", runs / "routes", "--out", tmp_path / "part", *options, cwd=runs)
    with serving(tmp_path / "part") as url:
        yield url


def test_a_part_of_a_run_says_that_it_is_one(part, page: Page):
    page.goto(part)
    expect(page.get_by_test_id("run-card")).to_contain_text("20 prompts, selected from 60")
    page.get_by_role("link", name="List of prompts").click()
    expect(page.get_by_test_id("selection")).to_contain_text(PART)
    expect(page.get_by_test_id("prompt-row")).to_have_count(20)
    page.get_by_test_id("prompt-row").first.get_by_role("link").click()
    expect(page.get_by_test_id("graph")).to_be_visible()
    assert "/p/1" in page.url
    page.keyboard.press("]")
    expect(page).to_have_url(f"{part}#/routes/p/4")
    page.goto(f"{part}#/routes/p/3")
    expect(page.get_by_test_id("message")).to_contain_text("Prompt 3 is not part of this site")
    page.get_by_role("link", name="Prompt 4, the nearest").click()
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.goto(f"{part}#/routes/p/1?sel=3.post.4&tab=heads")
    expect(page.get_by_test_id("left-out").first).to_contain_text("made without")
    assert failures(page) == []


def test_a_list_of_many_pages_is_searched_sorted_and_filtered(site, page: Page):
    """Held against DuckDB's answers on the run itself; which files are read for what is tested beside the code."""
    prompts = site.ask(
        """SELECT prompt_id, "group", text, answer_prob FROM {prompts} AS p JOIN {targets} AS t USING (prompt_id)
           WHERE target = targets[-1] ORDER BY prompt_id"""
    )
    groups = {row[1] for row in prompts}

    def expect_listed(query: str, wanted: list[int]) -> None:
        page.goto(f"{site.url}#/routes/prompts{query}")
        expect(page.get_by_test_id("prompt-count")).to_contain_text(f"{len(wanted)} prompt")
        until(
            page,
            "wanted => `${[...document.querySelectorAll('[data-testid=prompt-row]')].map((row) => row.dataset.id)}` === wanted",
            ",".join(map(str, wanted[:50])),
        )

    expect_listed("", [row[0] for row in prompts])
    group = sorted(groups)[0]
    expect_listed(f"?group={group.replace(' ', '+')}", [row[0] for row in prompts if row[1] == group])
    by_prob = [prompts[i][0] for i in np.lexsort([[row[0] for row in prompts], [-row[3] for row in prompts]])]
    expect_listed("?sort=-prob", by_prob)
    word = max(prompts[0][2].split(), key=len)
    expect_listed(f"?q={word}", [row[0] for row in prompts if word.lower() in row[2].lower()])
