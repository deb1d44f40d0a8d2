"""The panel's tabs in a real browser: every number is held against DuckDB's answer on the same files."""

import math
import re

import pytest
from playwright.sync_api import Locator, Page, expect
from stage import altered


def displayed(token: str) -> str:
    return token.replace(" ", "·").replace("\n", "↵")


def quantity(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value: float) -> str:
    return ("+" if value > 0 else "") + quantity(value)


def fraction(value: float) -> str:
    assert 1e-4 <= value <= 0.995
    return f"{float(f'{value:.2g}'):g}"


def ask(site, sql: str, run: str = "routes", **values):
    """Rows of a run; {vocab} and {neuron_tokens} are the model's tables, {atlas_tokens} is the neurons' vocabulary."""
    for name in ("vocab", "neuron_tokens"):
        sql = sql.replace(f"{{{name}}}", f"read_parquet('{site.runs}/{run}/model/{name}.parquet')")
    sql = sql.replace("{atlas_tokens}", f"read_parquet('{site.runs}/{run}/vocab/neuron_tokens/*.parquet')")
    return site.ask(sql, run, **values)


def strongest_edge(site) -> tuple[int, int, int]:
    """Layer, query and key of prompt 0's strongest attention edge between tokens into its last one."""
    return ask(
        site,
        """SELECT layer, dst, src FROM {edges} WHERE prompt_id = 0 AND kind = 'attn' AND head = -1 AND src <> dst
           AND dst = (SELECT n_tokens - 1 FROM {prompts} WHERE prompt_id = 0) ORDER BY share DESC LIMIT 1""",
    )[0]


def last_token(site) -> int:
    return ask(site, "SELECT n_tokens - 1 FROM {prompts} WHERE prompt_id = 0")[0][0]


def write_rows(
    site, layer: int, component: str, index: int, pos: int, sign: int, run: str = "routes"
) -> list[tuple[str, float]]:
    return ask(
        site,
        """SELECT token, score FROM {writes} JOIN {vocab} USING (token_id) WHERE prompt_id = 0 AND layer = $layer
           AND component = $component AND "index" = $index AND pos = $pos AND sign = $sign ORDER BY rank""",
        run,
        layer=layer, component=component, index=index, pos=pos, sign=sign,
    )  # fmt: skip


def expect_writes(lists: Locator, rows: list[tuple[str, float]]) -> None:
    items = lists.get_by_role("listitem")
    expect(items).to_have_count(len(rows))
    for i, (token, score) in enumerate(rows):
        expect(items.nth(i)).to_have_attribute("title", re.compile(r"^token id \d+: -?[\d.e-]+ logits$"))
        said = float(re.search(r": (\S+) logits", items.nth(i).get_attribute("title") or "")[1])  # type: ignore[index]
        assert math.isclose(said, score, rel_tol=1e-5)
        if len(displayed(token)) < 6:
            expect(items.nth(i)).to_contain_text(displayed(token))


def test_node_facts_chart_and_what_wrote_it(page: Page, site):
    last = last_token(site)
    page.goto(f"{site.url}#/routes/p/0?sel=3.post.{last}")
    panel = page.get_by_test_id("panel")
    expect(page.get_by_test_id("lens-row")).to_have_count(10)
    norm, entropy = ask(
        site,
        "SELECT norm, entropy FROM {nodes} WHERE prompt_id = 0 AND layer = 3 AND point = 'post' AND pos = $pos",
        pos=last,
    )[0]
    expect(panel).to_contain_text(quantity(norm))
    expect(panel).to_contain_text(f"{quantity(entropy)} nats")
    for sign, name in ((1, "writes-up"), (-1, "writes-down")):
        expect_writes(page.get_by_test_id(name), write_rows(site, 3, "mlp", 0, last, sign))
    # Hovering a layer of the chart tells rank and probability.
    rank, logit, lse = ask(
        site,
        """SELECT answer_rank, answer_logit, logsumexp FROM {nodes}
           WHERE prompt_id = 0 AND layer = 1 AND point = 'mid' AND pos = $pos""",
        pos=last,
    )[0]
    title = page.get_by_test_id("answer-chart").locator(f"[data-key='1.mid.{last}'] title").text_content() or ""
    assert f"rank {rank}," in title
    assert math.isclose(
        float(re.search(r"answer .*probability (\S+)", title)[1]),  # type: ignore[index]
        math.exp(logit - lse),
        rel_tol=1e-4,
    )
    page.get_by_test_id("answer-chart").locator(f"[data-key='1.mid.{last}']").click()
    expect(page).to_have_url(re.compile(rf"sel=1\.mid\.{last}"))


