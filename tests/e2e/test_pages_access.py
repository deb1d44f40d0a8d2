"""The console, the map, the comparison, trust and data: axe-core finds nothing, nothing runs over the side, Tab reaches all."""

import pytest
from playwright.sync_api import Page, expect
from test_accessibility import LOADING, look_over

VIEWS = {
    "clusters": ("#/routes/clusters", "to-cluster"),
    "cluster": ("#/routes/cluster/3", "most-at"),
    "sql": ("#/routes/sql", "sql-table"),
    "chart": ("#/routes/sql?as=chart", "chart"),
    "sql error": ("#/routes/sql?q=SELECT", "sql-error"),
    "map": ("#/routes/map", "consensus"),
    "group": ("#/routes/map?clusters=0", "map-difference"),
    "data": ("#/routes/data", "spread-n_tokens"),
    "trust": ("#/last/trust", "audit-remove"),
    "removals": ("#/last/corpus", "effect-against-share"),
    "interventions": ("#/routes/interventions", "change-row"),
    "compare": ("#/compare/routes/last", "compared-prompts"),
}


def show(page: Page, site, view: str) -> None:
    address, shown = VIEWS[view]
    page.goto(site.url + address)
    expect(page.get_by_test_id(shown).first).to_be_visible()
    expect(page.locator(LOADING)).to_have_count(0)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_and_axe_finds_nothing(page: Page, site, view):
    address, shown = VIEWS[view]
    look_over(page, site.url + address, shown)


def test_every_figure_has_its_files_and_its_question(page: Page, site):
    """SVG, PNG, CSV and SQL beside each figure of these pages; the question is answered without a complaint."""
    for view in ("group", "data", "trust", "compare"):
        show(page, site, view)
        links = page.get_by_test_id("open-sql")
        assert links.count() == page.get_by_test_id("download-csv").count() > 1
        addresses = {link.get_attribute("href") for link in links.all()}
        for address in sorted(address for address in addresses if address):
            page.goto(site.url + address)
            expect(page.get_by_test_id("sql-row").first).to_be_visible()


def test_the_figures_of_a_prompt_have_their_question(page: Page, site):
    def answered(address: str) -> None:
        page.goto(site.url + address)
        expect(page.get_by_test_id("sql-row").first).to_be_visible()

    for view, at_least in (("", 2), ("?sel=1.attn.14-2", 3), ("?sel=0.mlp.2", 2), ("?tab=effects", 2), ("?pair=1", 2)):
        page.goto(f"{site.url}#/routes/p/0{view}")
        expect(page.get_by_test_id("pair-graph" if "pair" in view else "graph")).to_be_visible()
        links = page.get_by_test_id("open-sql").locator("visible=true")
        expect(links.nth(at_least - 1)).to_be_visible()
        addresses = []
        for link in links.all():
            link.hover()
            addresses.append(link.get_attribute("href") or "")
        assert all("prompt_id" in address for address in addresses)
        for address in addresses:
            answered(address)
