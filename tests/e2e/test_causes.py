"""Knock-outs and the audit on the page: as Parquet has them, from a prompt to the corpus to what can be trusted."""

import re

import duckdb
import pytest
from playwright.sync_api import Locator, Page, expect


def ask(site, path: str, sql: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(sql.replace("{t}", f"read_parquet('{site.runs}/last/{path}.parquet')")).fetchall()


def test_from_a_prompts_removals_to_the_corpus(page: Page, site):
    """The Effects tab lists what is missed most; another way of removing is in the address; the corpus ranks the same."""
    page.goto(f"{site.url}#/last/p/2?tab=effects")
    rows = page.get_by_test_id("removal-row")
    sql = (
        "SELECT effect_answer FROM {t} WHERE prompt_id = 2 AND removal = '%s' ORDER BY abs(effect_answer) DESC LIMIT 10"
    )
    for removal in ("mean", "zero"):
        if removal == "zero":
            page.get_by_test_id("removal").get_by_role("button", name="zero").click()
            expect(page).to_have_url(re.compile("removal=zero"))
        expected = [row[0] for row in ask(site, "knockouts/*", sql % removal)]
        expect(rows.first.locator("[data-value]")).to_have_attribute(
            "data-value", re.compile(f"^{expected[0]:.4f}"[:7])
        )
        shown = rows.evaluate_all("rows => rows.map(row => Number(row.querySelector('[data-value]').dataset.value))")
        assert shown == pytest.approx(expected, rel=1e-5)
    expect(page.get_by_test_id("effect-against-share").locator("circle.hit")).to_have_count(20)
    rows.first.get_by_role("button").click()
    expect(page).to_have_url(re.compile("sel="))

    page.goto(f"{site.url}#/last/corpus")
    sql = "SELECT rank_correlation FROM {t} WHERE \"group\" IS NULL AND removal = 'mean' AND measure = '%s' AND side = '%s'"
    words = page.get_by_test_id("agreement-words")
    for share, side in (("mean_share", "size"), ("direct", "size"), ("direct", "signed")):
        page.get_by_test_id("share").select_option(share)
        page.get_by_test_id("side").select_option(side)
        ((expected,),) = ask(site, "stats/agreement", sql % (share, side))
        expect(words).to_contain_text(f"{expected:.2f}".replace("-", "\N{MINUS SIGN}"))
    expect(page).to_have_url(re.compile("share=direct"))
    expect(page.get_by_test_id("row-removals")).to_have_count(20)


def shown_parts(points: Locator) -> list[float]:
    titles = " ".join(points.locator("title").all_text_contents())
    found = re.findall(r"part that (?:is there|goes) (\S+)", titles)
    return sorted(float(number.replace("\N{MINUS SIGN}", "-")) for number in found)


def test_the_audits_curves(page: Page, site):
    """Every point of both figures; another measure; a run that was not audited says how."""
    page.goto(f"{site.url}#/last/trust")
    sql = "SELECT chosen, tau, part FROM {t} WHERE mode = '%s' AND measure = '%s' AND \"group\" IS NULL AND part IS NOT NULL"
    for measure in ("logprob", "logit"):
        page.get_by_test_id("audit-measure").select_option(measure)
        for mode in ("keep", "remove"):
            expected = ask(site, "audit/curves", sql % (mode, measure))
            figure = page.get_by_test_id(f"audit-{mode}")
            points = figure.locator("circle.hit")
            expect(points).to_have_count(len(expected))
            expect(figure.get_by_test_id(f"verdict-{mode}")).to_contain_text("random:")
            wanted = pytest.approx(sorted(part for _, _, part in expected), rel=1e-5)
            for _ in range(200):  # the figure of another measure has as many points
                if shown_parts(points) == wanted:
                    break
                page.wait_for_timeout(50)
            assert shown_parts(points) == wanted
    expect(page).to_have_url(re.compile("measure=logit"))
    page.get_by_text("All numbers of the audit").click()
    expect(page.get_by_test_id("row-audit").first).to_be_visible()
    page.get_by_test_id("audit-keep").get_by_test_id("open-sql").click()
    expect(page).to_have_url(re.compile("/sql"))
    page.goto(f"{site.url}#/routes/trust")
    expect(page.get_by_test_id("no-audit")).to_contain_text("flowatlas audit routes")
