"""What the page says when a site is damaged: in words, with a retry, never a blank page or fewer rows in silence."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect
from stage import serving

from flowatlas.seal import sealed_json
from flowatlas.site_check import check_site
from flowatlas.site_data import encode


@pytest.fixture
def copied(runs, tmp_path):
    """A copy of the site that a test may damage, and its address; asked for before the page, so that the page closes first."""
    shutil.copytree(runs / "site", tmp_path / "site")
    with serving(tmp_path / "site") as url:
        yield tmp_path / "site", url


def bucket(site: Path, table: str) -> Path:
    return site / "data" / "routes" / table / "bucket-0.parquet"


def overall(site: Path, table: str) -> str:
    """The file of the statistics that has a table's heads over all prompts: it may be cut into several."""
    index = json.loads((site / "data" / "routes" / "index.json").read_text())
    files = index["stats"]["tables"][table]["files"]
    return next(one["file"] for one in files if ["head", None] in one.get("keys", [["head", None]]))


@contextlib.contextmanager
def lost(path: Path) -> Iterator[None]:
    """Inside, the file is not there; after it is as it was."""
    whole = path.read_bytes()
    path.unlink()
    yield
    path.write_bytes(whole)


def said(page: Page) -> str:
    message = page.get_by_test_id("message")
    expect(message).to_be_visible()
    expect(message.get_by_role("button", name="Retry")).to_be_visible()
    return message.inner_text()


def without(path: Path, column: str) -> None:
    table = pq.read_table(path)
    path.write_bytes(encode(table.drop_columns([column])))


@pytest.mark.parametrize("table", ["prompts", "edges", "nodes", "targets"])
def test_a_truncated_file_and_its_retry(copied, page: Page, table):
    site, url = copied
    path = bucket(site, table)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    page.goto(f"{url}#/routes/p/0")
    words = said(page)
    assert "damaged" in words
    assert f"{table}/bucket-0.parquet" in words
    path.write_bytes(whole)
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_test_id("graph")).to_be_visible()


def test_bytes_damaged_inside_a_file(copied, page: Page):
    site, url = copied
    path = bucket(site, "edges")
    content = bytearray(path.read_bytes())
    content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
    path.write_bytes(content)
    page.goto(f"{url}#/routes/p/0")
    assert re.search("could not be read|damaged", said(page))


@pytest.mark.parametrize(
    ("file", "address"),
    [
        ("edges/bucket-0.parquet", "p/0"),
        ("prompts-0.parquet", "prompts"),
        ("listing.parquet", "prompts?sort=-prob"),
        ("stats/importance", "corpus"),
    ],
)
def test_one_flipped_bit_is_no_other_number(copied, page: Page, file, address):
    """The engine reads a flipped bit as another value; the file's own checksum tells."""
    site, url = copied
    file = overall(site, file.split("/")[-1]) if file.startswith("stats/") else file
    path = site / "data" / "routes" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    assert "is damaged" in " ".join(check_site(site))
    page.goto(f"{url}#/routes/{address}")
    expect(page.get_by_role("alert").first).to_contain_text(file.split("/")[-1])
    expect(page.get_by_role("alert").first).to_contain_text("checksum")
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    page.get_by_role("button", name="Retry").first.click()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    ("table", "column"), [("edges", "share"), ("nodes", "stored_share"), ("targets", "answer_rank")]
)
def test_a_bucket_of_another_schema(copied, page: Page, table, column):
    site, url = copied
    without(bucket(site, table), column)
    page.goto(f"{url}#/routes/p/0")
    words = said(page)
    assert column in words
    assert "flowatlas site" in words


def test_an_older_run_says_how_to_remake_it(copied, page: Page):
    site, url = copied
    index = site / "data" / "routes" / "index.json"
    index.write_bytes(sealed_json(json.loads(index.read_text()) | {"schema_version": 0}))
    page.goto(f"{url}#/routes/p/0")
    words = said(page)
    assert "older" in words
    assert "flowatlas run" in words


def test_a_deleted_run(copied, page: Page):
    site, url = copied
    shutil.rmtree(site / "data" / "routes")
    page.goto(f"{url}#/routes/p/0")
    assert "missing" in said(page)
    page.get_by_test_id("message").get_by_role("link", name="All runs").click()
    expect(page.locator("[data-run=last]")).to_be_visible()


