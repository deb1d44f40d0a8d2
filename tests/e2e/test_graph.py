"""The route graph: kinds of edges, opened nodes, downloads, held against DuckDB on the same files."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, expect
from test_explorer import counted, displayed, expect_route, route


def model(site, sql: str, **values) -> list[tuple]:
    """Rows of the run `routes`; {vocab} and {neuron_tokens} are the model's tables."""
    for name in ("vocab", "neuron_tokens"):
        sql = sql.replace(f"{{{name}}}", f"read_parquet('{site.runs}/routes/model/{name}.parquet')")
    return site.ask(sql, **values)


def downloaded(page: Page, testid: str) -> bytes:
    with page.expect_download() as caught:
        page.locator(f".controls [data-testid={testid}]").click()
    return Path(caught.value.path()).read_bytes()


def test_kinds_of_edges_are_hidden_and_the_total_stays(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?tau=0.03")
    edges = page.locator(".edges path")
    expect_route(page, route(site, 0, 14, 0.03))
    nodes, total = counted(page)
    expect(edges).to_have_count(total)
    shown = {
        "resid": ".edges [data-key*=resid]",
        "mlp": ".edges [data-key*='.mlp.']",
        "self": ".edges [data-testid^=edge][data-key*=attn]",
    }
    for kind, selector in shown.items():
        before = page.locator(selector).count()
        assert before
        page.get_by_test_id(f"toggle-{kind}").uncheck()
        if kind != "self":
            expect(page.locator(selector)).to_have_count(0)
        expect_route(page, (nodes, total))
    expect(page).to_have_url(re.compile("hide=resid,mlp,self"))
    keys = edges.evaluate_all("(all) => all.map((el) => el.dataset.key)")
    ends = [key.split(".")[2].split("-") for key in keys]
    assert ends
    assert all(dst != src for dst, src in ends)
    page.reload()
    expect(edges).to_have_count(len(keys))
    expect(page.get_by_test_id("toggle-mlp")).not_to_be_checked()


def test_a_node_opens_into_its_heads(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?sel=1.mid.14")
    expect(page.get_by_test_id("lens-row").first).to_be_visible()
    page.keyboard.press("e")
    chips = page.get_by_test_id("expanded-head")
    want = model(
        site,
        """SELECT head, sum(h.share) AS share FROM {edges} h
           WHERE prompt_id = 0 AND layer = 1 AND kind = 'attn' AND dst = 14 AND head >= 0 AND src IN
             (SELECT src FROM {edges} WHERE prompt_id = 0 AND layer = 1 AND kind = 'attn' AND dst = 14 AND head = -1
                AND share > 0.04)
           GROUP BY head ORDER BY share DESC""",
    )
    expect(chips).to_have_count(len(want))
    for chip, (head, share) in zip(chips.all(), want, strict=True):
        assert chip.get_attribute("data-name") == f"L1H{head}"
        assert float(chip.get_attribute("data-share") or "nan") == pytest.approx(share, rel=1e-5)
        ((token,),) = model(
            site,
            """SELECT token FROM {writes} JOIN {vocab} USING (token_id) WHERE prompt_id = 0 AND layer = 1 AND pos = 14
               AND component = 'head' AND index = $head AND sign = 1 AND rank = 1""",
            head=head,
        )
        expect(chip.locator("title")).to_contain_text(f"promotes most {displayed(token)} ")
    # The edges that the heads stand for are drawn through them, the others stay.
    expect(page.locator(".edges [data-key^='1.attn.14-']")).to_have_count(0)
    expect(page.locator(".edges [data-key='1.resid_attn.14']")).to_have_count(1)
    page.keyboard.press("e")
    expect(chips).to_have_count(0)
    assert "open=" not in page.url


def test_a_node_opens_into_its_neurons(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?open=0.post.2")
    chips = page.get_by_test_id("expanded-neuron")
    want = model(
        site,
        """SELECT neuron, n.share, token FROM {neurons} n
           JOIN {neuron_tokens} t USING (layer, expert, neuron) JOIN {vocab} v ON v.token_id = t.token_id
           WHERE prompt_id = 0 AND layer = 0 AND pos = 2 AND t.rank = 1
             AND t.sign = CASE WHEN write_scale < 0 THEN -1 ELSE 1 END
           ORDER BY n.share DESC, neuron""",
    )
    expect(chips).to_have_count(7)
    for chip, (neuron, share, token) in zip(chips.all(), want, strict=False):
        assert chip.get_attribute("data-name") == f"L0N{neuron}"
        assert float(chip.get_attribute("data-share") or "nan") == pytest.approx(share, rel=1e-5)
        expect(chip.locator("title")).to_contain_text(f"promotes most {displayed(token)} ")
    rest = page.get_by_test_id("expanded-rest")
    assert float(rest.get_attribute("data-share") or "nan") == pytest.approx(sum(row[1] for row in want[7:]), rel=1e-4)
    chips.first.click()
    expect(page).to_have_url(re.compile(rf"neuron=L0N{want[0][0]}"))


def test_the_graph_downloads(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0?open=1.mid.14")
    expect(page.get_by_test_id("expanded-head").first).to_be_visible()
    nodes, edges = counted(page)
    text = downloaded(page, "download-svg").decode()
    root = ElementTree.fromstring(text)
    ns = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{ns}circle")) == nodes
    assert not re.search(r"var\(|color-mix|light-dark|oklab", text)
    assert 'fill="#ffffff"' in text
    assert "L1H3" in text
    assert downloaded(page, "download-png").startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "download-csv").decode("utf-8-sig"))))
    assert sum(row["part"] not in ("head", "neuron") for row in rows) == edges
    for row in rows:
        if row["part"] in ("head", "neuron"):
            continue
        ((share, token),) = site.ask(
            """SELECT share, tokens[to_pos + 1] FROM {edges} e JOIN {prompts} USING (prompt_id),
                      (SELECT $dst::INT AS to_pos) WHERE prompt_id = 0 AND layer = $layer AND kind = $kind AND dst = $dst
                      AND src = $src AND head = -1""",
            layer=int(row["layer"]), kind=row["part"], dst=int(row["to_pos"]), src=int(row["from_pos"]),
        )  # fmt: skip
        assert float(row["share"]) == pytest.approx(share, rel=1e-6)
        assert row["to_token"] == token


