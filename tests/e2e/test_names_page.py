"""A person's names in a real browser: published, found, shown, changed, downloaded, published again; text is only text."""

import shutil
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect
from stage import flowatlas, serving
from test_accessibility import failures, fits

LABEL = "<img src=x onerror=\"document.title='hit'\">&amp; mover"
NOTE = "</script><script>document.title='hit'</script>\n[link](javascript:alert(1)) \u202e ' OR 1=1 --"
NAMES = {
    "L1H2": {"label": LABEL, "note": NOTE},
    "L1H0": "second mover",
    "L3 MLP": {"label": "next in order"},
    "L0N5": {"note": "nothing but this"},
}


@pytest.fixture(scope="module")
def folder_of_names(tmp_path_factory, runs) -> Path:
    """A site of one run whose components are called something."""
    folder = tmp_path_factory.mktemp("names")
    shutil.copytree(runs / "routes", folder / "named")
    (folder / "named" / "names.yaml").write_text(yaml.safe_dump(NAMES))
    flowatlas("site", "named", "--out", "site", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def address(folder_of_names):
    with serving(folder_of_names / "site") as url:
        yield f"{url}#/named/"


def shown(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".skeleton, [aria-busy]")).to_have_count(0)


def test_a_name_is_seen_wherever_its_component_is(page: Page, address):
    text = LABEL[:39]  # clipped in a line

    def called(view: str, place: str, words: str = text) -> None:
        shown(page, address + view)
        expect(page.locator(place).filter(has_text=words).first).to_be_visible()

    called("head/L1H2", "[data-testid=named]")
    expect(page.get_by_test_id("note")).to_contain_text("<U+202E>")
    called("head/L1H1", ".neighbours")
    called("corpus", "[data-testid=table-ranking] tbody")
    called("corpus?find=onerror", "[data-testid=row-ranking]")
    expect(page.get_by_test_id("row-ranking")).to_have_count(1)
    called("contrast", "[data-testid=table-contrast]")
    called("search", "main")
    called("search?q=second+mover", "[data-testid=found-name]", "L1H0")
    called("search?q=1.2", "[data-testid=found-head]")
    called("map?clusters=0", "[data-testid=table-differences]")
    called("p/0?tab=heads", "[data-testid=head-row] .called")
    called("p/0?sel=1.attn.14-2&head=L1H2", "[data-testid=head-detail] h2")
    expect(page.get_by_test_id("head-detail").get_by_test_id("note")).to_contain_text("javascript:alert(1)")
    called("p/0?sel=1.attn.14-2&open=1.mid.14", ".chips .called", "<img")
    called("p/0?sel=3.mlp.14", "[data-testid=panel] h2", "next in order")
    called("p/0?tab=trace", "[data-testid=panel] .trace", "mover")
    called("p/0?tab=effects", "[data-testid=panel] .lines", "next in order")
    called("p/0?pair=1&sel=1.attn.14-2", "[data-testid=pair-heads]", "mover")
    assert page.evaluate("document.images.length") == 0
    assert "hit" not in page.title()


def test_changes_are_discarded(page: Page, address):
    shown(page, f"{address}names?of=L2H2")
    page.get_by_test_id("name-label").fill("for a moment")
    page.get_by_test_id("name-keep").click()
    expect(page.get_by_test_id("table-names")).to_contain_text("for a moment")
    page.get_by_test_id("names-discard").click()
    expect(page.get_by_test_id("table-names")).not_to_contain_text("for a moment")
    expect(page.get_by_test_id("names-discard")).to_have_count(0)


def test_views_fit_and_axe_finds_nothing(page: Page, address):
    for view in ("names?of=L1H2", "head/L1H2", "search?q=mover", "p/0?sel=1.attn.14-2&head=L1H2&open=1.mid.14"):
        page.set_viewport_size({"width": 360, "height": 800})
        shown(page, address + view)
        if view.startswith("head"):
            page.get_by_test_id("name-editor").locator("summary").click()
        fits(page)
        assert failures(page) == []


def test_names_are_changed_kept_downloaded_and_published(page: Page, address, folder_of_names, tmp_path):
    """Last of all: it leaves a site of other names behind."""
    shown(page, f"{address}head/L1H2")
    page.get_by_test_id("name-editor").locator("summary").click()
    expect(page.get_by_test_id("name-label")).to_be_focused()
    page.get_by_test_id("name-label").fill("copies 'names' \\ \"quoted\": yes # no")
    page.get_by_test_id("name-note").fill("first\n\nthird 😀")
    page.get_by_test_id("name-label").press("Enter")
    expect(page.get_by_test_id("named")).to_contain_text("copies 'names'")
    page.reload()
    expect(page.get_by_test_id("named")).to_contain_text("copies 'names'")
    page.get_by_test_id("unpublished").get_by_role("link").click()
    expect(page.get_by_test_id("names-count")).to_contain_text("4 names; 1 change in this browser only")

    which = page.get_by_test_id("name-which")
    which.fill("L9H9")
    which.press("Enter")
    expect(page.get_by_test_id("name-refused")).to_contain_text("L0 to L3")
    which.fill("2 mlp")
    which.press("Enter")
    page.get_by_test_id("name-label").fill("middle")
    page.get_by_test_id("name-keep").click()
    expect(page.get_by_test_id("name-said")).to_have_text("Kept in this browser.")
    page.get_by_label("Change L3 MLP").click()
    page.get_by_test_id("name-remove").click()
    expect(page.get_by_test_id("row-names")).to_have_count(4)
    with page.expect_download() as downloading:
        page.get_by_test_id("names-download").click()
    file = tmp_path / "names.yaml"
    downloading.value.save_as(file)
    assert yaml.safe_load(file.read_text()) == {
        "L1H2": {"label": "copies 'names' \\ \"quoted\": yes # no", "note": "first\n\nthird 😀"},
        "L1H0": {"label": "second mover"},
        "L2 MLP": {"label": "middle"},
        "L0N5": {"note": "nothing but this"},
    }

    shutil.copy(file, folder_of_names / "named" / "names.yaml")
    flowatlas("check", "named", cwd=folder_of_names)
    flowatlas("site", "named", "--out", "site", cwd=folder_of_names)
    page.reload()
    expect(page.get_by_test_id("names-count")).to_have_text("4 names, as published.")
