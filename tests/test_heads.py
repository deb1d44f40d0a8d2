"""The heads that the statistics of the demo name for a job do that job: without them the model is worse at it."""

from pathlib import Path

import pytest

from measure_heads import DOCUMENT, Finding, markdown, measure
from runs import Runs

MODEL = Path(__file__).parents[1] / "data" / "models" / "demo"


@pytest.fixture(scope="module")
def findings(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """Over a third of the demo's prompts, without what is not needed here."""
    folder = tmp_path_factory.mktemp("demo")
    small = ("run.limit=220", "maps.store=false", "lens.top_k=1", "writes.top_k=1", "neurons.top_k=1")
    done = runs("run", "model=demo", "dataset=demo", "run.dir=run", *small, cwd=folder)
    assert done.code == 0, done.err
    return measure(folder / "run", MODEL)


def test_no_other_heads_of_the_layer_are_missed_as_much(findings):
    """Against every other set of as many heads, those that share a head with the found ones included."""
    assert [finding.name for finding in findings] == ["indirect objects", "induction", "subword merging"]
    for finding in findings:
        assert finding.drop > max(finding.others), finding
        assert finding.drop > 1.5 * sum(finding.others) / len(finding.others), finding


def test_the_document_names_the_same_heads(findings):
    text = DOCUMENT.read_text()
    for row in markdown(findings).splitlines()[2:]:
        assert "|".join(row.split("|")[:5]) in text, (
            "run: python tests/measure_heads.py data/runs/demo data/models/demo"
        )
