"""The notebook runs, says what its outputs say, and tells nothing of the machine that executed it."""

import json
from pathlib import Path

import pytest

from notebook import NOTEBOOK, ROOT, execute
from planted import stats_of
from synthetic import make_run

SOURCE = json.loads(NOTEBOOK.read_text())


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, dict]:
    """Its cells over a made-up run."""
    folder = tmp_path_factory.mktemp("notebook")
    run = make_run(folder / "data" / "runs" / "demo", 30)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run, *execute(SOURCE)


def test_its_figure_is_that_of_the_statistics(executed):
    run, done, names = executed
    rows = [r for r in stats_of(run, "activity", group=None, component="head") if r["tau"] == names["tau"]]
    assert len(rows) == names["heads"].size
    for row in rows:
        assert names["heads"].loc[row["layer"], row["index"]] == row["frequency"]
    assert any("image/png" in output.get("data", {}) for cell in done["cells"] for output in cell.get("outputs", []))


def test_it_is_stored_executed(executed):
    """Cell by cell the same sorts of output as when executed again."""
    _, done, _ = executed
    for stored, again in zip(SOURCE["cells"], done["cells"], strict=True):
        kinds = [[o["output_type"] for o in cell.get("outputs", [])] for cell in (stored, again)]
        assert kinds[0] == kinds[1]
        assert stored.get("execution_count") == again.get("execution_count")


def test_it_tells_nothing_of_a_machine():
    text = NOTEBOOK.read_text()
    assert "Error" not in text
    assert not [place for place in ("/home/", "/tmp/", "/root", str(ROOT)) if place in text]
