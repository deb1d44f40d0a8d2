"""The page in Firefox: the engine answers, the graph is drawn and walked, the corpus is read, names outlast the page."""

import pytest
from firefox import Firefox, executable, firefox
from numbers_on_page import ask_stats, fraction

pytestmark = pytest.mark.skipif(
    executable() is None, reason="there is no Firefox (Debian: apt-get install firefox-esr)"
)

LEFT, ENTER = "\ue012", "\ue007"


@pytest.fixture(scope="module")
def browser():
    with firefox(executable() or "") as page:
        yield page


@pytest.fixture
def page(browser: Firefox):
    """Nothing that a test did may have ended in words about an error."""
    yield browser
    assert browser.script("return document.querySelectorAll('[role=alert]:not(:empty)').length") == 0


def test_a_prediction_is_opened_and_walked(page: Firefox, site):
    page.goto(site.url)
    page.text("run-card", "routes")
    page.click("[data-run=routes] [data-testid=run-open]")
    sql = """SELECT tokens[len(tokens)], predicted_prob FROM {prompts} AS p JOIN {targets} AS t USING (prompt_id)
             WHERE prompt_id = 0 AND target = n_tokens - 1"""
    ((text, probability),) = site.ask(sql)
    assert fraction(probability) in page.text("outcome", "prediction")
    assert text.strip() in page.script("return document.querySelector('.strip').innerText")
    ((edges,),) = site.ask(
        "SELECT count(DISTINCT (layer, kind, dst, src)) FROM {edges} WHERE prompt_id = 0 AND head = -1"
    )
    before = int(page.text("route-count", "edges").split(", ")[1].split()[0])
    assert 0 < before <= edges
    page.press("[data-testid=graph]", "=" * 25)  # a higher threshold
    count = "document.querySelector('[data-testid=route-count]').innerText.match(/([0-9]+) edges/)[1]"
    page.wait(f"return Number({count}) < arguments[0]", before)
    page.press("[data-testid=graph]", LEFT)
    page.wait("return location.hash.includes('sel=')")
    page.goto(f"{site.url}#/routes/p/0?sel=1.attn.14-2")
    page.click("[data-testid=head-row] td")  # Firefox clicks no row of a table as such
    assert "head=" in page.wait("return document.querySelector('[data-testid=head-detail]') && location.hash")


def test_the_corpus_and_the_console_answer(page: Firefox, site):
    page.goto(f"{site.url}#/routes/corpus")
    name, share = ask_stats(
        site,
        """SELECT 'L' || layer || 'H' || "index", mean_share FROM {importance}
           WHERE component = 'head' AND "group" IS NULL ORDER BY mean_share DESC LIMIT 1""",
    )[0]
    first = page.text("row-ranking", name)
    assert fraction(share) in first
    assert page.script("return document.querySelector('[data-testid=heat]').getBoundingClientRect().width") > 200
    ((rows,),) = site.ask("SELECT count(*) FROM {edges}")
    page.goto(f"{site.url}#/routes/sql?q=SELECT+count(*)+AS+n+FROM+edges")
    assert str(rows) in page.text("sql-row")


def test_a_name_outlasts_the_page(page: Firefox, site):
    page.goto(f"{site.url}#/routes/head/L1H2")
    page.click("[data-testid=name-editor] summary")
    page.press("[data-testid=name-label]", f"seen in Firefox{ENTER}")
    page.text("named", "seen in Firefox")
    page.goto(f"{site.url}#/routes/names")
    page.script("location.reload()")
    assert "L1H2" in page.text("row-names", "seen in Firefox")
    page.click("[data-testid=names-discard]")
    page.text("table-names", "Nothing has a name yet")
