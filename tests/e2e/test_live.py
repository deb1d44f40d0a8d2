"""Prompts of one's own: a reader tries one, removes a head, compares, changes it; the static site knows nothing of it."""

from playwright.sync_api import Page, expect
from stage import live
from test_accessibility import failures

TEXT = "When Mary and John went to the store, John gave a drink to"


def test_a_reader_tries_a_prompt_removes_a_head_compares_and_changes_it(page: Page, site):
    with live(site.runs / "site") as (server, address):
        at = page.get_by_test_id
        page.goto(address)
        at("try-text").fill(TEXT)
        at("try-answer").fill("Mary")
        at("try-foil").fill("John")
        at("try-n").fill("3")
        at("try-text").press("Control+Enter")
        expect(at("outcome")).to_contain_text("answer ·Mary")
        expect(at("continued")).to_contain_text("Mary.")
        expect(page.locator(".chip.written")).to_have_count(3)
        expect(at("token-14")).to_have_attribute("aria-pressed", "true")  # the end of what was given

        at("tab-heads").click()
        at("head-detail").get_by_test_id("try-without").click()
        expect(at("try-text")).to_have_value(TEXT)
        expect(at("edit")).to_be_checked()
        head = str(at("edit").get_attribute("data-edit"))
        at("edit-name").fill("nothing")
        at("edit-add").click()
        expect(at("edit-wrong")).to_contain_text("names nothing")
        at("edit-name").fill("0.1")
        at("edit-name").press("Enter")
        expect(at("edit")).to_have_count(2)
        page.locator("[data-edit='L0H1=off']").uncheck()
        expect(at("edit")).to_have_count(2)  # off, and not forgotten
        assert failures(page) == []
        at("try-run").click()
        expect(at("pair-outcomes")).to_contain_text(head)
        expect(page).to_have_url(address.replace("#/try", "#/live-2/p/0?pair=1"))

        at("change-prompt").click()
        expect(at("edit")).to_have_count(1)
        expect(at("tried")).to_have_count(2)
        at("try-text").fill("The " * 200)
        at("try-run").click()
        expect(at("try-notice")).to_contain_text("cannot be read")
        at("try-text").fill(TEXT)
        server.terminate()
        server.wait()
        at("try-run").click()
        expect(at("try-notice")).to_contain_text("The server does not answer")


def test_a_static_site_asks_for_no_model(page: Page, site):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url + "#/try?text=a")
    expect(page.get_by_test_id("no-model")).to_contain_text("--live model=")
    page.goto(site.url + "#/routes/p/0")
    expect(page.get_by_test_id("outcome")).to_contain_text("answer")
    expect(page.get_by_test_id("try-link")).to_be_hidden()
    expect(page.get_by_test_id("change-prompt")).to_have_count(0)
    assert not [url for url in asked if url.endswith("/state") or "/live" in url]  # the client's own code included