def test_edge_heads_maps_and_effects(page: Page, site):
    layer, dst, src = strongest_edge(site)
    page.goto(f"{site.url}#/routes/p/0?sel={layer}.attn.{dst}-{src}")
    rows = page.get_by_test_id("head-row")
    heads = ask(
        site,
        """SELECT head, share, attention FROM {edges} WHERE prompt_id = 0 AND kind = 'attn' AND head >= 0
           AND layer = $layer AND dst = $dst AND src = $src ORDER BY share DESC""",
        layer=layer, dst=dst, src=src,
    )  # fmt: skip
    expect(rows).to_have_count(len(heads))
    for i, (head, share, _) in enumerate(heads):
        expect(rows.nth(i)).to_contain_text(f"L{layer}H{head}")
        expect(rows.nth(i)).to_contain_text(fraction(share))
    # The last of them: chosen, and in the address.
    head = heads[-1][0]
    rows.last.click()
    expect(page).to_have_url(re.compile(rf"head=L{layer}H{head}"))
    expect(page.get_by_test_id("head-detail")).to_contain_text(f"L{layer}H{head}")
    for sign, name in ((1, "writes-up"), (-1, "writes-down")):
        expect_writes(page.get_by_test_id(name), write_rows(site, layer, "head", head, dst, sign))
    answer, foil = ask(
        site,
        """SELECT effect_answer, effect_foil FROM {logit_effects} WHERE prompt_id = 0 AND target = $dst
           AND layer = $layer AND component = 'head' AND "index" = $head""",
        dst=dst, layer=layer, head=head,
    )[0]  # fmt: skip
    for value in (answer, foil, answer - foil):
        expect(page.get_by_test_id("head-effect")).to_contain_text(signed(value))
    # Its maps: the largest of each, and the numbers under the pointer, off the route as on it.
    cells = ask(
        site,
        "SELECT dst, src, share, attention FROM {maps} WHERE prompt_id = 0 AND layer = $layer AND head = $head",
        layer=layer, head=head,
    )  # fmt: skip
    n = dst + 1
    for name, column in (("map-contribution", 2), ("map-attention", 3)):
        shown = page.get_by_test_id(name)
        largest = max(cells, key=lambda row, column=column: row[column])
        assert math.isclose(float(shown.get_attribute("data-largest") or 0), largest[column], rel_tol=1e-5)
        frame = shown.locator(".frame")
        frame.scroll_into_view_if_needed()
        box = frame.bounding_box()
        assert box
        page.mouse.move(
            box["x"] + box["width"] * (largest[1] + 0.5) / n, box["y"] + box["height"] * (largest[0] + 0.5) / n
        )
        said = page.get_by_test_id("map-readout")
        expect(said).to_contain_text(f"({largest[1]}) → ")
        numbers = [float(x) for x in re.findall(r"(?:share|attention) ([\d.e-]+)", said.inner_text())]
        assert numbers == pytest.approx(largest[2:], rel=1e-5)


def test_a_run_without_maps_shows_stored_edges_and_says_how_to_store_them(page: Page, site):
    layer, dst, src = strongest_edge(site)

    maps = {"stored": False, "floor": 0.005, "bucket_size": 1}
    page.route("**/routes/index.json", altered(lambda index: index.update(maps=maps)))
    page.goto(f"{site.url}#/routes/p/0?sel={layer}.attn.{dst}-{src}")
    expect(page.get_by_test_id("maps-missing")).to_contain_text("maps.store=true")
    expect(page.get_by_test_id("map-contribution")).to_be_visible()


