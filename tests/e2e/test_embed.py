"""Views in the frame of another page: what is shown there, and where its links lead."""

import re

import pytest
from playwright.sync_api import FrameLocator, Page, expect
from test_accessibility import look_over


def framed(page: Page, address: str, width: int = 700, height: int = 480) -> FrameLocator:
    """The view in a frame of a page that is no part of the site."""
    page.set_content(f'<h1>A paper</h1><iframe title="view" width="{width}" height="{height}"></iframe>')
    page.locator("iframe").evaluate("(frame, address) => (frame.src = address)", address)
    return page.frame_locator("iframe")


def test_a_graph_in_a_frame(page: Page, site):
    frame = framed(page, f"{site.url}#/routes/p/0?embed=graph&sel=1.attn.14-2")
    graph = frame.get_by_test_id("graph")
    expect(graph).to_be_visible()
    expect(frame.get_by_test_id("outcome")).to_contain_text("prediction")
    for hidden in (".top", ".panel", ".where"):
        expect(frame.locator(hidden)).to_be_hidden()
    box = graph.bounding_box()
    assert box
    assert (box["width"], box["height"]) == (pytest.approx(700, abs=4), pytest.approx(250, abs=110))
    # All of it is in the frame: nothing to scroll to.
    over = "(html) => [html.scrollHeight - innerHeight, html.scrollWidth - innerWidth]"
    assert frame.locator("html").evaluate(over) == [0, 0]
    # The address of the frame follows what a reader does there, and stays a frame's.
    graph.press("=")
    graph.press("]")
    expect(frame.locator("h1.sr")).to_have_count(1)
    page.frames[1].wait_for_url(re.compile(r"/p/1\?.*embed=graph"))
    with page.expect_popup() as opening:
        frame.get_by_test_id("embed-open").click()
    whole = opening.value
    expect(whole.get_by_test_id("graph")).to_be_visible()
    expect(whole.locator(".top")).to_be_visible()
    assert "embed" not in whole.url
    assert "/p/1?" in whole.url
    whole.close()


def test_links_of_a_frame_open_beside_the_page(page: Page, site):
    frame = framed(page, f"{site.url}index.html?embed=panel#/routes/p/0?sel=1.attn.14-2&head=L1H2")
    expect(frame.get_by_test_id("head-detail")).to_be_visible()
    expect(frame.get_by_test_id("graph")).to_be_hidden()
    with page.expect_popup() as opening:
        frame.get_by_test_id("corpus-link").click()
    expect(opening.value.get_by_test_id("standing")).to_be_visible()
    assert "embed" not in opening.value.url
    opening.value.close()
    frame.get_by_test_id("head-row").nth(1).click()  # what changes the view itself stays in the frame
    page.frames[1].wait_for_url(re.compile(r"head=(?!L1H2).*embed=panel"))
    assert len(page.context.pages) == 1


def test_a_cell_of_a_framed_page_opens_beside_it(page: Page, site):
    frame = framed(page, f"{site.url}#/routes/corpus?embed=page", 900, 700)
    heat = frame.get_by_test_id("heat")
    expect(heat).to_be_visible()
    expect(frame.locator(".top")).to_be_hidden()
    heat.press("ArrowRight")
    with page.expect_popup() as opening:
        heat.press("Enter")
    expect(opening.value.locator("h1")).to_contain_text("Head L")
    opening.value.close()
    heat.press("/")
    expect(heat).to_be_focused()


def test_a_frame_fits_and_axe_finds_nothing(page: Page, site):
    for address in ("p/0?embed=graph", "p/0?embed=panel&sel=0.mlp.2", "names?embed=page"):
        look_over(page, f"{site.url}#/routes/{address}", "embed-open")
