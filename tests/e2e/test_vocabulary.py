"""The vocabulary of neurons and heads in a real browser: keywords, neurons, clusters and heads against the run's own tables."""

import re

import duckdb
from playwright.sync_api import Page, expect


def ask(site, table: str, sql: str, **values) -> list[tuple]:
    """DuckDB's answer on a table of the atlas in the folder of `routes`; {} in the SQL stands for it."""
    with duckdb.connect() as connection:
        parts = f"read_parquet('{site.runs}/routes/vocab/{table}/*.parquet')"
        return connection.execute(sql.format(parts), values or None).fetchall()


def scanned(site, words: list[str], *, every: bool, exact: bool, signs: tuple[int, ...]) -> set[tuple[str, str]]:
    """Neurons, with what they do to the words, by a look at every token of every one of them."""
    tokens: dict[tuple[int, int, int], list[str]] = {}
    for layer, neuron, sign, token in ask(site, "neuron_tokens", "SELECT layer, neuron, sign, token FROM {}"):
        if sign in signs:
            tokens.setdefault((layer, neuron, sign), []).append(token.strip().lower())
    enough = all if every else any
    return {
        (f"L{layer}N{neuron}", "promotes" if sign > 0 else "suppresses")
        for (layer, neuron, sign), own in tokens.items()
        if enough(any(token == word if exact else word in token for token in own) for word in words)
    }


NAMES = """(wanted) => wanted === [...document.querySelectorAll('[data-testid=row-keyword-neurons]')]
    .map((row) => [...row.cells].slice(0, 2).map((cell) => cell.innerText.trim()).join(' ')).sort().join()"""


def shown(page: Page, expected: set[tuple[str, str]], *, opened: bool = True) -> None:
    """The table of neurons has these, all of them; it shows the first 12 until it is `opened`."""
    if not opened:
        expect(page.get_by_test_id("more-keyword-neurons")).to_have_text(f"Show all {len(expected)}")
        page.get_by_test_id("more-keyword-neurons").click()
    expect(page.get_by_test_id("row-keyword-neurons")).to_have_count(len(expected))
    page.wait_for_function(NAMES, arg=",".join(sorted(" ".join(pair) for pair in expected)))


def test_keywords_to_a_neuron_its_cluster_and_its_place(page: Page, site):
    page.goto(f"{site.url}#/routes/search")
    page.get_by_test_id("component-search").fill("monday Friday")
    expect(page.get_by_test_id("words-found")).to_contain_text("friday")
    page.locator("[data-go='match all']").click()
    words = ["monday", "friday"]
    shown(page, scanned(site, words, every=True, exact=False, signs=(1, -1)), opened=False)
    page.locator("[data-go='sign suppressed']").click()
    shown(page, scanned(site, words, every=True, exact=False, signs=(-1,)))
    page.get_by_test_id("component-search").fill("mon day")
    shown(page, scanned(site, ["mon", "day"], every=True, exact=False, signs=(-1,)))
    page.locator("[data-go='exact exact']").click()
    shown(page, scanned(site, ["mon", "day"], every=True, exact=True, signs=(-1,)))
    page.get_by_test_id("component-search").fill("monday Friday")
    page.locator("[data-go='sign promoted']").click()
    expected = scanned(site, words, every=True, exact=True, signs=(1,))
    shown(page, expected)
    page.reload()  # all of it is in the address
    shown(page, expected, opened=len(expected) <= 12)
    row = page.get_by_test_id("row-keyword-neurons").filter(has=page.get_by_test_id("most-at")).first
    name = row.get_by_test_id("keyword-neuron").inner_text()
    row.get_by_test_id("keyword-neuron").click()
    layer, neuron = map(int, re.findall(r"\d+", name))
    sql = "SELECT token FROM {} WHERE layer = $l AND neuron = $n AND sign = 1 ORDER BY rank"
    tokens = ask(site, "neuron_tokens", sql, l=layer, n=neuron)
    rows = page.get_by_test_id("promoted").get_by_test_id("promoted-row")
    expect(rows).to_have_count(len(tokens))
    expect(rows.first).to_contain_text(tokens[0][0].replace(" ", "·"))
    ((cluster,),) = ask(site, "neurons", "SELECT cluster FROM {} WHERE layer = $l AND neuron = $n", l=layer, n=neuron)
    page.get_by_test_id("its-cluster").click()
    expect(page).to_have_url(re.compile(f"#/routes/cluster/{cluster}$"))
    ((size,),) = ask(site, "clusters", "SELECT n FROM {} WHERE cluster = $c", c=cluster)
    sql = "SELECT token, n FROM {} WHERE cluster = $c AND sign = 1 ORDER BY rank LIMIT 1"
    ((token, n),) = ask(site, "cluster_tokens", sql, c=cluster)
    expect(page.get_by_test_id("row-shared-promoted").first).to_contain_text(f"{token.replace(' ', '·')}")
    expect(page.get_by_test_id("row-shared-promoted").first).to_contain_text(f"{n} of {size}")
    member = page.get_by_test_id("row-members").filter(has=page.get_by_test_id("most-at")).first
    name = member.get_by_test_id("member").inner_text()
    member.get_by_test_id("most-at").click()
    expect(page.get_by_test_id("neuron-detail")).to_contain_text(name)
    page.get_by_test_id("corpus-link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Neuron {name}")
    clusters_on_routes(page, site)


