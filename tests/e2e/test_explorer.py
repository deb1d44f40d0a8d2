"""The built site in a real browser, held against DuckDB's answers on the same files."""

import json
import re

import pytest
from playwright.sync_api import Page, expect
from stage import ROOT

WALK = """
WITH RECURSIVE
  e AS (
    SELECT layer, CASE WHEN kind IN ('mlp', 'resid_mlp') THEN 1 ELSE 0 END AS at_post, dst, src, kind, share
    FROM {edges} WHERE prompt_id = $prompt AND head = -1 AND share > $tau),
  route AS (
    SELECT max(layer) AS layer, 1 AS at_post, $target::INT AS pos FROM e
    UNION
    SELECT CASE WHEN e.at_post = 1 THEN e.layer ELSE e.layer - 1 END, 1 - e.at_post, e.src
    FROM route r JOIN e ON e.layer = r.layer AND e.at_post = r.at_post AND e.dst = r.pos)
SELECT (SELECT count(*) FROM route),
       (SELECT count(*) FROM e JOIN route r ON e.layer = r.layer AND e.at_post = r.at_post AND e.dst = r.pos)
"""


def route(site, prompt: int, target: int, tau: float) -> tuple[int, int]:
    """Nodes and edges of the summed route at tau, walked by DuckDB."""
    return site.ask(WALK, prompt=prompt, target=target, tau=tau)[0]


def counted(page: Page) -> tuple[int, int]:
    text = page.get_by_test_id("route-count").inner_text()
    found = re.search(r"(\d+) nodes?, (\d+) edges?", text)
    assert found, text
    return int(found[1]), int(found[2])


def expect_route(page: Page, want: tuple[int, int]) -> None:
    """The page's count, once it has drawn."""
    words = re.compile(rf"\b{want[0]} nodes?, {want[1]} edges?\b")
    expect(page.get_by_test_id("route-count")).to_have_text(words)


def displayed(token: str) -> str:
    return token.replace(" ", "·").replace("\n", "↵")


def top_token(site, prompt: int, layer: int, point: str, pos: int, rank: int = 1) -> str:
    return site.ask(
        """SELECT token FROM {lens} JOIN {model_vocab} USING (token_id)
           WHERE prompt_id = $prompt AND layer = $layer AND point = $point AND pos = $pos AND rank = $rank""".replace(
            "{model_vocab}", f"read_parquet('{site.runs}/routes/model/vocab.parquet')"
        ),
        prompt=prompt, layer=layer, point=point, pos=pos, rank=rank,
    )[0][0]  # fmt: skip


def test_from_the_catalogue_to_a_token_of_the_lens(page: Page, site):
    page.goto(site.url)
    card = page.locator("[data-run=routes]")
    expect(card).to_contain_text("60 prompts")
    card.get_by_test_id("run-open").click()
    expect(page.get_by_test_id("graph")).to_be_visible()

    # The route at the threshold that the page opens with, and at two others that the slider is moved to.
    (last,) = site.ask("SELECT n_tokens - 1 FROM {prompts} WHERE prompt_id = 0")[0]
    slider, field, shown = page.get_by_test_id("tau-slider"), page.get_by_test_id("tau-field"), ""
    for key in (None, "Home", "PageUp"):
        if key:
            slider.focus()
            slider.press(key)
            expect(field).not_to_have_value(shown)
        shown = field.input_value()
        tau = float(shown)
        expect_route(page, route(site, 0, last, tau))
    assert "tau=" in page.url

    # Another target: its own route, and the lens of its last node.
    page.get_by_test_id("token-3").click()
    expect_route(page, route(site, 0, 3, float(field.input_value())))
    page.get_by_test_id("node-3-post-3").click()
    rows = page.get_by_test_id("lens-row")
    expect(rows).to_have_count(10)
    for rank in (1, 2, 10):
        expect(rows.nth(rank - 1)).to_contain_text(displayed(top_token(site, 0, 3, "post", 3, rank)))

    # The address holds all of it.
    again = page.context.new_page()
    again.goto(page.url)
    expect(again.get_by_test_id("lens-row")).to_have_count(10)
    expect_route(again, counted(page))


def test_modes_agree_with_the_stored_reach(page: Page, site):
    for tau in (0.01, 0.05, 0.2):
        for mode in ("summed", "per_head", "renormalised"):
            page.goto(f"{site.url}#/last/p/2?tau={tau}&mode={mode}")
            expect(page.get_by_test_id("mode-select")).to_have_value(mode)
            expect(page.get_by_test_id("tau-field")).to_have_value(str(tau))
            reach = "reach_summed" if mode == "summed" else "reach_per_head"
            nodes = f"SELECT count(*) FROM {{nodes}} WHERE prompt_id = 2 AND {reach} > $tau"
            (count,) = site.ask(nodes, run="last", tau=tau)[0]
            expect(page.get_by_test_id("route-count")).to_have_text(re.compile(rf"\b{count} nodes?, "))


