"""The map of prompts, its groups and the routes that prompts share: every number against DuckDB on the same Parquet."""

import math
import re

import duckdb
import pytest
from playwright.sync_api import Page, expect


def stats(site, sql: str, **values) -> list[tuple]:
    """DuckDB's answer on the run's statistics; {name} is a table of them."""
    query = re.sub(r"\{(\w+)\}", lambda m: f"'{site.runs}/routes/stats/{m[1]}.parquet'", sql)
    with duckdb.connect() as connection:
        return connection.execute(query, values or None).fetchall()


def open_map(page: Page, site, query: str = "") -> None:
    page.goto(f"{site.url}#/routes/map{query}")
    expect(page.get_by_test_id("map-title")).to_contain_text("60 prompts")


def means(site, ids: list[int]) -> dict[str, tuple[float, float]]:
    """Mean share within and without the group, by component's name: from the run's own components."""
    rows = site.ask(
        """SELECT CASE component WHEN 'head' THEN 'L' || layer || 'H' || "index" ELSE 'L' || layer || ' MLP' END,
             avg(mean_share) FILTER (list_contains($ids, prompt_id)),
             avg(mean_share) FILTER (NOT list_contains($ids, prompt_id))
           FROM {components} WHERE component IN ('head', 'mlp') GROUP BY ALL""",
        ids=ids,
    )
    return {name: (inside, outside) for name, inside, outside in rows}


def compared(page: Page) -> dict[str, tuple[float, float, float]]:
    """Component, mean in the group, mean elsewhere and the difference, as the table's cells have them in full."""
    expect(page.get_by_test_id("row-differences")).to_have_count(20)  # 16 heads and 4 MLPs
    cells = page.get_by_test_id("row-differences").evaluate_all(
        "rows => rows.map(row => [row.cells[0].textContent, ...[1, 2, 3].map(i => Number(row.cells[i].title))])"
    )
    return {name: tuple(numbers) for name, *numbers in cells}


def expect_group(page: Page, site, ids: list[int]) -> None:
    expect(page.get_by_test_id("map-group")).to_contain_text(f"{len(ids)} prompts against {60 - len(ids)} others")
    answer, shown = means(site, ids), compared(page)
    assert shown.keys() == answer.keys()
    for name, (inside, outside) in answer.items():
        # Vectors are stored as float32.
        assert shown[name] == pytest.approx((inside, outside, inside - outside), abs=2e-6)


def test_a_ticked_cluster_is_compared_with_the_rest(page: Page, site):
    open_map(page, site)
    clusters = stats(site, "SELECT cluster, count(*) FROM {prompt_map} GROUP BY 1 ORDER BY 1")
    boxes = page.get_by_test_id("cluster")
    expect(boxes).to_have_count(len(clusters))
    boxes.first.focus()
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(r"clusters=0\b"))
    expect(boxes.first).to_be_checked()
    expect(boxes.first).to_be_focused()
    ids = [row[0] for row in stats(site, "SELECT prompt_id FROM {prompt_map} WHERE cluster = 0")]
    assert len(ids) == clusters[0][1]
    expect_group(page, site, ids)
    page.get_by_test_id("clear-group").click()
    expect(page.get_by_test_id("map-group")).to_have_count(0)


def test_a_lasso_makes_a_group_that_the_address_keeps(page: Page, site):
    open_map(page, site)
    box = page.get_by_test_id("map").bounding_box()
    assert box
    page.get_by_test_id("lasso").click()
    expect(page.get_by_test_id("lasso")).to_have_attribute("aria-pressed", "true")
    left, middle, bottom = box["x"] + 3, box["x"] + box["width"] / 2, box["y"] + box["height"] - 3
    page.mouse.move(left, box["y"] + 3)
    page.mouse.down()
    for x, y in ((middle, box["y"] + 3), (middle, bottom), (left, bottom)):
        page.mouse.move(x, y, steps=12)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"lasso=-?\d"))
    corners = [float(value) for value in re.search(r"lasso=([-\d.,]+)", page.url)[1].split(",")]  # type: ignore[index]
    edge = max(corners[::2])
    inside = [row[0] for row in stats(site, "SELECT prompt_id FROM {prompt_map} WHERE x < $edge", edge=edge)]
    assert 0 < len(inside) < 60
    expect_group(page, site, inside)
    page.reload()
    expect_group(page, site, inside)


