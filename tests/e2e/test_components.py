"""The pages of heads and neurons, and the search for them, in a real browser: numbers against DuckDB on the same Parquet."""

import re

import pytest
from numbers_on_page import ask_stats, fraction, signed
from playwright.sync_api import Page, expect

L1H2 = """component = 'head' AND layer = 1 AND "index" = 2"""


def displayed(token: str) -> str:
    return token.replace(" ", "·").replace("\n", "↵")


def test_importance_by_group(page: Page, site):
    page.goto(f"{site.url}#/routes/head/L1H2")
    for measure in ("mean_share", "effect"):
        page.get_by_test_id("measure").select_option(measure)
        want = ask_stats(
            site,
            f"""SELECT "group", {measure}, {measure}_low, {measure}_high FROM {{importance}}
                WHERE {L1H2} ORDER BY "group" NULLS FIRST""",
        )
        rows = page.get_by_test_id("by-group-row")
        expect(rows).to_have_count(len(want))
        show = fraction if measure == "mean_share" else signed
        for i, (group, value, low, high) in enumerate(want):
            expect(rows.nth(i)).to_contain_text(group or "all prompts")
            expect(rows.nth(i)).to_contain_text(show(value))
            expect(rows.nth(i)).to_contain_text(f"{show(low)} to {show(high)}")
            assert float(rows.nth(i).get_attribute("data-value") or "nan") == pytest.approx(value, rel=1e-6)


def test_standing_and_roles(page: Page, site):
    page.goto(f"{site.url}#/routes/head/L1H2")
    place, of = ask_stats(
        site,
        f"""SELECT place, n_heads FROM (SELECT *, rank() OVER (ORDER BY mean_share DESC) AS place, count(*) OVER () AS n_heads
            FROM {{importance}} WHERE component = 'head' AND "group" IS NULL) WHERE {L1H2}""",
    )[0]
    standing = page.get_by_test_id("standing")
    expect(standing).to_contain_text(f"#{place} of {of} heads")
    for source in ("edges", "maps"):
        page.locator(f"[data-go='source {source}']").click()
        want = ask_stats(
            site,
            """SELECT role, contribution, contribution_chance, attention, n_role, n_edges FROM {roles}
               WHERE layer = 1 AND head = 2 AND "group" IS NULL AND source = $source""",
            source=source,
        )
        assert len(want) == 7
        rows = page.get_by_test_id("row-roles")
        expect(rows).to_have_count(7)
        for role, contribution, chance, attention, n_role, n_edges in want:
            row = rows.filter(has=page.get_by_role("rowheader", name=role, exact=True))
            if contribution is not None:
                expect(row).to_contain_text(fraction(contribution))
                expect(row).to_contain_text(fraction(chance))
                expect(row).to_contain_text(fraction(attention))
            expect(row).to_contain_text(f"{n_role:,} of {n_edges:,}")


def test_pairs_promoted_and_kinds(page: Page, site):
    page.goto(f"{site.url}#/routes/head/L1H2")
    for table, pair in (("moves", "moves"), ("writes", "writes")):
        want = ask_stats(
            site,
            f"""SELECT source, "to", part FROM {{token_pairs}} WHERE {L1H2} AND pair = '{pair}' ORDER BY place""",
        )
        rows = page.get_by_test_id(f"row-{table}")
        expect(rows).to_have_count(min(10, len(want)))
        for i, (source, to, part) in enumerate(want[:10]):
            expect(rows.nth(i)).to_contain_text(displayed(source)[:20])
            expect(rows.nth(i)).to_contain_text(displayed(to)[:20])
            expect(rows.nth(i)).to_contain_text(fraction(part))
    for sign, name in ((1, "promoted"), (-1, "suppressed")):
        want = ask_stats(
            site, f"SELECT token, n, n_all FROM {{promoted}} WHERE {L1H2} AND sign = {sign} ORDER BY place"
        )
        rows = page.get_by_test_id(name).get_by_test_id("promoted-row")
        expect(rows).to_have_count(len(want))
        for i, (token, n, n_all) in enumerate(want):
            expect(rows.nth(i)).to_contain_text(displayed(token)[:20])
            expect(rows.nth(i)).to_contain_text(fraction(n / n_all))
    kinds = ask_stats(site, f"SELECT value, share FROM {{by_kind}} WHERE {L1H2} AND split = 'token' ORDER BY value")
    rows = page.get_by_test_id("kind-token-row")
    expect(rows).to_have_count(len(kinds))
    for kind, share in kinds:
        row = rows.filter(has_text=kind).first
        assert float(row.get_attribute("data-value") or "nan") == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("choice", ["top", "decile", "random"])
