"""The SQL console in a real browser: what it answers is what DuckDB answers on the run's own files."""

import json
import math
import re
import urllib.parse

import duckdb
import pytest
from playwright.sync_api import Page, expect
from stage import altered

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"


def console(page: Page, site, sql: str = "", more: str = "") -> None:
    """Open the console with a query and wait until it is answered."""
    query = f"?q={urllib.parse.quote(sql)}{more}" if sql else ""
    page.goto(f"{site.url}#/routes/sql{query}")
    answered(page)


def answered(page: Page) -> None:
    expect(page.get_by_test_id("sql-output")).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_test_id("sql-stop")).to_be_disabled()


def type_query(page: Page, sql: str) -> None:
    """Replace what the editor holds, as a person would."""
    editor = page.get_by_test_id("sql-editor")
    editor.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(sql)


def rows(page: Page) -> list[list[str]]:
    return page.get_by_test_id("sql-row").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.title || cell.textContent))"
    )


def same(shown: list[list[str]], answer: list[tuple]) -> None:
    assert len(shown) == len(answer)
    for line, expected in zip(shown, answer, strict=True):
        for said, value in zip(line, expected, strict=True):
            if isinstance(value, float):
                assert math.isclose(float(said), value, rel_tol=1e-5, abs_tol=1e-9)
            else:
                assert said == ("\N{EN DASH}" if value is None else str(value))


def connect(site, statements: str) -> list[tuple]:
    """DuckDB's answer to what the page gives for the command line."""
    with duckdb.connect() as connection:
        return connection.execute(statements.replace("RUN/", f"{site.runs}/routes/")).fetchall()


def test_a_query_of_the_address_is_answered_and_can_be_taken_to_the_command_line(page: Page, site):
    sql = """SELECT layer, head, count(*) AS n, avg(share) AS share FROM edges
        WHERE head >= 0 GROUP BY layer, head ORDER BY layer, head"""
    console(page, site, sql)
    answer = site.ask(sql.replace("FROM edges", "FROM {edges}"))
    same(rows(page), answer)
    page.get_by_text("The same from the command line").click()
    shell = page.get_by_test_id("sql-command").first.text_content() or ""
    assert connect(site, shell.removeprefix("duckdb <<'SQL'\n").removesuffix("\nSQL")) == answer
    python = page.get_by_test_id("sql-command").last.text_content() or ""
    names: dict = {}
    exec(python.replace('"RUN"', repr(str(site.runs / "routes"))).replace("run.sql", "answer = run.sql"), names)
    flat = [value for row in names["answer"].to_numpy().tolist() for value in row]
    assert flat == pytest.approx([value for row in answer for value in row])
    names["run"].close()


def test_every_prepared_query_has_rows(page: Page, site):
    console(page, site)
    examples = page.get_by_test_id("sql-example")
    count = examples.count()
    assert count >= 10
    for i in range(count):
        examples.nth(i).click()
        answered(page)
        expect(page.get_by_test_id("sql-error")).to_have_count(0)
        expect(page.get_by_test_id("sql-status")).not_to_contain_text(re.compile(r"^0 rows"))
        page.get_by_test_id("sql-as-chart").click()
        expect(page.get_by_test_id("chart")).to_be_visible()
        page.get_by_test_id("sql-as-table").click()


def test_only_the_files_of_the_prompts_that_are_asked_for_are_fetched(page: Page, site):
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    sql = "SELECT layer, kind, src, dst, share FROM edges WHERE prompt_id = 59 AND head = -1 ORDER BY ALL"
    console(page, site, sql)
    same(rows(page), site.ask(sql.replace("FROM edges", "FROM {edges}"))[:100])
    size = json.loads((site.runs / "site" / "data" / "routes" / "index.json").read_text())["bucket_size"]
    files = [url.split("/")[-1].split("?")[0] for url in fetched if "/edges/" in url]
    assert files == [f"bucket-{59 // size}.parquet"]


def test_tables_and_columns_are_completed_by_keyboard(page: Page, site):
    console(page, site)
    type_query(page, "SELECT dst FROM ")
    page.keyboard.type("edg")
    option = page.locator(".cm-tooltip-autocomplete li[aria-selected]")
    expect(option).to_contain_text("edges")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("sql-editor")).to_have_text("SELECT dst FROM edges")
    page.keyboard.type(" WHERE atten")
    expect(option).to_contain_text("attention")
    page.keyboard.press("Tab")
    page.keyboard.type(" > 0.5 LIMIT 3")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page).to_have_url(re.compile("attention"))
    answered(page)
    expect(page.get_by_test_id("sql-row")).to_have_count(3)


