"""Two prompts of a pair compared, held against DuckDB on the same files."""

import json
import re

import pytest
from playwright.sync_api import Page, expect
from stage import flowatlas, serving, until
from test_explorer import WALK, displayed


def stored(site, prompt: int) -> dict[str, float]:
    """Shares of a prompt's edges by key."""
    rows = site.ask("SELECT layer, kind, dst, src, share FROM {edges} WHERE prompt_id = $p AND head = -1", p=prompt)
    return {f"{a}.{b}.{c}" + (f"-{d}" if b == "attn" else ""): share for a, b, c, d, share in rows}


def on_route(site, prompt: int, target: int, tau: float) -> int:
    return site.ask(WALK, prompt=prompt, target=target, tau=tau)[0][1]


def test_the_difference_of_a_pair(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    page.get_by_test_id("pair-open").click()
    expect(page).to_have_url(re.compile("pair=1"))
    drawn = page.locator("[data-testid=pair-graph] [data-testid=pair-edge]")
    expect(drawn.first).to_be_attached()

    # Every drawn edge: here minus there, on one of the two routes at least.
    here, there = stored(site, 0), stored(site, 1)
    keys = drawn.evaluate_all("(all) => all.map((el) => el.dataset.key)")
    shown = drawn.evaluate_all("(all) => all.map((el) => Number(el.dataset.difference))")
    assert len(keys) >= max(on_route(site, 0, 14, 0.04), on_route(site, 1, 14, 0.04))
    for key, difference in zip(keys, shown, strict=True):
        assert difference == pytest.approx(here.get(key, 0) - there.get(key, 0), abs=1e-6)

    # The largest first, with both numbers.
    first = page.locator("[data-testid=pair-changes] tbody tr").first
    largest = max(keys, key=lambda key: abs(here.get(key, 0) - there.get(key, 0)))
    values = first.locator("td").evaluate_all("(all) => all.slice(1, 3).map((el) => Number(el.dataset.value))")
    assert values == pytest.approx([here.get(largest, 0), there.get(largest, 0)], abs=1e-6)

    # What both predict.
    rows = site.ask(
        """SELECT prompt_id, answer_prob, foil_prob, a.token, f.token FROM {targets} t JOIN {prompts} p USING (prompt_id)
           JOIN {vocab} a ON a.token_id = answer_id JOIN {vocab} f ON f.token_id = foil_id
           WHERE prompt_id <= 1 AND target = n_tokens - 1 ORDER BY 1""".replace(
            "{vocab}", f"read_parquet('{site.runs}/routes/model/vocab.parquet')"
        )
    )
    for line, (_, answer, foil, answer_token, foil_token) in zip(
        page.locator("[data-testid=pair-outcomes] tbody tr").all(), rows, strict=True
    ):
        titles = line.locator(".num").evaluate_all("(all) => all.map((el) => Number(el.title))")
        assert titles[1:] == pytest.approx([answer, foil], rel=1e-6)
        expect(line).to_contain_text(displayed(answer_token))
        expect(line).to_contain_text(displayed(foil_token))

    # The tokens that differ are marked, and no other.
    one, two = (row[0] for row in site.ask("SELECT tokens FROM {prompts} WHERE prompt_id <= 1 ORDER BY prompt_id"))
    differ = [token for pair in ((a, b) for a, b in zip(one, two, strict=True) if a != b) for token in pair]
    marked = page.locator(".pair-tokens .differs").all_inner_texts()
    assert sorted(marked) == sorted(displayed(token) for token in differ)

    page.keyboard.press("Escape")
    expect(page.get_by_test_id("graph").first).to_be_visible()
    expect(page.get_by_test_id("pair-graph")).to_be_hidden()


@pytest.mark.parametrize("mode", ["per_head", "renormalised"])
def test_in_every_mode_the_difference_is_of_stored_shares(page: Page, site, mode):
    here, there = stored(site, 0), stored(site, 1)
    page.goto(f"{site.url}#/routes/p/0?pair=1&mode={mode}")
    drawn = page.get_by_test_id("pair-edge")
    expect(drawn.first).to_be_attached()
    expect(page.get_by_test_id("pair-mode")).to_have_value(mode)
    for key, difference in drawn.evaluate_all(
        "(all) => all.map((el) => [el.dataset.key, Number(el.dataset.difference)])"
    ):
        assert difference == pytest.approx(here.get(key, 0) - there.get(key, 0), abs=1e-6)
    # What has no number is said to have none.
    cells = page.locator("[data-testid=pair-changes] tbody td:nth-child(-n+3)").filter(has_text="< 0.01")
    for cell in cells.all():
        assert cell.get_attribute("data-value") == ""


def test_threshold_and_mode_of_a_comparison(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?pair=1")
    drawn = page.get_by_test_id("pair-edge")
    expect(drawn.first).to_be_attached()
    page.get_by_test_id("pair-tau-field").fill("0.2")
    page.get_by_test_id("pair-tau-field").press("Enter")
    expect(page).to_have_url(re.compile(r"tau=0\.2"))
    want = [{key for key, share in stored(site, prompt).items() if share > 0.2} for prompt in (0, 1)]
    keys = set(drawn.evaluate_all("(all) => all.map((el) => el.dataset.key)"))
    assert keys
    assert keys <= want[0] | want[1]
    page.get_by_test_id("pair-mode").select_option("renormalised")
    expect(page).to_have_url(re.compile("mode=renormalised"))


def test_arrow_keys_and_previews_of_a_comparison(page: Page, site):
    here, there = stored(site, 0), stored(site, 1)
    page.goto(f"{site.url}#/routes/p/0?pair=1")
    graph = page.get_by_test_id("pair-graph")
    expect(graph.get_by_test_id("pair-edge").first).to_be_attached()
    keys = graph.get_by_test_id("pair-edge").evaluate_all("(all) => all.map((el) => el.dataset.key)")
    largest = max(keys, key=lambda key: abs(here.get(key, 0) - there.get(key, 0)))
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(re.compile(rf"sel={re.escape(largest)}"))
    expect(page.get_by_test_id("pair-detail")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(page).not_to_have_url(re.compile(rf"sel={re.escape(largest)}(&|$)"))
    # Every drawn edge has a preview where it is drawn.
    middle = """(el) => {
      const place = el.getPointAtLength(el.getTotalLength() / 2).matrixTransform(el.getScreenCTM());
      return [place.x, place.y];
    }"""
    preview = page.get_by_test_id("pair-preview")
    for key in (largest, next(key for key in keys if ".mlp." in key)):
        x, y = graph.locator(f"[data-key='{key}']").evaluate(middle)
        page.mouse.move(x, y)
        expect(preview).to_be_visible()
        expect(preview).to_contain_text("difference")
    x, y = graph.locator(f"[data-key='{largest}']").evaluate(middle)
    page.mouse.click(x, y)
    expect(page).to_have_url(re.compile("sel="))


def test_the_layers_stay_in_view_on_a_phone(page: Page, site):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{site.url}#/routes/p/0?pair=1&sel=1.attn.14-2")
    # Late data draws the labels anew, so the page is asked until they stand still.
    until(
        page,
        """() => ["emb", "L3"].every((label) => {
          const texts = [...document.querySelectorAll("[data-testid=pair-graph] text")];
          const box = texts.find((el) => el.textContent === label)?.getBoundingClientRect();
          return box && box.left >= 0 && box.right <= 60;
        })""",
    )
    # The answer to a tap is one tap away.
    page.get_by_test_id("jump").click()
    expect(page.get_by_test_id("pair-detail")).to_be_in_viewport()


def test_the_heads_of_an_edge_in_both(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?pair=1&sel=1.attn.14-2")
    rows = page.locator("[data-testid=pair-heads] tbody tr")
    want = dict(
        site.ask(
            "SELECT head, share FROM {edges} WHERE prompt_id = 0 AND layer = 1 AND dst = 14 AND src = 2 AND head >= 0"
        )
    )
    expect(rows.first).to_be_visible()
    for row in rows.all():
        head = int(row.locator("th").inner_text().removeprefix("L1H"))
        value = float(row.locator("td").first.get_attribute("data-value") or "nan")
        assert value == pytest.approx(want.get(head, 0), abs=1e-6)


def test_a_table_sorts_and_copies(page: Page, site):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}#/routes/p/0?pair=1")
    table = page.get_by_test_id("pair-changes")
    table.get_by_role("button", name="clean", exact=True).click()
    expect(table.get_by_role("columnheader", name="clean")).to_have_attribute("aria-sort", "descending")
    values = table.locator("tbody td:nth-child(2)").evaluate_all("(all) => all.map((el) => Number(el.dataset.value))")
    assert values == sorted(values, reverse=True)
    page.locator(".pair-right").get_by_test_id("copy-tsv").click()
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert lines[0] == "edge\tclean\tcorrupt\tdifference"
    assert [float(line.split("\t")[1] or 0) for line in lines[1:]] == pytest.approx(values)


def test_prompts_of_different_lengths_are_shown_below_each_other(page: Page, tmp_path):
    lines = [
        {"text": "The capital of France is", "pair": "a", "role": "short"},
        {"text": "The capital of the old kingdom of France is", "pair": "a", "role": "long"},
    ]
    (tmp_path / "two.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    dataset = ["dataset.name=two", f"dataset.path={tmp_path / 'two.jsonl'}", "dataset.columns.pair_id=pair"]
    flowatlas("run", "model=demo", *dataset, "dataset.columns.role=role", "run.dir=two", cwd=tmp_path)
    flowatlas("site", "two", "--out", "site", cwd=tmp_path)
    with serving(tmp_path / "site") as url:
        page.goto(f"{url}#/two/p/0?pair=1")
        expect(page.get_by_test_id("pair-note")).to_contain_text("cannot be aligned")
        graphs = page.locator(".pair").get_by_test_id("graph")
        expect(graphs).to_have_count(2)
        for graph in graphs.all():
            expect(graph.locator(".edges path").first).to_be_attached()
        expect(page.get_by_test_id("pair-graph")).to_have_count(0)


def test_the_key_for_the_comparison_counts_before_the_partner_is_known(page: Page, site):
    """The graph is there first, and a reader who presses p at once is not asked to press it again."""
    page.add_init_script(
        "const now = fetch; window.fetch = async (...a) => {"
        " if (String(a[0]?.url ?? a[0]).includes('/prompts')) await new Promise((go) => setTimeout(go, 1500));"
        " return now(...a); };"
    )
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("graph")).to_be_visible()
    assert page.get_by_test_id("pair-open").count() == 0
    page.keyboard.press("p")
    expect(page.get_by_test_id("pair-graph")).to_be_visible()
    expect(page).to_have_url(re.compile("pair=1"))