def test_examples_lead_to_their_prompts_and_back(page: Page, site, choice):
    page.goto(f"{site.url}#/routes/head/L1H2?pick={choice}")
    want = ask_stats(
        site,
        f"""SELECT prompt_id, dst, src, share FROM {{examples}} WHERE {L1H2} AND choice = '{choice}' ORDER BY place""",
    )
    items = page.get_by_test_id("example")
    expect(items).to_have_count(len(want))
    for i, (prompt_id, _, _, share) in enumerate(want):
        expect(items.nth(i)).to_have_attribute("data-id", str(prompt_id))
        assert float(items.nth(i).get_attribute("data-share") or "nan") == pytest.approx(share, rel=1e-6)
    prompt_id, dst, src, _ = want[0]
    first = items.first
    first.scroll_into_view_if_needed()
    expect(first.locator(".mini-route .pointed")).to_have_count(1)
    tokens = site.ask("SELECT tokens FROM {prompts} WHERE prompt_id = $id", id=prompt_id)[0][0]
    expect(first.locator("mark.to")).to_have_text(displayed(tokens[dst]))
    ((predicted,),) = site.ask(
        "SELECT predicted_id FROM {targets} WHERE prompt_id = $id AND target = $dst", id=prompt_id, dst=dst
    )
    ((text,),) = site.ask(
        f"SELECT token FROM read_parquet('{site.runs}/routes/model/vocab.parquet') WHERE token_id = $t", t=predicted
    )
    expect(first.get_by_test_id("example-predicts")).to_have_text(displayed(text))  # what its link opens
    first.click()
    # Every position of this run is explained, so the example is shown on the route of the prediction made where it writes.
    expect(page).to_have_url(re.compile(rf"#/routes/p/{prompt_id}\?t={dst}&sel=1\.attn\.{dst}-{src}&head=L1H2$"))
    expect(page.get_by_test_id(f"token-{dst}")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("head-detail")).to_contain_text("L1H2")
    link = page.get_by_test_id("corpus-link")
    expect(link).to_contain_text("corpus: #")
    link.click()
    expect(page).to_have_url(re.compile("#/routes/head/L1H2$"))
    expect(page.get_by_test_id("standing")).to_be_visible()


def test_a_neuron(page: Page, site):
    layer, neuron, positive = ask_stats(
        site, "SELECT layer, neuron, positive FROM {activations} ORDER BY n DESC, layer, neuron LIMIT 1"
    )[0]
    name = f"L{layer}N{neuron}"
    page.goto(f"{site.url}#/routes/neuron/{name}")
    expect(page.get_by_test_id("activation")).to_contain_text(fraction(positive))
    fires = ask_stats(
        site,
        """SELECT source FROM {token_pairs}
           WHERE component = 'neuron' AND layer = $layer AND "index" = $neuron ORDER BY place""",
        layer=layer, neuron=neuron,
    )  # fmt: skip
    rows = page.get_by_test_id("row-fires")
    expect(rows).to_have_count(len(fires))
    for i, (token,) in enumerate(fires):
        expect(rows.nth(i)).to_contain_text(displayed(token)[:20])
    item = page.get_by_test_id("example").first
    item.scroll_into_view_if_needed()
    expect(item.locator(".mini-route .pointed-square")).to_have_count(1)
    item.click()
    expect(page.get_by_test_id("neuron-detail")).to_contain_text(name)
    expect(page.get_by_test_id("corpus-link")).to_contain_text("corpus: #")


@pytest.mark.parametrize("name", ["head/L9H0", "head/L0H9", "neuron/L9N0"])
def test_what_the_model_has_not_is_said(page: Page, site, name):
    page.goto(f"{site.url}#/routes/{name}")
    expect(page.get_by_test_id("not-here")).to_contain_text("This model has no")


@pytest.mark.parametrize("typed", ["L1H2", "1.2", "L1.H2", "1:2", "l1h2"])
def test_search_by_name(page: Page, site, typed):
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("graph")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_test_id("find")).to_be_focused()
    page.keyboard.type(typed)
    page.keyboard.press("Enter")
    found = page.get_by_test_id("found-head").first
    expect(found).to_contain_text("L1H2")
    page.keyboard.press("ArrowDown")
    expect(found).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/routes/head/L1H2"))


def test_search_by_token_and_by_words(page: Page, site):
    token, layer, index = ask_stats(
        site,
        """SELECT token, layer, "index" FROM {promoted}
           WHERE sign = 1 AND component = 'head' AND length(trim(token)) > 3
           ORDER BY n / n_all DESC, layer, "index" LIMIT 1""",
    )[0]
    page.goto(f"{site.url}#/routes/search")
    field = page.get_by_test_id("component-search")
    expect(field).to_be_visible()
    field.fill(token.strip())
    expect(page).to_have_url(re.compile("q="))
    expect(page.get_by_test_id("found-head").filter(has_text=f"L{layer}H{index}").first).to_contain_text(
        displayed(token)
    )
    field.fill("capital of")
    (count,) = site.ask("SELECT count(*) FROM {prompts} WHERE contains(lower(text), 'capital of')")[0]
    expect(page.get_by_test_id("prompt-row")).to_have_count(min(12, count))
    expect(page.get_by_test_id("prompt-row").first).to_contain_text("capital of")


def test_a_key_pressed_while_the_page_still_loads_is_not_lost(page: Page, site):
    page.goto(f"{site.url}#/routes/prompts")
    expect(page.get_by_test_id("prompt-row").first).to_be_visible()
    held = []
    page.route("**/search-*.js", lambda route: held.append(route))
    with page.expect_request("**/search-*.js"):
        page.get_by_role("link", name="Components").click()
    page.keyboard.press("/")
    held[0].continue_()
    expect(page.get_by_test_id("component-search")).to_be_focused()