# A run with the vocabulary of its neurons has more tokens of each than one that stored some for the neurons it names.
@pytest.mark.parametrize(
    ("run", "stored"), [("routes", "{atlas_tokens}"), ("last", "{neuron_tokens}")], ids=["atlas", "run"]
)
def test_mlp_neurons_signed_in_context(page: Page, site, run, stored):
    last = last_token(site)
    # A neuron that is negative somewhere on the prompt's last column: its tokens swap.
    layer, neuron, scale, rank = ask(
        site,
        """SELECT layer, neuron, write_scale, place FROM (SELECT *, row_number() OVER
             (PARTITION BY layer ORDER BY share DESC, expert, neuron) - 1 AS place FROM {neurons}
             WHERE prompt_id = 0 AND pos = $pos) ORDER BY write_scale LIMIT 1""",
        run,
        pos=last,
    )[0]
    page.goto(f"{site.url}#/{run}/p/0?sel={layer}.mlp.{last}")
    rows = page.get_by_test_id("neuron-row")
    (count,) = ask(
        site,
        "SELECT count(*) FROM {neurons} WHERE prompt_id = 0 AND pos = $pos AND layer = $layer",
        run,
        pos=last,
        layer=layer,
    )[0]
    expect(rows).to_have_count(count)
    expect_writes(page.get_by_test_id("writes-up").first, write_rows(site, layer, "mlp", 0, last, 1, run))
    rows.nth(rank).click()
    detail = page.get_by_test_id("neuron-detail")
    expect(detail).to_contain_text(f"L{layer}N{neuron}")
    expect(page).to_have_url(re.compile(rf"neuron=L{layer}N{neuron}"))
    for sign, name in ((1, "writes-up"), (-1, "writes-down")):
        want = ask(
            site,
            f"""SELECT v.token, score * $scale FROM {stored} JOIN {{vocab}} AS v USING (token_id)
                WHERE layer = $layer AND neuron = $neuron AND sign = $sign ORDER BY rank""",
            run,
            layer=layer, neuron=neuron, sign=sign if scale > 0 else -sign, scale=scale,
        )  # fmt: skip
        assert want
        assert all(score * sign > 0 for _, score in want)
        expect_writes(detail.get_by_test_id(name), want)
    places = ask(
        site,
        "SELECT pos FROM {neurons} WHERE prompt_id = 0 AND layer = $layer AND neuron = $neuron ORDER BY pos",
        run,
        layer=layer, neuron=neuron,
    )  # fmt: skip
    expect(detail.get_by_test_id("neuron-place")).to_have_count(len(places))
    # The same MLP's neurons by how much they write, and in the trace.
    page.get_by_test_id("by-strength").click()
    strongest = ask(
        site,
        """SELECT neuron, strength FROM {dominant_neurons} WHERE prompt_id = 0 AND target = $pos AND layer = $layer
           ORDER BY rank""",
        run,
        pos=last, layer=layer,
    )  # fmt: skip
    expect(rows).to_have_count(len(strongest))
    for place in (0, len(strongest) - 1):
        expect(rows.nth(place).locator("th")).to_contain_text(f"L{layer}N{strongest[place][0]}")
        expect(rows.nth(place).locator("td.num").first).to_have_text(quantity(strongest[place][1]))
    expect(page.get_by_test_id("strength-words")).to_contain_text("LM-Debugger")
    expect(detail).to_contain_text(f"L{layer}N{strongest[0][0]}")
    page.goto(f"{site.url}#/{run}/p/0?tab=trace&by=strength")
    expect(page.locator(".trace-block.mlp").nth(3 - layer).locator(".trace-part").first).to_contain_text(
        f"L{layer}N{strongest[0][0]}"
    )


