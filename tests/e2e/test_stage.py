"""What the graph's window shows, and its keys: the whole at first, zoom, opened nodes, walking edges, what is said."""

import re

import pytest
from playwright.sync_api import Page, expect
from test_explorer import expect_route, route
from test_graph import downloaded, model

PLACES = """(all) => all.map((el) => {
  const { left, top, width, height } = el.getBoundingClientRect();
  return [left + width / 2, top + height / 2, width];
})"""


def opened(page: Page, site, query: str = "") -> None:
    page.goto(f"{site.url}#/routes/p/0{query}")
    page.get_by_test_id("node-3-post-14").wait_for()
    expect_route(page, route(site, 0, 14, 0.04))


def places(page: Page, selector: str = ".node") -> list[list[float]]:
    """Middle and width on the screen."""
    return page.locator(selector).evaluate_all(PLACES)


def extent(found: list[list[float]], axis: int) -> float:
    return max(place[axis] for place in found) - min(place[axis] for place in found)


def stroke(page: Page) -> float:
    """Width on the screen of the strongest edge between tokens."""
    return page.get_by_test_id("edge-1-attn-14-2").evaluate(
        "(el) => parseFloat(getComputedStyle(el).strokeWidth) * el.getScreenCTM().a"
    )


def expect_all_inside(page: Page) -> None:
    box = page.get_by_test_id("graph").bounding_box()
    assert box
    found = [*places(page), *places(page, ".square"), *places(page, ".outcome")]
    assert len(found) > 30
    for x, y, _ in found:
        assert box["x"] < x < box["x"] + box["width"]
        assert box["y"] < y < box["y"] + box["height"]


def expect_selected(page: Page, key: str) -> None:
    expect(page).to_have_url(re.compile(rf"sel={re.escape(key)}(&|$)"))


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1000), (390, 844)])
def test_the_whole_route_is_in_the_window(page: Page, site, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    opened(page, site)
    expect_all_inside(page)
    box = page.get_by_test_id("graph").bounding_box()
    assert box
    assert extent(places(page), 1) > 0.55 * box["height"]
    opened(page, site, "?open=0.post.2,1.mid.14,1.post.12")
    expect(page.get_by_test_id("expanded-neuron").first).to_be_visible()
    expect(page.get_by_test_id("expanded-head").first).to_be_visible()
    expect_all_inside(page)


def test_zooming_sets_things_apart(page: Page, site):
    opened(page, site)
    before = places(page)
    width = stroke(page)
    assert width > 3
    for _ in range(3):
        page.keyboard.press("z")
    expect(page).to_have_url(re.compile("zoom="))
    after = places(page)
    for i in (0, 1):
        assert extent(after, i) == pytest.approx(1.4**3 * extent(before, i), rel=0.02)
    page.wait_for_timeout(300)  # nodes take their size when the zoom rests
    for (_, _, small), (_, _, large) in zip(before, places(page), strict=True):
        assert large == pytest.approx(small, abs=1)
    assert stroke(page) == pytest.approx(width, rel=0.01)
    page.keyboard.press("d")
    assert places(page)[0][0] < after[0][0] - 20
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("zoom="))
    assert places(page) == before


def test_keys_walk_edges_and_squares(page: Page, site):
    opened(page, site)
    into = model(
        site,
        """SELECT kind, src, share FROM {edges} WHERE prompt_id = 0 AND layer = 1 AND dst = 14 AND head = -1
           AND kind IN ('attn', 'resid_attn') AND share > 0.04 ORDER BY share DESC""",
    )
    keys = [f"1.attn.14-{src}" if kind == "attn" else "1.resid_attn.14" for kind, src, _ in into]
    assert len(keys) > 1
    page.get_by_test_id("node-1-mid-14").click()
    expect_selected(page, "1.mid.14")
    page.get_by_test_id("graph").focus()
    page.keyboard.press("Enter")
    expect_selected(page, keys[0])
    for key in keys[1:]:
        page.keyboard.press("ArrowRight")
        expect_selected(page, key)
    page.keyboard.press("ArrowRight")  # the last: it stays
    expect_selected(page, keys[-1])
    page.keyboard.press("ArrowLeft")
    expect_selected(page, keys[-2])
    page.keyboard.press("ArrowUp")
    expect_selected(page, "1.mid.14")
    expect(page.locator(".node:focus")).to_have_attribute("data-key", "1.mid.14")
    page.keyboard.press("Enter")  # on the node that has the focus
    expect_selected(page, keys[0])
    page.get_by_test_id("node-0-post-2").click()
    expect_selected(page, "0.post.2")
    page.keyboard.press("Enter")
    expect_selected(page, "0.mlp.2")
    page.keyboard.press("e")
    expect(page.get_by_test_id("expanded-neuron").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"open=0\.post\.2"))


def test_opening_says_why_not(page: Page, site):
    opened(page, site)
    note = page.get_by_test_id("stage-note")
    page.keyboard.press("e")
    expect(note).to_contain_text("Select a node first")
    page.get_by_test_id("node-3-mid-14").click()
    expect(note).to_be_hidden()
    page.keyboard.press("e")
    expect(note).to_contain_text("no attention edge into it is on the route")
    assert "open=" not in page.url
    page.goto(f"{site.url}#/routes/p/0?open=3.post.13")
    expect(note).to_contain_text("is not on this route")


def test_escape_clears_the_selection_then_what_is_opened(page: Page, site):
    opened(page, site, "?sel=1.mid.14&open=1.mid.14,0.post.2")
    expect(page.get_by_test_id("expanded-head").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("sel="))
    expect(page.get_by_test_id("expanded-head").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("open="))
    expect(page.locator(".chip-node")).to_have_count(0)
    page.go_back()
    expect(page.get_by_test_id("expanded-head").first).to_be_visible()
    page.get_by_test_id("expand").click()  # with nothing selected it closes all
    expect(page.locator(".chip-node")).to_have_count(0)


def test_what_is_hidden_is_said(page: Page, site):
    opened(page, site)
    words = page.get_by_test_id("hiding")
    expect(words).to_have_text("")
    edges = page.locator(".edges path").count()
    for key in "123":
        page.keyboard.press(key)
    expect(words).to_contain_text("residual, MLP, self")
    gone = edges - page.locator(".edges path").count()
    expect(words).to_contain_text(f"{gone} edges of the route hidden")
    page.keyboard.press("f")
    expect(words).to_contain_text("off-route edges hidden")
    theme = page.get_by_test_id("theme")
    before = theme.get_attribute("title")
    page.keyboard.press("t")
    expect(theme).not_to_have_attribute("title", before or "")


def test_downloads_are_in_light_ink_whatever_the_theme(page: Page, site):
    opened(page, site, "?sel=1.attn.14-2&tab=heads&head=L1H3&open=0.post.2")
    expect(page.get_by_test_id("expanded-neuron").first).to_be_visible()
    expect(page.get_by_test_id("map-contribution")).to_be_visible()
    page.keyboard.press("z")
    expect(page).to_have_url(re.compile("zoom="))
    figures = [".controls [data-testid=download-svg]", ".panel [data-testid=download-svg]"]

    def texts() -> list[str]:
        found = []
        for selector in figures:
            with page.expect_download() as caught:
                page.locator(selector).first.click()
            found.append(caught.value.path().read_text())
        return found

    light = texts()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert texts() == light
    expect(page.locator("html")).not_to_have_attribute("data-theme", re.compile("."))
    assert downloaded(page, "download-png").startswith(b"\x89PNG")
