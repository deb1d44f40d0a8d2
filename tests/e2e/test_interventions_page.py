"""A reader's way through an intervention: over all prompts, a group's largest change, that prompt before and after."""

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect


def rows(folder, table):
    path = folder / table
    return pq.read_table(path if path.is_dir() else path.with_suffix(".parquet")).to_pylist()


def test_from_the_corpus_to_a_prompt_and_back(page, site, interventions):
    page.goto(f"{site.url}#/routes/corpus")
    page.get_by_role("link", name="Interventions", exact=True).click()
    expect(page.get_by_test_id("intervention-name")).to_have_text("no heads in L1")
    expect(page.get_by_test_id("edits")).to_have_text("L1H0=off, L1H1=off, L1H2=off, L1H3=off")
    summary = {(row["group"], row["measure"]): row for row in rows(interventions, "summary")}
    expect(page.get_by_test_id("change-row")).to_have_count(sum(measure == "answer_logprob" for _, measure in summary))
    shown = page.get_by_test_id("change-row").first.get_attribute("data-value")
    assert float(shown) == pytest.approx(summary[None, "answer_logprob"]["change"], rel=1e-5)
    overview = page.get_by_test_id("table-overview")
    expect(overview.get_by_role("rowheader")).to_have_count(8)
    accuracy = overview.get_by_role("row", name="accuracy")
    expect(accuracy).to_contain_text(f"{summary[None, 'accuracy']['after']:.3g}")
    expect(accuracy.get_by_role("cell").last).to_have_text(str(summary[None, "accuracy"]["n"]))

    overview.get_by_role("link", name="divergence").press("Enter")
    expect(page).to_have_url(f"{site.url}#/routes/interventions?measure=kl")
    expect(page.get_by_test_id("measure")).to_have_value("kl")
    largest = [row for row in rows(interventions, "largest") if row["group"] is None and row["measure"] == "kl"]
    links = page.get_by_test_id("table-largest").get_by_role("rowheader").get_by_role("link")
    expect(links.first).to_have_text(str(largest[0]["prompt_id"]))
    links.first.click()

    (row,) = [row for row in rows(interventions, "predictions") if row["prompt_id"] == largest[0]["prompt_id"]]
    answer = page.get_by_test_id("edited-answer")
    expect(answer).to_contain_text(f"rank {row['answer_rank_before']} → {row['answer_rank_after']}")
    assert float(answer.get_attribute("data-after")) == pytest.approx(row["answer_logprob_after"], rel=1e-5)
    logit = page.get_by_test_id("edited-answer-logit")
    assert float(logit.get_attribute("data-after")) == pytest.approx(row["answer_logit_after"], rel=1e-5)
    expect(page.get_by_test_id("edited-nodes").get_by_role("rowheader")).to_have_count(9)
    (text,) = [row for row in rows(interventions, "continuations") if row["prompt_id"] == largest[0]["prompt_id"]]
    expect(page.get_by_test_id("text-after")).to_have_text(text["text_after"].strip())
    page.get_by_role("link", name="SQL of the lens").click()
    expect(page.get_by_test_id("sql-row")).to_have_count(9)
    page.go_back()
    page.get_by_role("link", name="Over all prompts").click()
    expect(page.get_by_test_id("intervention-name")).to_have_text("no heads in L1")


def test_a_run_without_them_says_how_to_make_one(page, site):
    page.goto(f"{site.url}#/last/interventions")
    expect(page.get_by_test_id("no-interventions")).to_contain_text("flowatlas intervene last L0H0=off")
    page.goto(f"{site.url}#/last/p/0")
    expect(page.get_by_test_id("tab-node")).to_be_visible()
    expect(page.get_by_test_id("tab-edits")).to_be_hidden()