def test_a_lost_list(copied, page: Page):
    site, url = copied
    (site / "data" / "routes" / "prompts-0.parquet").unlink()
    page.goto(f"{url}#/routes/prompts")
    assert "missing" in said(page)
    # One prompt stands without the list, and says what it lacks.
    page.goto(f"{url}#/routes/p/0")
    expect(page.get_by_test_id("graph")).to_be_visible()
    expect(page.get_by_test_id("notice")).to_contain_text("could not be read")


def test_a_lost_lens_leaves_the_graph(copied, page: Page):
    site, url = copied
    with lost(bucket(site, "lens")):
        page.goto(f"{url}#/routes/p/0?sel=3.post.14")
        expect(page.get_by_test_id("graph")).to_be_visible()
        panel = page.get_by_test_id("panel")
        expect(panel.get_by_role("alert").first).to_be_visible()
    panel.get_by_role("button", name="Retry").first.click()
    expect(page.get_by_test_id("lens-row")).to_have_count(10)


def test_the_other_prompt_of_a_pair_is_lost(copied, page: Page):
    _, url = copied
    page.goto(f"{url}#/routes/p/0?pair=59999")
    pair = page.locator(".pair")
    expect(pair.get_by_role("alert")).to_contain_text("no such other prompt")
    expect(pair.get_by_role("button", name="Retry")).to_have_count(0)  # it could not help


def test_the_bucket_of_the_other_prompt_is_lost(copied, page: Page):
    site, url = copied
    buckets = json.loads((site / "data" / "routes" / "index.json").read_text())
    other = buckets["bucket_size"]  # the first prompt of the second bucket
    with lost(site / "data" / "routes" / "edges" / "bucket-1.parquet"):
        page.goto(f"{url}#/routes/p/0?pair={other}")
        pair = page.locator(".pair")
        expect(pair.get_by_role("alert")).to_contain_text("could not be read")
    pair.get_by_role("button", name="Retry").click()
    expect(page.get_by_test_id("pair-outcomes")).to_be_visible()


def test_a_lost_summary_of_heads_is_said(copied, page: Page):
    site, url = copied
    with lost(bucket(site, "components")):
        page.goto(f"{url}#/routes/p/0?sel=1.attn.14-2")
        detail = page.get_by_test_id("head-detail")
        expect(detail.get_by_role("alert")).to_contain_text("could not be read")
    detail.get_by_role("button", name="Retry").click()
    expect(detail).to_contain_text("mean over tokens")


def test_what_comes_late_fails_by_itself_and_is_mended(copied, page: Page):
    site, url = copied
    with lost(bucket(site, "lens")):
        page.goto(f"{url}#/routes/p/0")
        notice = page.get_by_test_id("notice")
        expect(notice).to_contain_text("lens")
        expect(page.get_by_test_id("pair-open")).to_be_visible()  # nothing else goes with it
    notice.get_by_role("button", name="Retry").click()
    expect(notice).to_be_empty()


def test_a_retry_in_the_panel_mends_the_banner_too(copied, page: Page):
    site, url = copied
    path = bucket(site, "lens")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    page.goto(f"{url}#/routes/p/0?sel=3.post.14")
    expect(page.get_by_test_id("notice")).to_contain_text("lens")
    path.write_bytes(whole)
    page.get_by_test_id("panel").get_by_role("button", name="Retry").first.click()
    expect(page.get_by_test_id("lens-row")).to_have_count(10)
    expect(page.get_by_test_id("notice")).to_be_empty()


@pytest.mark.parametrize("table", ["edges", "nodes", "targets"])
def test_the_bucket_of_another_prompt_is_no_empty_graph(copied, page: Page, table):
    site, url = copied
    shutil.copy(site / "data" / "routes" / table / "bucket-1.parquet", bucket(site, table))
    page.goto(f"{url}#/routes/p/0")
    words = said(page)
    assert "incomplete" in words
    assert table in words


def test_an_opened_node_without_its_tokens_says_so(copied, page: Page):
    site, url = copied
    (site / "data" / "routes" / "model" / "neuron_tokens.parquet").unlink()
    page.goto(f"{url}#/routes/p/0?open=0.post.2")
    expect(page.get_by_test_id("graph")).to_be_visible()
    expect(page.get_by_test_id("notice")).to_contain_text("neuron_tokens")