def test_a_wide_route_keeps_few_elements(page: Page, site):
    """At the floor a route of thousands of edges is painted; here the demo's stays below, so that each is an element."""
    page.goto(f"{site.url}#/routes/p/0?tau=0.01")
    expect_route(page, route(site, 0, 14, 0.01))
    expect(page.locator(".edges path")).to_have_count(counted(page)[1])
    page.get_by_test_id("fullscreen").click()
    expect(page.locator(".split:fullscreen")).to_have_count(1)
    page.get_by_test_id("fullscreen").click()
    expect(page.locator(".split:fullscreen")).to_have_count(0)


def test_hovering_gives_exact_numbers(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect_route(page, route(site, 0, 14, 0.04))
    page.get_by_test_id("mlp-0-2").hover()
    ((share,),) = site.ask("SELECT share FROM {edges} WHERE prompt_id = 0 AND layer = 0 AND kind = 'mlp' AND dst = 2")
    expect(page.get_by_role("tooltip")).to_contain_text(re.sub("0+$", "", f"{share:.9g}")[:8])


def test_a_resting_pointer_keeps_its_preview_when_the_graph_is_drawn_again(page: Page, site):
    """Answers that come late draw the graph anew under the pointer, as the keyboard does here."""
    page.goto(f"{site.url}#/routes/p/0")
    expect_route(page, route(site, 0, 14, 0.04))
    page.get_by_test_id("mlp-0-2").hover()
    tooltip = page.get_by_role("tooltip")
    expect(tooltip).to_contain_text("L0 MLP")
    page.keyboard.press("-")
    expect(page).to_have_url(re.compile("tau="))
    expect(tooltip).to_contain_text("L0 MLP")
    page.mouse.move(3, 3)
    expect(tooltip).to_have_count(0)


def test_zoom_is_in_the_address(page: Page, site):
    page.goto(f"{site.url}#/routes/p/0")
    expect_route(page, route(site, 0, 14, 0.04))
    place = page.locator(".canvas:not(.ground) .world")
    first = place.get_attribute("transform")
    for _ in range(2):
        page.get_by_role("button", name="Zoom in").click()
    expect(page).to_have_url(re.compile(r"zoom=[^&]*,1\.96(&|$)"))
    zoomed = place.get_attribute("transform")
    assert zoomed != first
    page.reload()
    expect_route(page, route(site, 0, 14, 0.04))
    assert numbers(place.get_attribute("transform")) == pytest.approx(numbers(zoomed), abs=1)
    page.get_by_test_id("mode-select").select_option("per_head")
    expect(page).to_have_url(re.compile("zoom=.*|.*mode=per_head"))
    assert numbers(place.get_attribute("transform")) == pytest.approx(numbers(zoomed), abs=1)
    page.get_by_role("button", name="Fit").click()
    expect(page).not_to_have_url(re.compile("zoom="))
    assert numbers(place.get_attribute("transform")) == pytest.approx(numbers(first), abs=1)


def numbers(transform: str | None) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", transform or "")]
