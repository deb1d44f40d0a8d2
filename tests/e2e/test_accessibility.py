"""Every view in light and dark: axe-core finds no contrast, label or name failure; and all of it works from the keyboard."""

import re

import pytest
from playwright.sync_api import Page, expect
from stage import ROOT, until

AXE = ROOT / "explorer" / "node_modules" / "axe-core" / "axe.min.js"
LOADING = ".loading, .skeleton, [aria-busy]"
SETTLED = "document.getAnimations().every((a) => a.playState !== 'running')"
WIDTHS = (360, 768, 1280, 1920, 2560)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
VIEWS = {
    "catalogue": ("#/", "run-open"),
    "list": ("#/routes/prompts", "prompt-row"),
    "prompt": ("#/routes/p/0", "graph"),
    "node": ("#/routes/p/0?sel=3.post.14", "lens-row"),
    "edge": ("#/routes/p/0?sel=1.attn.14-2", "head-row"),
    "mlp": ("#/routes/p/0?sel=0.mlp.2", "panel"),
    "trace": ("#/routes/p/0?tab=trace", "panel"),
    "effects": ("#/routes/p/0?tab=effects", "panel"),
    "opened": ("#/routes/p/0?open=1.mid.14,0.post.2", "expanded-neuron"),
    "pair": ("#/routes/p/0?pair=1&sel=1.attn.14-2", "pair-heads"),
    "edits": ("#/routes/p/0?tab=edits", "edited-nodes"),
    "corpus": ("#/routes/corpus", "row-ranking"),
    "corpus effects": ("#/routes/corpus?measure=effect&list=mlp", "row-ranking"),
    "contrast": ("#/routes/contrast?a=induction", "volcano"),
    "contrast of pairs": ("#/routes/contrast?by=roles&list=neuron", "volcano"),
    "head": ("#/routes/head/L1H2", "row-roles"),
    "neuron": ("#/routes/neuron/L0N3", "row-fires"),
    "search": ("#/routes/search?q=Mary", "found-head"),
    "message": ("#/routes/p/4000", "message"),
}


def failures(page: Page) -> list[str]:
    """What axe finds on the page once all of it is there: everything in light, and colours in dark too."""
    expect(page.locator(LOADING)).to_have_count(0)
    page.evaluate(AXE.read_text())  # the page lets no script be put into it
    found = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", RULES)["violations"]
    page.emulate_media(color_scheme="dark")
    until(page, SETTLED)
    found += page.evaluate("axe.run(document, { runOnly: { type: 'rule', values: ['color-contrast'] } })")["violations"]
    page.emulate_media(color_scheme="light")
    return [
        f"{violation['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for violation in found
        for node in violation["nodes"][:4]
    ]


def fits(page: Page) -> None:
    """Nothing runs over the side of what is open, as wide as it is and in wider windows; leaves it at 1280 pixels."""
    for width in (*WIDTHS, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        until(page, "document.documentElement.scrollWidth <= innerWidth")  # what follows the width has followed


def look_over(page: Page, address: str, shown: str) -> None:
    """Open a view on a telephone, check that it fits there and wherever the window is made wider, and let axe look at it."""
    page.set_viewport_size({"width": WIDTHS[0], "height": 844})
    page.goto(address)
    expect(page.get_by_test_id(shown).first).to_be_attached()
    expect(page.locator(LOADING)).to_have_count(0)
    fits(page)
    expect(page.get_by_test_id(shown).first).to_be_visible()
    assert failures(page) == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_and_axe_finds_nothing(page: Page, site, view):
    address, shown = VIEWS[view]
    look_over(page, site.url + address, shown)


def test_the_sheet_of_keys(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.keyboard.press("?")
    sheet = page.get_by_test_id("key-sheet")
    expect(sheet).to_be_visible()
    for key in ("e", "p", "m", "f", "[", "]", "-", "=", "Esc", "/", "?"):
        expect(sheet.locator("kbd").get_by_text(key, exact=True).first).to_be_visible()
    assert failures(page) == []
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()


def test_from_the_catalogue_to_a_head_without_a_mouse(page: Page, site):
    page.goto(site.url)
    page.get_by_test_id("run-open").first.wait_for()
    reach(page, "[data-run=routes] [data-testid=run-open]")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.keyboard.press("ArrowUp")  # the target's last node
    expect(page).to_have_url(re.compile(r"sel=3\.post\.14"))
    expect(page.locator(".node:focus")).to_have_attribute("data-key", "3.post.14")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile(r"sel=1\.post\.14"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("e")
    head = page.get_by_test_id("expanded-head").first
    expect(head).to_be_visible()
    expect(page).to_have_url(re.compile(r"open=1\.mid\.14"))
    head.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"head=L1H\d"))
    page.keyboard.press("p")
    expect(page.get_by_test_id("pair-graph")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("capital")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("prompt-row").first).to_contain_text("capital")
    reach(page, "[data-testid=prompt-row] a, a[data-testid=prompt-row]", "ArrowDown")  # past the neurons by keyword
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("graph")).to_be_visible()


def reach(page: Page, selector: str, key: str = "Tab") -> None:
    """Press the key until the element has the focus."""
    for _ in range(60):
        if page.evaluate("(s) => document.activeElement?.matches(s) ?? false", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not reach {selector}")


def test_back_keeps_the_place_in_the_list(page: Page, site):
    page.goto(f"{site.url}#/routes/prompts")
    expect(page.get_by_test_id("prompt-row")).to_have_count(50)
    page.get_by_test_id("prompt-row").nth(40).scroll_into_view_if_needed()
    page.mouse.wheel(0, 300)
    page.wait_for_timeout(200)
    before = page.evaluate("scrollY")
    assert before > 300
    page.get_by_test_id("prompt-row").nth(40).get_by_role("link").click()
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.go_back()
    expect(page.get_by_test_id("prompt-row")).to_have_count(50)
    until(page, "(y) => Math.abs(scrollY - y) < 3", before)
