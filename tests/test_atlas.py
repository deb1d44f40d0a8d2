"""Reading a run from Python, and comparing two runs."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

import flowatlas
from flowatlas.cli import main
from flowatlas.compare import compare
from flowatlas.errors import RunError
from flowatlas.schema_compared import COMPARED_TABLES
from planted import changed, edited_run
from runs import one_line
from sites import flipped
from synthetic import make_run, rows_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("atlas") / "run's", 40)  # a name that SQL must quote


def test_tables_are_relations_arrow_and_pandas(run):
    with flowatlas.open(run) as atlas:
        edges = atlas.table("edges")
        assert len(edges.df()) == rows_of(run, "edges").num_rows
        assert edges.to_arrow_table().column_names == rows_of(run, "edges").column_names
        ((n,),) = atlas.sql("SELECT count(*) FROM prompts JOIN components USING (prompt_id)").fetchall()
        assert n == rows_of(run, "components").num_rows
        assert atlas.table("model.vocab").filter("special").fetchall()[0][1] == "<s>"
        assert atlas.manifest["counts"]["prompts"] == rows_of(run, "prompts").num_rows


def test_statistics_are_made_when_they_are_asked_for(run):
    with flowatlas.open(str(run)) as atlas:
        assert not (run / "stats").exists()
        assert len(atlas.table("stats.importance").df())
        assert atlas.sql("SELECT DISTINCT role FROM stats.roles").fetchall()
    assert (run / "stats" / "stats.json").exists()


def test_a_damaged_run_is_one_line_in_python_and_when_two_are_compared(run, tmp_path):
    other = make_run(tmp_path / "other", 40)
    damaged = r"components/part-00000\.parquet is damaged .*: `flowatlas check"
    with flipped(other / "components" / "part-00000.parquet"), pytest.raises(RunError, match=damaged):
        compare(run, other)
    path = other / "edges" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-8].ljust(path.stat().st_size, b"x"))
    with pytest.raises(RunError, match=r"^edges of .* cannot be read: `flowatlas check"):
        flowatlas.open(other)


def test_what_is_no_run_and_no_table_is_said(run, tmp_path):
    with pytest.raises(RunError):
        flowatlas.open(tmp_path)
    with flowatlas.open(run) as atlas, pytest.raises(RunError, match="no table edge:"):
        atlas.table("edge")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The second run has more share in L1H2, and another answer's probability in prompt 3."""
    folder = tmp_path_factory.mktemp("two")

    def more(row: dict) -> dict:
        grown = 0.05 + row["prompt_id"] / 1000
        here = (row["component"], row["layer"], row["index"]) == ("head", 1, 2)
        return {**row, "mean_share": min(1.0, row["mean_share"] + grown * here)}

    def answer(row: dict) -> dict:
        return {**row, "answer_prob": 0.9, "answer_rank": 1} if row["prompt_id"] == 3 else row

    edited_run(folder / "b", 40, lambda t: {
        **t, "components": changed(t["components"], "components", more), "targets": changed(t["targets"], "targets", answer)
    })  # fmt: skip
    return make_run(folder / "a", 30), folder / "b"


def test_two_runs_differ_in_the_head_that_was_changed(two):
    tables = compare(*two)
    common = [p["prompt_id"] for p in rows_of(two[0], "prompts").to_pylist()]
    rows = [row for row in tables["components"].to_pylist() if row["measure"] == "mean_share" and row["group"] is None]
    assert {row["n"] for row in rows} == {len(common)}
    assert {row["component"] for row in rows} == {"head", "mlp", "attn", "neuron"}
    rows = [row for row in rows if row["component"] in ("head", "mlp")]
    changed_ = [row for row in rows if row["q"] <= 0.05]
    assert [(row["component"], row["layer"], row["index"]) for row in changed_] == [("head", 1, 2)]
    values = []
    for run in two:
        heads = [r for r in rows_of(run, "components").to_pylist() if r["component"] == "head" and r["layer"] == 1]
        values.append({r["prompt_id"]: r["mean_share"] for r in heads if r["index"] == 2})
    a, b = (np.array([v[i] for i in common]) for v in values)
    assert changed_[0]["difference"] == pytest.approx(np.mean(b - a), rel=1e-4)
    assert changed_[0]["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-4)
    assert changed_[0]["standardised"] == pytest.approx(
        np.array(stats.ttest_1samp(b - a, 0))[0] / np.sqrt(len(a)), rel=1e-3
    )


def test_two_runs_prompt_by_prompt(two):
    tables = compare(*two)
    prompts, largest = tables["prompts"].to_pylist(), tables["largest"].to_pylist()
    both = [p["prompt_id"] for p in rows_of(two[0], "prompts").to_pylist()]
    assert [row["prompt_a"] for row in prompts] == both[::-1]  # those that differ most come first
    row = next(row for row in prompts if row["prompt_a"] == 3)
    assert (row["answer_rank_a"], row["answer_rank_b"]) == (2, 1)
    assert row["distance"] == pytest.approx((0.05 + 3 / 1000) / 15, rel=1e-3)  # of 12 heads and 3 MLPs
    assert row["n_edges_a"] == row["n_edges_b"] == row["n_edges_both"] > 0
    first = [row for row in largest if row["place"] == 1]
    assert [(row["prompt_a"], row["component"], row["layer"], row["index"]) for row in first] == [
        (i, "head", 1, 2) for i in both
    ]
    assert [row["difference"] for row in first] == pytest.approx([0.05 + i / 1000 for i in both], rel=1e-3)
    assert all(row["difference"] == 0 for row in largest if row["place"] > 1)


def test_the_command_says_and_writes_it(two, tmp_path, capsys):
    assert main(["compare", *map(str, two), "--out", str(tmp_path / "out")]) == 0
    assert "L1H2" in capsys.readouterr().out.splitlines()[1]
    for name, declared in COMPARED_TABLES.items():
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").schema.equals(declared.schema)


def test_runs_without_a_common_prompt_are_refused(two, tmp_path, capsys):
    def other(row: dict) -> dict:
        return {**row, "text": "another"}

    run = edited_run(tmp_path / "run", 5, lambda t: {**t, "prompts": changed(t["prompts"], "prompts", other)})
    assert main(["compare", str(two[0]), str(run)]) == 2
    assert one_line(capsys.readouterr().err)
    assert main(["compare", str(two[0]), str(tmp_path)]) == 2
