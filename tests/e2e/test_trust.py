"""What is measured about the measurement, and the dataset's own figures: as manifest and Parquet have them."""

import json
import re

import duckdb
import pytest
from playwright.sync_api import Page, expect
from stage import altered, flowatlas, serving, until

from flowatlas.guard import TOLERANCE


def ask(runs, table: str, run: str, sql: str = "SELECT * FROM {t}") -> list[dict]:
    with duckdb.connect() as connection:
        found = connection.execute(sql.replace("{t}", f"'{runs}/{run}/stats/{table}.parquet'"))
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def manifest(site, run: str = "routes") -> dict:
    return json.loads((site.runs / run / "manifest.json").read_text())


def test_guard_versions_config_and_hashes(page: Page, site):
    page.goto(f"{site.url}#/routes/trust")
    checks = page.locator("[data-check]")
    expected = manifest(site)
    expect(checks).to_have_count(len(expected["guard"]))
    shown = checks.evaluate_all(
        "all => Object.fromEntries(all.map(one => [one.dataset.check, Number(one.dataset.value)]))"
    )
    assert shown == pytest.approx(expected["guard"])
    for name, version in expected["versions"].items():
        expect(page.get_by_test_id("versions")).to_contain_text(f"{name} {version}")
    for value in (expected["weights_hash"], expected["config_hash"]):
        expect(page.get_by_test_id("hashes")).to_contain_text(value)
    expect(page.get_by_test_id("run-facts")).to_contain_text("float32")
    page.get_by_text("The whole config").click()
    expect(page.get_by_test_id("config")).to_contain_text('model.dtype="float32"')
    expect(page.get_by_test_id("no-rejects")).to_contain_text("60 rows")


def test_the_tolerances_are_the_guards(page: Page, site):
    """The page names what the guard holds a run to."""

    for dtype, tolerance in TOLERANCE.items():
        name = str(dtype).removeprefix("torch.")
        with_dtype = altered(lambda index, name=name: index["manifest"]["model"].update(dtype=name))
        page.route(re.compile(r"/routes/index\.json"), with_dtype)
        page.goto(f"{site.url}#/")
        page.goto(f"{site.url}#/routes/trust")
        page.reload()
        mantissa, exponent = f"{tolerance:.1e}".split("e")
        said = f"for {name} up to {mantissa}e\N{MINUS SIGN}{-int(exponent)} is rounding"
        expect(page.get_by_text(said)).to_be_visible()
        page.unroute(re.compile(r"/routes/index\.json"))


@pytest.mark.parametrize("measure", ["dropped_share", "bias_share"])
def test_distributions_by_layer(page: Page, site, measure):
    page.goto(f"{site.url}#/routes/trust")
    bars = page.get_by_test_id(measure).locator(".bar-row")
    answer = ask(
        site.runs, "fidelity", "routes", f"SELECT * FROM {{t}} WHERE measure = '{measure}' ORDER BY layer, point"
    )
    expect(bars).to_have_count(len(answer))
    shown = bars.evaluate_all("rows => rows.map(row => Number(row.dataset.value))")
    assert shown == pytest.approx([row["mean"] for row in answer], rel=1e-6)


def test_the_figures_of_the_dataset(page: Page, site):
    page.goto(f"{site.url}#/routes/data")
    answer = ask(site.runs, "dataset", "routes", 'SELECT * FROM {t} ORDER BY "group" IS NOT NULL, "group"')
    rows = page.get_by_test_id("row-groups")
    expect(rows).to_have_count(len(answer))
    shown = rows.evaluate_all("rows => rows.map(row => [row.cells[0].textContent, Number(row.cells[1].textContent)])")
    assert shown == [[row["group"] or "all prompts", row["n"]] for row in answer]
    right = site.ask(
        """SELECT avg((answer_rank = 1)::INT) FROM {targets} t JOIN {prompts} p USING (prompt_id)
           WHERE target = p.targets[-1]"""
    )[0][0]
    assert answer[0]["accuracy"] == pytest.approx(right)
    expect(page.get_by_test_id("dataset-summary")).to_contain_text(f"{100 * right:g}% of 60 prompts")
    counted = page.get_by_test_id("spread-n_tokens").locator(".bin")
    lengths = dict(site.ask("SELECT n_tokens, count(*) FROM {prompts} GROUP BY 1"))
    expect(counted.first).to_be_attached()
    bins = counted.evaluate_all("bins => bins.map(bin => [Number(bin.dataset.low), Number(bin.dataset.n)])")
    assert sum(n for _, n in bins) == sum(lengths.values()) == 60
    group = answer[1]["group"]
    page.get_by_test_id("group").select_option(label=group)
    expect(page).to_have_url(re.compile("group="))
    expect(page.get_by_test_id("spread-n_tokens").locator("svg")).to_be_visible()
    until(
        page,
        """n => [...document.querySelectorAll('[data-testid=spread-n_tokens] .bin')]
            .reduce((sum, bin) => sum + Number(bin.dataset.n), 0) === n""",
        answer[1]["n"],
    )


@pytest.fixture(scope="module")
def rejecting(tmp_path_factory):
    """A site of a run that could not take all of its rows."""
    folder = tmp_path_factory.mktemp("rejects")
    texts = ["The capital of France is", "one two three four", "x " * 200, "The sum of"]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    flowatlas("run", "model=demo", "dataset=rows.jsonl", "run.dir=small", cwd=folder)
    flowatlas("site", "small", "--out", "site", cwd=folder)
    with serving(folder / "site") as url:
        yield url


def test_rejects_with_their_reasons(page: Page, rejecting):
    page.goto(f"{rejecting}#/small/trust")
    expect(page.get_by_test_id("reject-reasons")).to_contain_text("1 row of the dataset was not processed")
    row = page.get_by_test_id("row-rejects")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("64")
    page.goto(f"{rejecting}#/small/data")
    expect(page.get_by_test_id("dataset-summary")).to_contain_text("1 row")
    page.goto(f"{rejecting}#/small/map")
    expect(page.get_by_role("heading", name="Routes that prompts share")).to_be_visible()
    expect(page.locator(".inline-error")).to_have_count(0)
