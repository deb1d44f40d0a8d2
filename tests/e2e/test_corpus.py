"""The corpus page and contrasts in a real browser: what they show is held against DuckDB on the same Parquet."""

import csv
import io
import math
import re

import pytest
from numbers_on_page import ask_stats, fraction, signed
from playwright.sync_api import Page, expect
from stage import altered

TOP_HEADS = """SELECT layer, "index", mean_share, mean_share_low, mean_share_high, n FROM {importance}
               WHERE component = 'head' AND "group" IS NULL ORDER BY mean_share DESC, layer, "index" """


def rows_of(page: Page, table: str):
    return page.get_by_test_id(f"row-{table}")


def expect_ready(page: Page) -> None:
    """Everything that the page asked for has come."""
    expect(page.get_by_test_id("message")).to_have_count(0)
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator(".skeleton, [aria-busy=true]")).to_have_count(0)


def downloaded(page: Page, within, button: str) -> list[dict[str, str]]:
    with page.expect_download() as found:
        within.get_by_test_id(button).click()
    text = found.value.path().read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_ranking_of_heads(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus")
    want = ask_stats(site, TOP_HEADS)
    rows = rows_of(page, "ranking")
    expect(rows).to_have_count(len(want))
    for i, (layer, head, share, low, high, n) in enumerate(want):
        expect(rows.nth(i)).to_contain_text(f"L{layer}H{head}")
        expect(rows.nth(i)).to_contain_text(fraction(share))
        expect(rows.nth(i)).to_contain_text(f"{fraction(low)} to {fraction(high)}")
        expect(rows.nth(i)).to_contain_text(str(n))
    # Files hold the exact numbers.
    found = downloaded(page, page.locator(".data-table"), "download-csv")
    assert [row["component"] for row in found] == [f"L{layer}H{head}" for layer, head, *_ in want]
    for row, (_, _, share, low, high, _) in zip(found, want, strict=True):
        got = [float(row[name]) for name in ("mean_share", "mean_share_low", "mean_share_high")]
        assert got == pytest.approx([share, low, high], rel=1e-6)


def test_measure_group_and_threshold_are_in_the_address(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus")
    expect(rows_of(page, "ranking").first).to_be_visible()
    page.get_by_test_id("measure").select_option("frequency")
    expect(page).to_have_url(re.compile("measure=frequency"))
    page.get_by_test_id("group").select_option("=ioi")
    page.get_by_test_id("tau").get_by_text("0.08", exact=True).click()
    expect(page).to_have_url(re.compile(r"group=ioi&tau=0\.08"))
    want = ask_stats(
        site,
        """SELECT layer, "index", frequency, n_active, n FROM {activity} WHERE component = 'head' AND "group" = 'ioi'
           AND tau = 0.08::FLOAT ORDER BY frequency DESC, layer, "index" LIMIT 1""",
    )[0]
    first = rows_of(page, "ranking").first
    expect(first).to_contain_text(fraction(want[2]))
    expect(first).to_contain_text(str(want[3]))
    page.reload()
    expect(rows_of(page, "ranking").first).to_contain_text(fraction(want[2]))
    expect(page.get_by_test_id("measure")).to_have_value("frequency")


def test_heat_map_reads_by_keyboard_and_opens_a_head(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus")
    heat = page.get_by_test_id("heat")
    expect(heat).to_be_visible()
    heat.focus()
    heat.press("ArrowRight")  # onto the topmost layer's first head
    readout = page.get_by_test_id("heat-readout")
    expect(readout).to_contain_text("L3H0")
    heat.press("ArrowDown")
    heat.press("ArrowRight")
    share, low, high, n, stored = ask_stats(
        site,
        """SELECT mean_share, mean_share_low, mean_share_high, n, n_stored FROM {importance}
           WHERE component = 'head' AND "group" IS NULL AND layer = 2 AND "index" = 1""",
    )[0]
    for words in ("L2H1", fraction(share), f"{fraction(low)} to {fraction(high)}", f"{n} prompts", f"in {stored}"):
        expect(readout).to_contain_text(words)
    for _ in range(3):
        heat.press("ArrowRight")
    mlp = ask_stats(
        site,
        """SELECT mean_share FROM {importance} WHERE component = 'mlp' AND "group" IS NULL AND layer = 2""",
    )[0][0]
    expect(readout).to_contain_text("L2 MLP")
    expect(readout).to_contain_text(fraction(mlp))
    heat.press("ArrowLeft")
    expect(readout).to_contain_text("L2H3")
    heat.press("Enter")
    expect(page).to_have_url(re.compile("#/routes/head/L2H3"))


def test_cells_are_as_dark_as_their_shares(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus")
    largest = ask_stats(
        site,
        """SELECT component, max(mean_share) FROM {importance}
           WHERE component <> 'neuron' AND "group" IS NULL GROUP BY 1""",
    )
    for component, share in largest:
        strip = page.get_by_test_id(f"heat-{component}")
        assert math.isclose(float(strip.get_attribute("data-largest") or 0), share, rel_tol=1e-6)
        expect(strip.locator(".cell.b7")).to_have_count(1)


def test_stability_over_thresholds(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus?list=mlp")
    want = ask_stats(
        site,
        """SELECT rank_correlation FROM {stability} WHERE component = 'mlp' AND "group" IS NULL ORDER BY tau_a, tau_b""",
    )
    cells = page.get_by_test_id("stability-cell")
    expect(cells).to_have_count(len(want))
    for i, (value,) in enumerate(want):
        said = cells.nth(i).get_attribute("data-value")
        assert (said is None) == (value is None)
        if value is not None:
            assert math.isclose(float(said or "nan"), value, rel_tol=1e-6)


def test_neurons_sort_filter_and_show_all(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus?list=neuron")
    (count,) = ask_stats(site, """SELECT count(*) FROM {importance} WHERE component = 'neuron' AND "group" IS NULL""")[
        0
    ]
    rows = rows_of(page, "ranking")
    expect(rows).to_have_count(40)
    page.get_by_test_id("more-ranking").click()
    expect(rows).to_have_count(count)
    page.locator("[data-go='sort ranking 5']").click()  # how often it is active
    expect(page).to_have_url(re.compile(r"order=ranking\.5d"))
    (most,) = ask_stats(
        site,
        """SELECT max(frequency) FROM {activity} WHERE component = 'neuron' AND "group" IS NULL AND tau = 0.04::FLOAT""",
    )[0]
    expect(rows.first).to_contain_text(fraction(most))
    page.get_by_test_id("find-ranking").fill("L3N")
    expect(page).to_have_url(re.compile("find=L3N"))
    (third,) = ask_stats(
        site, """SELECT count(*) FROM {importance} WHERE component = 'neuron' AND layer = 3 AND "group" IS NULL"""
    )[0]
    expect(rows).to_have_count(third)


def test_contrast_volcano_and_table(page: Page, site):
    page.goto(f"{site.url}#/routes/contrast?a=induction")
    want = ask_stats(
        site,
        """SELECT component, layer, "index", difference, difference_low, difference_high, q FROM {contrasts}
           WHERE contrast = 'rest' AND a = 'induction' AND measure = 'mean_share' AND component <> 'neuron'""",
    )
    points = page.get_by_test_id("volcano").locator(".point")
    expect(points).to_have_count(len(want))
    heads = {f"L{layer}H{index}": rest for kind, layer, index, *rest in want if kind == "head"}
    for name, (difference, _, _, q) in heads.items():
        point = page.get_by_test_id("volcano").locator(f"[data-name={name}]")
        assert float(point.get_attribute("data-difference") or "nan") == pytest.approx(difference, rel=1e-6)
        assert float(point.get_attribute("data-q") or "nan") == pytest.approx(q, rel=1e-6)
        side = "even" if q > 0.05 else "plus" if difference > 0 else "minus"
        expect(point).to_have_class(re.compile(rf"\b{side}\b"))
    found = downloaded(page, page.locator(".data-table"), "download-csv")
    assert len(found) == len(want)
    for row in found:
        if row["component"] in heads:
            got = [float(row[name]) for name in ("difference", "difference_low", "difference_high", "q")]
            assert got == pytest.approx(heads[row["component"]], rel=1e-5)
    different = sum(q is not None and q <= 0.05 for *_, q in want)
    expect(page.get_by_test_id("contrast-words")).to_contain_text(f"{different} of {len(want)}")


def test_volcano_by_keyboard(page: Page, site):
    page.goto(f"{site.url}#/routes/contrast?a=ioi&measure=target_share")
    plot = page.get_by_test_id("volcano")
    expect(plot).to_be_visible()
    plot.focus()
    plot.press("ArrowRight")  # onto the most telling mark
    readout = page.get_by_test_id("volcano-readout")
    expect(readout).to_contain_text("difference")
    for _ in range(24):  # to the right end, however many lie there
        plot.press("ArrowRight")
    name, difference = ask_stats(
        site,
        """SELECT 'L' || layer || CASE component WHEN 'head' THEN 'H' || "index" WHEN 'mlp' THEN ' MLP' ELSE ' attention' END,
             difference
           FROM {contrasts} WHERE contrast = 'rest' AND a = 'ioi' AND measure = 'target_share' AND component <> 'neuron'
           ORDER BY difference DESC LIMIT 1""",
    )[0]
    expect(readout).to_contain_text(name)
    expect(readout).to_contain_text(f"+{fraction(difference)}")


def test_groups_either_way_and_pairs(page: Page, site):
    a, b = ask_stats(site, "SELECT a, b FROM {contrasts} WHERE contrast = 'groups' ORDER BY a, b LIMIT 1")[0]
    (difference,) = ask_stats(
        site,
        """SELECT difference FROM {contrasts} WHERE contrast = 'groups' AND a = $a AND b = $b AND measure = 'mean_share'
           AND component = 'head' AND layer = 1 AND "index" = 1""",
        a=a, b=b,
    )[0]  # fmt: skip
    for first, second, sign in ((a, b, 1), (b, a, -1)):
        page.goto(f"{site.url}#/routes/contrast?by=groups&a={first}&b={second}")
        point = page.get_by_test_id("volcano").locator("[data-name=L1H1]")
        expect(point).to_have_attribute("data-difference", re.compile("^-" if sign * difference < 0 else r"^\d"))
        assert float(point.get_attribute("data-difference") or "nan") == pytest.approx(sign * difference, rel=1e-6)
    page.get_by_test_id("by").get_by_text("pairs", exact=True).click()
    (pairs,) = ask_stats(
        site, """SELECT n_a FROM {contrasts} WHERE contrast = 'roles' AND "group" IS NULL ORDER BY a LIMIT 1"""
    )[0]
    expect(page.get_by_test_id("contrast-words")).to_contain_text(f"{pairs} pairs")
    # Effects of pairs: signed numbers of logits.
    page.get_by_test_id("measure").select_option("effect")
    effect = ask_stats(
        site,
        """SELECT difference FROM {contrasts} WHERE contrast = 'roles' AND "group" IS NULL AND measure = 'effect'
           AND component = 'head' AND layer = 1 AND "index" = 3""",
    )[0][0]
    row = rows_of(page, "contrast").filter(has=page.get_by_role("link", name="L1H3", exact=True))
    expect(row).to_contain_text(signed(effect))


def test_what_is_specific_to_a_group(page: Page, site):
    page.goto(f"{site.url}#/routes/contrast?list=neuron")
    want = dict(
        ask_stats(
            site,
            """SELECT a, count(*) FROM {contrasts} WHERE contrast = 'rest' AND specific AND measure = 'mean_share'
               AND component = 'neuron' GROUP BY 1""",
        )
    )
    assert want, "the demo has neurons that only one group uses"
    shown = page.get_by_test_id("specific").locator("dt")
    expect(shown).to_have_count(len(want))
    for i, (group, count) in enumerate(sorted(want.items())):
        expect(shown.nth(i)).to_have_text(f"{group} {count}")


def test_a_comparison_that_is_not_there_is_said(page: Page, site):
    page.goto(f"{site.url}#/routes/contrast?a=nothing")
    expect(page.get_by_test_id("not-here")).to_contain_text("not stored")
    page.goto(f"{site.url}#/routes/corpus?group=nothing")
    expect(page.get_by_text("No prompt is in the group")).to_be_visible()
    expect(page.get_by_test_id("group")).to_have_value("=nothing")


@pytest.mark.parametrize("view", ["corpus", "contrast", "head/L0H0", "neuron/L0N0", "search?q=L0H0"])
def test_a_run_without_statistics_says_how_to_make_them(page: Page, site, view):
    page.route("**/routes/index.json", altered(lambda index: index.update(stats=None)))
    page.goto(f"{site.url}#/routes/{view}")
    expect(page.get_by_test_id("no-stats")).to_contain_text("flowatlas stats")


def test_figures_leave_the_page(page: Page, site):
    page.goto(f"{site.url}#/routes/corpus?measure=effect")
    figure = page.locator("figure").filter(has=page.get_by_test_id("heat"))
    expect(figure).to_be_visible()
    found = downloaded(page, figure, "download-csv")
    want = ask_stats(
        site,
        """SELECT component, layer, "index", effect FROM {importance}
           WHERE component <> 'neuron' AND "group" IS NULL""",
    )
    got = {(row["component"], int(row["layer"]), int(row["index"])): float(row["effect"]) for row in found}
    assert got == {tuple(row[:3]): pytest.approx(row[3], rel=1e-5, abs=1e-7) for row in want}
    with page.expect_download() as svg:
        figure.get_by_test_id("download-svg").click()
    text = svg.value.path().read_text()
    assert text.startswith("<svg")
    assert "L3" in text
    link = figure.get_by_test_id("open-sql")
    expect(link).to_have_attribute("href", re.compile(r"^#/routes/sql\?q=.*stats\.importance"))