def test_trace_reads_every_node_of_the_column(page: Page, site):
    last = last_token(site)
    page.goto(f"{site.url}#/routes/p/0?tab=trace")
    rows = page.get_by_test_id("trace-row")
    expect(rows).to_have_count(9)
    for layer, point in ((3, "post"), (1, "mid"), (-1, "post")):
        (token,) = ask(
            site,
            """SELECT token FROM {lens} JOIN {vocab} USING (token_id) WHERE prompt_id = 0 AND rank = 1
               AND layer = $layer AND point = $point AND pos = $pos AND NOT raw""",
            layer=layer, point=point, pos=last,
        )[0]  # fmt: skip
        row = page.locator(f"[data-node='{layer}.{point}.{last}']")
        expect(row.locator(".trace-token").first).to_contain_text(displayed(token))
    (layer, neuron) = ask(
        site,
        "SELECT layer, neuron FROM {neurons} WHERE prompt_id = 0 AND pos = $pos ORDER BY share DESC LIMIT 1",
        pos=last,
    )[0]
    page.get_by_role("button", name=re.compile(rf"^L{layer}N{neuron}\b")).click()
    expect(page.get_by_test_id("neuron-detail")).to_contain_text(f"L{layer}N{neuron}")
    page.go_back()
    expect(rows).to_have_count(9)
    rows.nth(1).get_by_role("button").click()
    expect(page).to_have_url(re.compile(rf"sel=3\.mid\.{last}.*tab=trace"))


def test_effects_map_and_the_largest_listed(page: Page, site):
    last = last_token(site)
    page.goto(f"{site.url}#/routes/p/0?tab=effects")
    figure = page.get_by_test_id("effects-map")
    for of, sql in (
        ("answer", "effect_answer"),
        ("difference", "effect_answer - effect_foil"),
        ("foil", "effect_foil"),
    ):
        page.get_by_test_id(f"of-{of}").click()
        want = ask(
            site,
            f"""SELECT CASE component WHEN 'head' THEN 'L' || layer || 'H' || "index" WHEN 'mlp' THEN 'L' || layer || ' MLP'
                  WHEN 'embed' THEN 'embedding' ELSE 'L' || layer || ' attention bias' END, {sql} AS effect
                FROM {{logit_effects}} WHERE prompt_id = 0 AND target = $pos ORDER BY abs(effect) DESC""",
            pos=last,
        )
        expect(figure.locator(".effect")).to_have_count(len(want))
        expect(page.get_by_test_id("effect-row").first).to_contain_text(want[0][0])
        expect(page.get_by_test_id("effect-row").first).to_contain_text(signed(want[0][1]))
        for name, value in want:
            said = float(figure.locator(f"[data-effect='{name}']").get_attribute("data-value") or "nan")
            assert math.isclose(said, value, rel_tol=1e-4, abs_tol=1e-5)
    assert "of=foil" in page.url
    name = next(name for name, _ in want if "H" in name)
    figure.locator(f"[data-effect='{name}']").click()
    expect(page.get_by_test_id("head-detail")).to_contain_text(name)
    expect(page.get_by_test_id("tab-heads")).to_have_attribute("aria-selected", "true")


def test_effects_and_the_constant_add_up_to_the_logit(page: Page, site):
    last = last_token(site)
    total, constant, logit = ask(
        site,
        """SELECT (SELECT sum(effect_answer) FROM {logit_effects} WHERE prompt_id = 0 AND target = $pos), v.logit_bias,
                  n.answer_logit
           FROM {targets} t JOIN {vocab} v ON v.token_id = t.answer_id JOIN {nodes} n ON n.prompt_id = 0
            AND n.layer = 3 AND n.point = 'post' AND n.pos = $pos WHERE t.prompt_id = 0 AND t.target = $pos""",
        pos=last,
    )[0]
    assert total + constant == pytest.approx(logit, abs=1e-3)
    page.goto(f"{site.url}#/routes/p/0?tab=effects")
    sums = page.get_by_test_id("effect-sum")
    for words in (f"{quantity(total)} logits", signed(constant), quantity(logit)):
        expect(sums).to_contain_text(words)


def test_neurons_say_what_they_add_up_to(page: Page, site):
    layer, pos, total = ask(
        site,
        "SELECT layer, pos, sum(share) FROM {neurons} WHERE prompt_id = 0 GROUP BY ALL ORDER BY count(*) DESC, 1, 2 LIMIT 1",
    )[0]
    page.goto(f"{site.url}#/routes/p/0?sel={layer}.mlp.{pos}")
    expect(page.get_by_test_id("neuron-sum")).to_contain_text(f"add up to {fraction(total)}")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sel=1.mid.14&tab=heads&head=L2H1", "L2H1"),
        ("sel=1.mid.14&tab=heads&head=L9H9", "L9H9"),
        ("sel=1.attn.14-2&head=L0H0", "L0H0"),
        ("sel=0.mlp.12&neuron=L0N99999", "L0N99999"),
        ("sel=0.mlp.12&neuron=L3N1", "L3N1"),
    ],
)
def test_a_name_that_is_not_here_is_said(page: Page, site, query, name):
    page.goto(f"{site.url}#/routes/p/0?{query}")
    expect(page.get_by_test_id("not-here")).to_contain_text(name)


