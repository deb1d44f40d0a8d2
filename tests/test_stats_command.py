"""`flowatlas stats`, and who calls it: when statistics are made, when they are stale, and what is said when they cannot be."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowatlas import stats
from flowatlas.check import check
from flowatlas.cli import main
from flowatlas.compare import compare
from flowatlas.errors import UnfinishedError
from flowatlas.files import hash_file
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.site import build_site
from flowatlas.site_data import RunReader
from runs import one_line, write_prompts
from sites import read, small_explorer
from synthetic import Dataset, make_run, plan_of, write_made_up_shard
from tiny import make_model

TABLES = sorted(f"{name}.parquet" for name in STATS_TABLES)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", 20)


def test_the_command_writes_every_table_and_says_so(run, capsys):
    assert main(["stats", str(run)]) == 0
    assert sorted(path.name for path in (run / "stats").iterdir()) == sorted([*TABLES, "stats.json"])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert all(name in out for name in STATS_TABLES)
    assert check(run) == []  # they are no stray files


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_what_is_no_run_is_one_line(tmp_path, capsys, make):
    make(tmp_path / "nothing")
    assert main(["stats", str(tmp_path / "nothing")]) == 2
    assert one_line(capsys.readouterr().err)


def test_a_damaged_shard_is_one_line_and_the_old_statistics_stay(run, capsys):
    stats.make(run)
    before = (run / "stats" / "stats.json").read_bytes()
    part = run / "components" / "part-00001.parquet"
    part.write_bytes(b"x" * part.stat().st_size)
    assert main(["stats", str(run)]) == 2
    assert one_line(capsys.readouterr().err)
    assert (run / "stats" / "stats.json").read_bytes() == before
    assert not list(run.glob(".stats*"))


def test_they_are_made_when_missing_or_stale_only(run, monkeypatch):
    made = []
    monkeypatch.setattr(stats, "make", lambda run_dir, real=stats.make: made.append(run_dir) or real(run_dir))
    for _ in range(2):
        stats.ensure(run)
    assert len(made) == 1
    (run / "stats" / "roles.parquet").unlink()
    stats.ensure(run)
    assert len(made) == 2
    marker = run / "stats" / "stats.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"made_from": "other shards"}))
    stats.ensure(run)
    assert len(made) == 3


def test_of_a_run_in_progress_they_are_those_of_its_finished_shards_and_then_stale(tmp_path):
    run, dataset = tmp_path / "run", Dataset(30)
    plan = plan_of(run, dataset)
    for shard in (0, 2):
        write_made_up_shard(run, plan, dataset, shard)
    made = stats.ensure(run).marker
    assert not made["complete"]
    assert made["n_prompts"] == RunReader(run).manifest["counts"]["prompts"]
    write_made_up_shard(run, plan, dataset, 1)
    assert stats.current(RunReader(run)) is None


def test_a_run_of_rejects_alone_has_empty_tables(tmp_path):
    run, dataset = tmp_path / "run", Dataset(6)
    plan = plan_of(run, dataset, 1)
    write_made_up_shard(run, plan, dataset, 5)  # the sixth row is rejected
    made = stats.make(run).marker
    assert {entry["rows"] for entry in made["tables"].values()} == {0}


def test_a_site_carries_them(tmp_path, run, monkeypatch):
    small_explorer(tmp_path, monkeypatch)
    build_site([run], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "run"
    assert sorted(path.name for path in (folder / "stats").iterdir()) == TABLES
    index = read(folder / "index.json")
    marker = read(run / "stats" / "stats.json")
    assert {**index["stats"], "tables": None} == {**marker, "tables": None}
    for name, entry in index["stats"]["tables"].items():
        assert [file["file"] for file in entry["files"]] == [f"stats/{name}.parquet"]
        assert (entry["rows"], entry["sha256"]) == (marker["tables"][name]["rows"], marker["tables"][name]["sha256"])
    shutil.rmtree(run / "stats")
    build_site([run], tmp_path / "site")
    assert (run / "stats" / "stats.json").is_file()


def test_a_site_of_two_runs_compares_them(tmp_path, run, monkeypatch):
    small_explorer(tmp_path, monkeypatch)
    other, stranger = make_run(tmp_path / "other", 25), make_run(tmp_path / "stranger", 3)
    rename_prompts(stranger)
    build_site([run, other, stranger], tmp_path / "site")
    (entry,) = read(tmp_path / "site" / "data" / "catalogue.json")["compared"]
    assert (entry["a"], entry["b"], entry["same_shape"]) == ("run", "other", True)
    for name, table in compare(run, other).items():
        (file,) = entry["tables"][name]["files"]
        stored = pq.read_table(tmp_path / "site" / "data" / file["file"])
        assert stored.to_pylist() == table.to_pylist()
    assert entry["n"] == compare(run, other)["prompts"].num_rows


def rename_prompts(run: Path) -> None:
    """Give the prompts other texts, in the files alone."""
    for part in (run / "prompts").iterdir():
        table = pq.read_table(part)
        texts = pa.array([f"another {i}" for i in range(len(table))])
        place = table.schema.get_field_index("text")
        pq.write_table(table.set_column(place, table.schema.field("text"), texts), part)
        marker = run / "shards" / f"{part.stem}.json"
        found = json.loads(marker.read_text())
        found["tables"]["prompts"] |= {"bytes": part.stat().st_size, "sha256": hash_file(part)}
        marker.write_text(json.dumps(found))


def test_a_run_that_cannot_be_written_is_published_without(tmp_path, run, monkeypatch, capsys):
    def full(run_dir: Path) -> None:
        raise UnfinishedError(f"cannot write {run_dir}: no space")

    small_explorer(tmp_path, monkeypatch)
    monkeypatch.setattr(stats, "make", full)
    build_site([run], tmp_path / "site")
    assert read(tmp_path / "site" / "data" / "run" / "index.json")["stats"] is None
    assert one_line(capsys.readouterr().err)


def test_a_run_ends_with_its_statistics(run_, tmp_path):
    assert run_().code == 0
    made = read(tmp_path / "run" / "stats" / "stats.json")
    assert (made["complete"], made["n_prompts"]) == (True, 10)


@pytest.fixture
def run_(runs, tmp_path, models):
    from runs import write_prompts

    write_prompts(tmp_path / "prompts.jsonl", 10)
    arguments = ("run", f"model={models['gpt2']}", "dataset=prompts.jsonl", "run.dir=run")
    return lambda: runs(*arguments, cwd=tmp_path)


@pytest.mark.parametrize("family", ["gpt_neox", "qwen2_moe"])  # blocks without a node between, and neurons of experts
def test_a_run_of_a_model_of_another_build_ends_with_its_statistics(runs, tmp_path, family):
    write_prompts(tmp_path / "prompts.jsonl", 6)
    done = runs(
        "run", f"model={make_model(tmp_path / 'model', family)}", "dataset=prompts.jsonl", "run.dir=run", cwd=tmp_path
    )
    assert (done.code, done.err) == (0, "")
    assert check(tmp_path / "run") == []
    found = pq.read_table(tmp_path / "run" / "stats" / "importance.parquet").to_pylist()
    assert {row["component"] for row in found} == {"attn", "head", "mlp", "neuron"}
    experts = {row["expert"] for row in found if row["component"] == "neuron"}
    assert experts == {-1} if family == "gpt_neox" else max(experts) > 0
    everywhere = [row for row in found if row["group"] is None]
    for block in (row for row in everywhere if row["component"] == "attn"):
        heads = [r["target_share"] for r in everywhere if (r["component"], r["layer"]) == ("head", block["layer"])]
        assert sum(heads) == pytest.approx(block["target_share"], abs=1e-6)
