"""Plan, manifest, status: a run folder is of one identity, grows at its end only, and says how far it is."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flowatlas import files
from flowatlas.check import check
from flowatlas.errors import RunConflict, RunError, UnfinishedError
from flowatlas.manifest import read_manifest, read_plan, write_manifest
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.shards import Ledger, fingerprint, rows_hash, shard_ranges
from flowatlas.status import main_lines
from flowatlas.writer import write_model_table
from storing import assert_same_run, make_again
from synthetic import Dataset, Shape, finish, identity_of, make_run, plan_of, rows_of
from synthetic import write_made_up_shard as write_made_up


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("undisturbed") / "run")


def test_shards_cover_the_rows_once() -> None:
    assert shard_ranges(20, 8) == [range(0, 8), range(8, 16), range(16, 20)]
    assert shard_ranges(16, 8) == [range(0, 8), range(8, 16)]
    assert shard_ranges(0, 8) == []


@pytest.mark.parametrize("n", [1, 8, 20])
def test_fingerprint_hashes_each_shard(n: int) -> None:
    dataset = Dataset(n)
    found = fingerprint(dataset, 8)
    assert found.rows == n
    assert found.shard_hashes == tuple(rows_hash(dataset.rows(r.start, r.stop)) for r in shard_ranges(n, 8))
    assert fingerprint(Dataset(n, changed=(0,)), 8).shard_hashes[0] != found.shard_hashes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identity": identity_of(floor=0.02)}, r"routes.floor=0.05, but this one has 0.02; give another run.dir"),
        ({"identity": identity_of(more=None) | {"lens": {"raw": True}}}, r"lens.raw=null, but this one has true"),
        ({"weights_hash": "cd" * 32}, r"hash to abababababab, but this model's hash to cdcdcdcdcdcd"),
        ({"shard_size": 16}, r"run.shard_size=8, but this one has 16"),
        ({"batch_tokens": 64, "config": {"run": {"batch_tokens": 64}}}, r"run.batch_tokens=512, but this one has 64"),
        ({"fingerprint": fingerprint(Dataset(30, changed=(17,)), 8)}, r"rows 16 to 23 of made-up are not those"),
        ({"fingerprint": fingerprint(Dataset(34, changed=(29,)), 8)}, r"rows 24 to 29 of made-up are not those"),
        ({"fingerprint": fingerprint(Dataset(29), 8)}, r"over 30 rows, but made-up now has 29"),
        ({"fingerprint": fingerprint(Dataset(16), 8)}, r"over 30 rows, but made-up now has 16"),
    ],
)
def test_a_run_of_another_identity_is_refused_in_one_line(tmp_path: Path, changes: dict, message: str) -> None:
    plan_of(tmp_path, Dataset(30))
    before = (tmp_path / "plan.json").read_bytes()
    with pytest.raises(RunConflict, match=message) as raised:
        plan_of(tmp_path, Dataset(30), **changes)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "plan.json").read_bytes() == before


def test_a_run_goes_on_with_its_own_batches_unless_told_otherwise(tmp_path: Path) -> None:
    first = plan_of(tmp_path, Dataset(30))
    again = plan_of(tmp_path, Dataset(30), batch_tokens=64, config={"run": {"batch_tokens": "auto"}})
    assert again == first
    assert again.batch_tokens == 512


def test_auto_and_the_number_it_came_to_are_the_same_run(tmp_path: Path) -> None:
    identity = identity_of()
    auto = identity | {"run": {"seed": 0, "batch_tokens": "auto"}}
    number = identity | {"run": {"seed": 0, "batch_tokens": 512}}
    first = plan_of(tmp_path, Dataset(30), identity=auto, config=auto)
    assert plan_of(tmp_path, Dataset(30), identity=number, config=number) == first


@pytest.mark.parametrize("left", ["notes.txt", "edges/part-00000.parquet"])
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_text("mine")
    with pytest.raises(RunConflict, match="is not empty and holds no run"):
        plan_of(tmp_path, Dataset(8))
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize(("content", "message"), [({"schema_version": 99}, "table schema 99"), ("{", "damaged")])
def test_a_plan_of_another_schema_or_a_damaged_one_says_what_to_do(
    tmp_path: Path, content: dict | str, message: str
) -> None:
    (tmp_path / "plan.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RunError, match=f"{message}.*make the run again in another run.dir"):
        plan_of(tmp_path, Dataset(8))


@pytest.mark.parametrize("before", [24, 27])
def test_a_grown_dataset_redoes_only_the_last_partial_shard(tmp_path: Path, before: int) -> None:
    make_run(tmp_path / "run", before)
    inodes = {path: path.stat().st_ino for path in (tmp_path / "run").rglob("part-*")}
    dataset = Dataset(37)
    plan = plan_of(tmp_path / "run", dataset)
    assert not (tmp_path / "run" / "manifest.json").exists()
    ledger = Ledger(tmp_path / "run")
    assert ledger.done(range(5)) == list(range(before // 8))
    for shard in (3, 4):
        write_made_up(tmp_path / "run", plan, dataset, shard)
    finish(tmp_path / "run", plan)
    kept = [path for path in inodes if path.stem[-1] in "012"]
    assert all(path.stat().st_ino == inodes[path] for path in kept)
    assert_same_run(tmp_path / "run", make_run(tmp_path / "fresh", 37))


def test_a_run_killed_while_it_grew_does_not_take_its_old_last_shard_for_done(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", 27)
    marker = Ledger(run_dir).path(3)
    before = marker.read_bytes()
    plan_of(run_dir, Dataset(37))
    marker.write_bytes(before)  # as if the old plan's process had finished it after the growth
    assert Ledger(run_dir).done(range(5)) == [0, 1, 2]


def test_a_manifest_of_fewer_rows_does_not_make_a_grown_run_complete(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", 27)
    before = (run_dir / "manifest.json").read_bytes()
    old = read_plan(run_dir)
    plan_of(run_dir, Dataset(37))
    (run_dir / "manifest.json").write_bytes(before)
    with pytest.raises(RunError, match=r"not complete \(3 of 5 shards"):
        read_manifest(run_dir)
    with pytest.raises(UnfinishedError, match="has grown meanwhile"):
        write_manifest(run_dir, old, Ledger(run_dir), {})


def test_a_late_process_that_also_grows_the_run_undoes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = make_run(tmp_path / "run", 27)
    old = read_plan(run_dir)
    dataset = Dataset(37)
    plan = plan_of(run_dir, dataset)
    for shard in (3, 4):
        write_made_up(run_dir, plan, dataset, shard)
    finish(run_dir, plan)
    with monkeypatch.context() as patch:
        patch.setattr("flowatlas.plan.read_plan", lambda run_dir: old)  # it read the plan before the other rewrote it
        assert plan_of(run_dir, dataset) == plan
    assert read_manifest(run_dir)["dataset"]["rows"] == 37
    assert check(run_dir) == []


@pytest.mark.parametrize("damage", ["truncated marker", "other config", "missing table", "short table"])
def test_a_damaged_shard_is_to_be_done_again(tmp_path: Path, undisturbed: Path, damage: str) -> None:
    run_dir = make_run(tmp_path / "run", shards=[0, 1, 2, 3])
    ledger, table = Ledger(run_dir), run_dir / "lens" / "part-00001.parquet"
    marker = ledger.path(1)
    if damage == "truncated marker":
        marker.write_bytes(marker.read_bytes()[:100])
    elif damage == "other config":
        marker.write_text(marker.read_text().replace(read_plan(run_dir).config_hash, "0" * 64))
    elif damage == "missing table":
        table.unlink()
    else:
        table.write_bytes(table.read_bytes()[:-10])
    assert ledger.done(range(4)) == [0, 2, 3]
    with pytest.raises(UnfinishedError, match="1 of 4 shards"):
        write_manifest(run_dir, read_plan(run_dir), ledger, {})
    make_again(run_dir)
    assert_same_run(run_dir, undisturbed)


def test_manifest_adds_up_and_names_the_model(undisturbed: Path) -> None:
    manifest = read_manifest(undisturbed)
    assert manifest["counts"] == {"rows": 30, "prompts": 28, "rejects": 2, "reject_reasons": {"no_text": 2}}
    for table in TABLES:
        parts = sorted((undisturbed / table).iterdir())
        assert manifest["tables"][table]["rows"] == rows_of(undisturbed, table).num_rows
        assert manifest["tables"][table]["bytes"] == sum(part.stat().st_size for part in parts)
    hashes = [shard["tables"]["edges"]["sha256"] for shard in manifest["shards"]]
    assert hashes == [files.hash_file(undisturbed / "edges" / f"part-0000{k}.parquet") for k in range(4)]
    assert manifest["model"]["n_layers"] == Shape().layers
    assert manifest["seconds"] == {"forward": 2.0, "routes": 1.0}
    assert manifest["guard"] == {"logits": 4e-6}
    assert manifest["config"]["routes"]["floor"] == Shape().floor
    assert manifest["dataset"]["rows"] == 30


def test_model_tables_are_written_whole(tmp_path: Path) -> None:
    table = MODEL_TABLES["vocab"].from_columns(
        {"token_id": [0, 1], "token": ["a", "b"], "special": [False, True], "logit_bias": [0.0, 1.0]}
    )
    path = write_model_table(tmp_path, "vocab", table)
    assert path == tmp_path / "model" / "vocab.parquet"
    assert pq.ParquetFile(path).read().equals(table)


def test_status_of_a_run_in_progress_and_of_a_complete_one(tmp_path: Path, undisturbed: Path) -> None:
    lines, complete = main_lines(make_run(tmp_path / "run", shards=[0, 2]))
    text = "\n".join(lines)
    assert not complete
    assert "2 of 4" in text
    assert "missing  1, 3" in text
    assert "2 rejected: no_text" in text
    assert f"run.dir={tmp_path / 'run'}" in text
    lines, complete = main_lines(undisturbed)
    assert complete
    assert "4 of 4" in "\n".join(lines)
    assert "prompts  28 done, 2 rejected" in lines


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_status_of_what_is_no_run(tmp_path: Path, folder: str) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        main_lines(tmp_path / folder)


def test_numbers_of_the_plan_survive_json(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, Dataset(8), identity={"a": (1, 2.5, None)}, config={"a": {"x": np.float32(0.5).item()}})
    assert read_plan(tmp_path) == plan
    arguments = {"identity": {"a": [1, 2.5, None]}, "config": {"a": {"x": 0.5}}}
    assert plan_of(tmp_path, Dataset(8), **arguments) == plan
