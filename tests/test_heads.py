"""The heads that the statistics of the demo name for a job do that job: without them the model is worse at it."""

from pathlib import Path

import pytest

from measure_heads import DOCUMENT, Composition, Finding, markdown, measure
from runs import Runs

MODEL = Path(__file__).parents[1] / "data" / "models" / "demo"


@pytest.fixture(scope="module")
def measured(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Finding], Composition]:
    """Over a third of the demo's prompts, without what is not needed here."""
    folder = tmp_path_factory.mktemp("demo")
    small = ("run.limit=220", "maps.store=false", "lens.top_k=1", "writes.top_k=1", "neurons.top_k=1")
    done = runs("run", "model=demo", "dataset=demo", "run.dir=run", *small, cwd=folder)
    assert done.code == 0, done.err
    return measure(folder / "run", MODEL)


@pytest.fixture(scope="module")
def findings(measured) -> dict[str, Finding]:
    return {finding.name: finding for finding in measured[0]}


@pytest.mark.parametrize("name", ["indirect objects", "subword merging"])
def test_no_other_heads_of_the_model_are_missed_as_much(findings, name):
    """Against every other set of as many heads, those that share a head with the found ones included."""
    finding = findings[name]
    assert finding.place == 1, finding


def test_subword_heads_are_missed_above_all_after_later_pieces(findings):
    finding = findings["subword merging"]
    assert finding.drop > 3 * max(finding.elsewhere.values()), finding


def test_the_induction_head_rests_on_a_previous_token_head_that_is_missed_more(measured, findings):
    """It is the first of its layer; only the head that is below it and by its role a previous-token head outdoes it."""
    finding, composition = findings["induction"], measured[1]
    assert finding.drop > max(finding.of_layer), finding  # by a tenth; over all prompts by three
    above = {head for heads, drop in finding.others.items() if drop >= finding.drop for head in heads}
    assert above <= {composition.previous_token}, above
    least = min(composition.without, key=lambda head: composition.without[head])
    assert least == composition.previous_token
    assert composition.without[least] < 0.75 * composition.whole, composition


def test_the_document_names_the_same_heads(measured):
    text = DOCUMENT.read_text()
    for row in markdown(*measured).splitlines()[2:5]:
        assert "|".join(row.split("|")[:5]) in text, (
            "run: python tests/measure_heads.py data/runs/demo data/models/demo"
        )