def test_errors_are_the_engines_own_words(page: Page, site):
    console(page, site, "SELECT shar FROM edges")
    expect(page.get_by_test_id("sql-error")).to_contain_text('"shar" not found')
    type_query(page, "SELECT 1 FROM FROM")
    page.get_by_test_id("sql-run").click()
    expect(page.get_by_test_id("sql-error")).to_contain_text("Parser Error")
    type_query(page, "SELECT 1 AS one")
    page.get_by_test_id("sql-run").click()
    expect(page.get_by_test_id("sql-row")).to_have_text(["1"])


def test_a_query_is_stopped_and_the_page_goes_on(page: Page, site):
    console(page, site)
    type_query(page, ENDLESS)
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.get_by_test_id("sql-stop")).to_be_enabled()
    page.get_by_test_id("sql-stop").click()
    expect(page.get_by_test_id("sql-stopped")).to_be_visible()
    type_query(page, "SELECT count(*) AS n FROM prompts")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.get_by_test_id("sql-row")).to_have_text(["60"])


def test_leaving_ends_what_runs(page: Page, site):
    console(page, site)
    type_query(page, ENDLESS)
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.get_by_test_id("sql-stop")).to_be_enabled()
    page.get_by_role("link", name="Prompts", exact=True).click()
    expect(page.get_by_test_id("prompt-row")).to_have_count(50)


def test_what_is_too_large_says_so_and_where_to_ask_it(page: Page, site):
    enlarged = altered(lambda index: index["tables"]["edges"].update(bytes=3_200_000_000))
    page.route(re.compile(r"/routes/index\.json"), enlarged)
    console(page, site, "SELECT count(*) FROM edges")
    refusal = page.get_by_test_id("sql-too-large")
    expect(refusal).to_contain_text("3.2 GB")
    expect(refusal).to_contain_text("at most 64 MB")
    expect(page.get_by_test_id("sql-command").first).to_contain_text("CREATE VIEW edges AS FROM 'RUN/edges/*.parquet';")
    expect(page.get_by_test_id("sql-command").last).to_contain_text('flowatlas.open("RUN")')


def test_a_chart_of_a_result_and_its_permalink(page: Page, site):
    sql = "SELECT layer, avg(entropy) AS entropy FROM nodes WHERE point = 'post' GROUP BY layer ORDER BY layer"
    console(page, site, sql)
    page.get_by_test_id("sql-as-chart").click()
    expect(page).to_have_url(re.compile("as=chart"))
    chart = page.get_by_test_id("chart")
    expect(chart).to_have_attribute("aria-label", re.compile("entropy by layer: 5 points"))
    page.get_by_label("as", exact=True).select_option("bar")
    expect(page).to_have_url(re.compile("kind=bar"))
    bars = page.locator(".bar-row")
    expect(bars).to_have_count(5)
    answer = site.ask(sql.replace("FROM nodes", "FROM {nodes}"))
    shown = bars.evaluate_all("rows => rows.map(row => Number(row.dataset.value))")
    assert shown == pytest.approx([entropy for _, entropy in answer], rel=1e-5)
    page.reload()
    expect(bars).to_have_count(5)


def test_rows_sort_and_lead_to_prompts_and_heads(page: Page, site):
    console(
        page,
        site,
        "SELECT prompt_id, layer, head, share FROM edges WHERE head >= 0 AND prompt_id IN (0, 1) ORDER BY prompt_id, share",
    )
    page.get_by_test_id("sql-table").get_by_role("button", name="share").click()
    expect(page.get_by_role("columnheader", name="share")).to_have_attribute("aria-sort", "descending")
    largest = site.ask("SELECT max(share) FROM {edges} WHERE head >= 0 AND prompt_id IN (0, 1)")[0][0]
    first = page.get_by_test_id("sql-row").first
    assert math.isclose(float(first.locator("td").nth(3).get_attribute("title") or ""), largest, rel_tol=1e-6)
    expect(first.get_by_role("link").first).to_have_attribute("href", re.compile(r"#/routes/p/[01]$"))
    expect(first.get_by_role("link").last).to_have_attribute("href", re.compile(r"#/routes/head/L\dH\d$"))


def test_the_result_as_csv(page: Page, site):
    console(page, site, "SELECT 'a,\"b' AS text, 0.25 AS number, NULL AS nothing")
    with page.expect_download() as download:
        page.get_by_test_id("download-csv").click()
    text = download.value.path().read_bytes().decode("utf-8-sig")
    assert text == 'text,number,nothing\r\n"a,""b",0.25,\r\n'
