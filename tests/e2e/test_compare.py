"""Two runs of one site compared: numbers against DuckDB on both runs' own files."""

import re

import duckdb
import pytest
from playwright.sync_api import Page, expect


def differences(site) -> dict[str, float]:
    """Mean difference of heads' and MLPs' mean share over the prompts of both runs: `last` has the first five of `routes`."""
    sql = """SELECT CASE component WHEN 'head' THEN 'L' || layer || 'H' || index ELSE 'L' || layer || ' MLP' END,
               avg(b.mean_share::DOUBLE - a.mean_share)
             FROM '{runs}/routes/components/*.parquet' a JOIN '{runs}/last/components/*.parquet' b
             USING (prompt_id, component, layer, index) WHERE component IN ('head', 'mlp') GROUP BY ALL"""
    with duckdb.connect() as connection:
        return dict(connection.execute(sql.replace("{runs}", str(site.runs))).fetchall())


def test_components_of_two_runs(page: Page, site):
    page.goto(f"{site.url}#/compare/routes/last")
    rows = page.get_by_test_id("row-compared")
    expect(rows).to_have_count(24)  # 16 heads, 4 MLPs, 4 attention blocks
    shown = rows.evaluate_all("rows => rows.map(row => [row.cells[0].textContent, row.cells[1].title.split(',')[0]])")
    answer = differences(site)
    for name, said in shown:
        if not name.endswith("attention"):
            assert float(said) == pytest.approx(answer[name], abs=1e-6)
    expect(page.get_by_test_id("heat")).to_be_visible()
    page.get_by_test_id("heat").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("heat-readout")).to_contain_text("in routes")
    expect(page.get_by_test_id("config-difference")).to_contain_text("routes.targets")


def test_prompts_of_two_runs_and_the_way_to_both(page: Page, site):
    page.goto(f"{site.url}#/compare/routes/last")
    rows = page.get_by_test_id("row-compared-prompts")
    expect(rows).to_have_count(5)
    expect(page.get_by_test_id("compared-summary")).to_contain_text("prompts in both5")
    links = rows.first.get_by_role("link")
    expect(links.first).to_have_attribute("href", re.compile(r"#/routes/p/\d+$"))
    expect(links.last).to_have_attribute("href", re.compile(r"#/last/p/\d+$"))
    page.get_by_test_id("compared-prompts").get_by_test_id("open-sql").click()
    expect(page).to_have_url(re.compile("with=last"))
    expect(page.get_by_test_id("sql-row")).to_have_count(5)


def test_the_catalogue_leads_to_the_comparison(page: Page, site):
    page.goto(site.url)
    page.get_by_test_id("comparisons").get_by_role("link").click()
    expect(page).to_have_url(re.compile("#/compare/routes/last$"))
    expect(page.get_by_test_id("compared-summary")).to_be_visible()


def test_runs_that_are_not_compared(page: Page, site):
    page.goto(f"{site.url}#/compare/routes/nothing")
    expect(page.get_by_test_id("not-compared")).to_contain_text("flowatlas compare A B")
    page.get_by_role("link", name="routes and last").click()
    expect(page.get_by_test_id("compared-summary")).to_be_visible()