def test_trace_follows_the_selected_token(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?tab=trace&sel=0.post.12")
    rows = page.get_by_test_id("trace-row")
    expect(rows).to_have_count(9)
    assert all(row.endswith(".12") for row in rows.evaluate_all("(all) => all.map((el) => el.dataset.node)"))
    tokens = ask(
        site,
        """SELECT token, prob FROM {lens} JOIN {vocab} USING (token_id) WHERE prompt_id = 0 AND rank <= 3
           AND layer = 0 AND point = 'post' AND pos = 12 AND NOT raw ORDER BY rank""",
    )
    chips = page.locator("[data-node='0.post.12'] .trace-token")
    for i, (token, prob) in enumerate(tokens):
        expect(chips.nth(i)).to_contain_text(displayed(token))
        expect(chips.nth(i)).to_contain_text(fraction(prob))
    page.get_by_role("button", name=re.compile("Trace the target")).click()
    expect(page.locator(f"[data-node='3.post.{last_token(site)}']")).to_be_visible()


def test_the_order_of_a_table_is_in_the_address_and_ends_with_it(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?sel=3.post.14")
    header = page.locator("table.lens").get_by_role("columnheader", name="token")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(header.get_by_role("button")).to_be_focused()
    expect(page).to_have_url(re.compile("order=lens"))
    page.reload()
    expect(header).to_have_attribute("aria-sort", "ascending")
    page.get_by_test_id("graph").locator("[data-key='2.post.14']").click()
    expect(page).to_have_url(re.compile(r"sel=2\.post\.14$"))
    expect(page.get_by_test_id("lens-row").first).to_be_visible()
    expect(page.locator("table.lens [aria-sort]")).to_have_count(0)


def test_block_level_is_said_where_neurons_are_missing(page: Page, site):
    mixed = altered(lambda index: index["manifest"]["model"].update(without_neurons=[0, 1, 2, 3]))
    page.route("**/routes/index.json", mixed)
    page.goto(f"{site.url}#/routes/p/0?sel=0.mlp.12&open=0.post.12")
    expect(page.get_by_test_id("block-level")).to_contain_text("block level")
    expect(page.locator(".stage")).to_contain_text("block level")


def test_on_a_phone_the_answer_to_a_tap_is_a_tap_away(page: Page, site):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{site.url}#/routes/p/0")
    jump = page.get_by_test_id("jump")
    expect(page.get_by_test_id("answer-chart")).to_be_attached()
    expect(jump).to_be_hidden()
    page.get_by_test_id("graph").locator("[data-key='2.post.14']").click()
    expect(jump).to_contain_text("L2 post")
    jump.click()
    expect(page.get_by_role("heading", name="L2 post")).to_be_in_viewport()
    expect(jump).to_contain_text("Back to the graph")
    jump.click()
    expect(page.get_by_test_id("graph").locator("[data-key='2.post.14']")).to_be_in_viewport()


def test_by_keyboard_alone(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect(page.get_by_test_id("answer-chart")).to_be_visible()
    page.get_by_test_id("tab-node").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("tab-heads")).to_be_focused()
    expect(page.get_by_test_id("head-row")).to_have_count(16)
    page.get_by_test_id("head-row").nth(1).get_by_role("button").press("Enter")
    expect(page).to_have_url(re.compile("head=L"))
    maps = page.locator("svg.maps")
    maps.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("map-readout")).to_contain_text("→")
    page.get_by_test_id("tab-heads").focus()
    for name in ("mlp", "trace", "effects"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_test_id(f"tab-{name}")).to_be_focused()
    page.locator("svg.effects").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("effect-readout")).to_contain_text("L3H0")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("head-detail")).to_contain_text("L3H0")