def test_the_sql_of_a_group_gives_the_same_numbers(page: Page, site):
    open_map(page, site, "?clusters=0,1")
    shown = compared(page)
    page.get_by_test_id("map-difference").get_by_test_id("open-sql").click()
    expect(page.get_by_test_id("sql-row")).to_have_count(len(shown))
    rows = page.get_by_test_id("sql-row").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.title || cell.textContent))"
    )
    for component, layer, index, *numbers in rows:
        name = f"L{layer}H{index}" if component == "head" else f"L{layer} MLP"
        assert shown[name] == pytest.approx([float(number) for number in numbers[:3]], rel=1e-6)


def test_prompts_are_walked_and_opened_by_keyboard(page: Page, site):
    open_map(page, site)
    page.get_by_test_id("map").focus()
    width = page.get_by_test_id("map").get_attribute("width") or ""
    readout = page.get_by_test_id("map-readout")
    expect(readout).to_contain_text("arrow keys")
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text(re.compile(r"prompt \d+, cluster \d"))
    page.keyboard.press("ArrowLeft")
    number = re.search(r"prompt (\d+)", readout.text_content() or "")
    assert number
    # What is drawn anew, for a narrower window or an answer that comes late, leaves the reader where they were.
    page.set_viewport_size({"width": 1000, "height": 800})
    expect(page.get_by_test_id("map")).not_to_have_attribute("width", width)
    expect(page.get_by_test_id("map")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"#/routes/p/{number[1]}$"))
    expect(page.get_by_test_id("graph")).to_be_visible()


def test_pointing_shows_the_prompt_and_zooming_is_kept(page: Page, site):
    open_map(page, site)
    svg = page.get_by_test_id("map")
    box = svg.bounding_box()
    assert box
    x, y = svg.evaluate(
        """svg => svg.querySelector('.map-mark').getAttribute('d').match(/M(-?[\\d.]+),(-?[\\d.]+)/).slice(1).map(Number)"""
    )
    page.mouse.move(box["x"] + x, box["y"] + y)
    tooltip = page.locator(".map-plot .tooltip")
    expect(tooltip).to_contain_text(re.compile(r"prompt \d+, cluster"))
    page.mouse.wheel(0, -400)
    expect(page).to_have_url(re.compile(r"zoom="))
    page.get_by_role("button", name="Whole map").click()
    expect(page).not_to_have_url(re.compile(r"zoom="))


def test_how_many_prompts_hold_each_edge(page: Page, site):
    open_map(page, site, "?least=0.75")
    template, prompts = stats(site, "SELECT template, n_prompts FROM {templates} ORDER BY template LIMIT 1")[0]
    answer = stats(
        site,
        """SELECT layer, kind, dst, src, n_holding FROM {consensus}
           WHERE template = $template AND frequency >= 0.75 AND head = -1""",
        template=template,
    )
    edges = page.get_by_test_id("consensus-edge")
    expect(edges).to_have_count(len(answer))
    held = edges.evaluate_all("edges => edges.map(edge => Number(edge.dataset.holding))")
    assert sorted(held) == sorted(row[-1] for row in answer)
    expect(page.get_by_test_id("row-consensus").first).to_contain_text(f"of {prompts}")
    page.get_by_test_id("least").get_by_role("button", name="100%").click()
    whole = sum(math.isclose(row[-1], prompts) for row in answer)
    expect(edges).to_have_count(whole)