def clusters_on_routes(page: Page, site) -> None:
    """The list of clusters: how often members were on a route, by a join written here, and which clustering it is."""
    used = f"read_parquet('{site.runs}/routes/stats/activations.parquet')"
    sql = f"""SELECT m.cluster, count(*), sum(a.n) FROM {{}} AS m JOIN {used} AS a
              ON a.layer = m.layer AND a.expert = m.expert AND a.neuron = m.neuron GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 1"""
    ((cluster, n_used, n_places),) = ask(site, "neurons", sql)
    page.goto(f"{site.url}#/routes/clusters?order=clusters.4d")
    row = page.get_by_test_id("row-clusters").first
    expect(row.get_by_test_id("to-cluster")).to_have_text(re.compile(rf"\b{cluster}$"))
    expect(row.locator("td").nth(3)).to_have_text(f"{n_places:,}")
    expect(row.locator("td").nth(3)).to_have_attribute("title", re.compile(f"^{n_used} of its "))
    expect(page.get_by_test_id("clustering")).to_have_text(re.compile(r"^[0-9a-f]{12}$"))


def test_a_heads_circuit_and_a_run_without_an_atlas(page: Page, site):
    sql = "SELECT layer, head, direction FROM {} WHERE side = 'writes' AND lower(trim(token)) = 'mary' ORDER BY 1, 2, 3"
    expected = [f"L{layer}H{head} {direction}" for layer, head, direction in ask(site, "head_tokens", sql)]
    page.goto(f"{site.url}#/routes/search?q=Mary&exact=1")
    heads = page.get_by_test_id("row-keyword-heads")
    expect(heads.first).to_be_visible()
    found = heads.evaluate_all(
        "rows => rows.map((row) => [...row.cells].slice(0, 2).map((cell) => cell.innerText.trim()).join(' '))"
    )
    assert set(found) <= set(expected)
    assert len(found) == min(8, len(expected))
    link = heads.filter(has=page.get_by_test_id("most-at")).first.get_by_test_id("keyword-head")
    layer, head = map(int, re.findall(r"\d+", link.inner_text()))
    link.click()
    for sign, name in ((1, "promoted"), (-1, "suppressed")):
        sql = 'SELECT source, "to" FROM {} WHERE layer = $l AND head = $h AND sign = $s ORDER BY place LIMIT 10'
        rows = page.get_by_test_id(f"row-{name}-pairs")
        expect(rows).to_have_count(10)
        for i, (source, to) in enumerate(ask(site, "head_pairs", sql, l=layer, h=head, s=sign)):
            expect(rows.nth(i)).to_contain_text(source.replace(" ", "·"))
            expect(rows.nth(i)).to_contain_text(to.replace(" ", "·"))
    expect(page.get_by_test_id("row-directions")).to_have_count(8)
    ((copying,),) = ask(
        site, "heads", "SELECT any_value(copying) FROM {} WHERE layer = $l AND head = $h", l=layer, h=head
    )
    expect(page.get_by_test_id("copying")).to_contain_text("promotes" if copying > 0.5 else "copies")

    page.goto(f"{site.url}#/last/clusters")
    expect(page.get_by_test_id("no-atlas")).to_contain_text("flowatlas vocab last")
    page.goto(f"{site.url}#/last/search?q=Mary")
    expect(page.get_by_test_id("by-keyword")).to_contain_text("that this run stored")
    expect(page.get_by_test_id("row-keyword-neurons").first).to_contain_text("Mary")