def test_a_target_that_was_not_stored_says_how_to_store_it(page: Page, site):
    page.goto(f"{site.url}#/last/p/2")
    page.get_by_test_id("token-1").click()
    expect(page.get_by_test_id("notice")).to_contain_text("routes.targets=all")


def test_the_list_searches_filters_and_sorts(page: Page, site):
    page.goto(f"{site.url}#/routes/prompts")
    rows = page.get_by_test_id("prompt-row")
    expect(rows).to_have_count(50)
    page.get_by_label("Search the prompts").fill("cApital")
    (found,) = site.ask("SELECT count(*) FROM {prompts} WHERE text ILIKE '%capital%' OR source_id ILIKE '%capital%'")[0]
    expect(rows).to_have_count(found)
    page.get_by_label("Search the prompts").fill("")
    group, count = site.ask('SELECT "group", count(*) AS n FROM {prompts} GROUP BY 1 ORDER BY n, 1')[0]
    page.get_by_test_id("group-select").select_option(f"={group}")
    expect(rows).to_have_count(count)
    rows.first.click()
    expect(page.get_by_test_id("graph")).to_be_visible()


def test_keys_walk_prompts_and_thresholds(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile(r"/p/1"))
    before = float(page.get_by_test_id("tau-field").input_value())
    page.keyboard.press("=")
    expect(page.get_by_test_id("tau-field")).not_to_have_value(str(before))
    page.keyboard.press("m")
    expect(page.get_by_test_id("mode-select")).to_have_value("per_head")
    page.keyboard.press("[")
    expect(page).to_have_url(re.compile(r"/p/0"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"/p/1"))


def test_quick_presses_are_counted(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("graph")).to_be_visible()
    for _ in range(6):
        page.keyboard.press("]")
    expect(page).to_have_url(re.compile(r"/p/6$"))


@pytest.mark.parametrize("typed", ["abc", "-1", "5", ""])
def test_what_is_no_threshold_is_refused_in_words(page: Page, site, typed):
    page.goto(f"{site.url}#/routes/p/0")
    field = page.get_by_test_id("tau-field")
    expect(field).to_have_value("0.04")
    field.fill(typed)
    field.press("Enter")
    expect(field).to_have_value("0.04")
    expect(page.get_by_text("Not a number between 0.01 and 1")).to_be_visible()
    field.fill("0.1")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"tau=0\.1"))
    expect(page.get_by_text("Not a number")).to_be_hidden()


def test_threshold_keys_undo_each_other(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("tau-field")).to_have_value("0.04")
    page.keyboard.press("-")
    expect(page).to_have_url(re.compile("tau="))
    page.keyboard.press("=")
    expect(page.get_by_test_id("tau-field")).to_have_value("0.04")
    expect(page).not_to_have_url(re.compile("tau="))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("#/nowhere/p/0", "nowhere"),
        ("#/routes/p/4000", "4000"),
        ("#/routes/p/0?t=999", "999"),
        ("#/routes/p/0?tau=seven", "tau=seven"),
        ("#/routes/p/0/extra", "extra"),
        ("#/routes/p/abc", "routes/p/abc"),
        ("#/routes/p/0?open=9.post.99", "9.post.99"),
    ],
)
def test_what_is_not_there_is_said_in_words(page: Page, site, address, said):
    page.goto(site.url + address)
    spoken = page.get_by_test_id("message").or_(page.get_by_test_id("notice")).or_(page.get_by_test_id("banner"))
    expect(spoken.filter(has_text=said).first).to_be_visible()


def test_every_file_is_asked_for_once(page: Page, site):
    """The engine holds what was fetched; it must not ask the server again for each query."""
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    page.goto(f"{site.url}#/routes/p/0?tab=mlp")
    expect_route(page, route(site, 0, 14, 0.04))
    expect(page.get_by_test_id("neuron-row").first).to_be_visible()
    files = [one for one in asked if ".parquet" in one]
    assert files
    assert all(one.startswith("GET ") for one in files)
    assert len(files) == len(set(files))


def test_the_catalogue_lists_the_families_of_models(page: Page, site):
    page.goto(site.url)
    page.get_by_test_id("families").locator("summary").click()
    listed = json.loads((ROOT / "explorer" / "src" / "models.json").read_text())
    rows = page.get_by_test_id("family")
    expect(rows).to_have_count(len(listed))
    for i, family in enumerate(listed):
        expect(rows.nth(i)).to_contain_text(family["known_as"])
    mixed = next(i for i, family in enumerate(listed) if family["level"] == "block")
    expect(rows.nth(mixed)).to_contain_text("block level")
