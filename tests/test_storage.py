"""Shards, plan, manifest, status: what is on disk is whole, once, and of one identity, whatever happens to a process."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowatlas import files, writer
from flowatlas.audit import check
from flowatlas.errors import RunConflict, RunError, UnfinishedError
from flowatlas.manifest import read_manifest, read_plan, write_manifest
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.shards import Ledger, fingerprint, rows_hash, shard_ranges
from flowatlas.status import main_lines
from flowatlas.writer import conform, write_model_table, write_parquet, write_shard
from synthetic import Dataset, Shape, finish, identity_of, make_run, plan_of, rows_of, table_of, tables_of
from synthetic import write_made_up_shard as write_made_up

# A child that runs what is left of a made-up run, and that kills itself just before its n-th call of a function.
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pyarrow.parquet as pq
import synthetic
from flowatlas.errors import FlowatlasError
from flowatlas.shards import Ledger

run_dir, seed, name, moment = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
calls = 0

def deadly(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == moment:
            if name == "write_table":
                Path(args[1]).write_bytes(b"PAR1 half a file")
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

if name == "write_table":
    pq.write_table = deadly(pq.write_table)
elif name != "never":
    setattr(os, name, deadly(getattr(os, name)))
shape, dataset = synthetic.Shape(seed=seed), synthetic.Dataset(30)
try:
    plan = synthetic.plan_of(run_dir, dataset, shape=shape)
except FlowatlasError as error:
    sys.exit(str(error))
for shard in range(len(plan.shards)):
    if Ledger(run_dir).finished(shard) is None:
        synthetic.write_made_up_shard(run_dir, plan, dataset, shard, shape)
        print("shard", flush=True)
synthetic.finish(run_dir, plan, shape)
"""


def child(run_dir: Path, name: str = "never", moment: int = 0, seed: int = 0) -> subprocess.Popen:
    tests = str(Path(__file__).parent)
    command = [sys.executable, "-c", CHILD, tests, str(run_dir), str(seed), name, str(moment)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("undisturbed") / "run")


def assert_same_run(run_dir: Path, other: Path) -> None:
    for table in TABLES:
        assert rows_of(run_dir, table).equals(rows_of(other, table)), table
    assert not list(run_dir.rglob("*.tmp"))
    assert check(run_dir) == []


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("link", 1),  # before the plan is there
        ("write_table", 4),  # in the middle of a table
        ("replace", 7),  # between the tables of a shard
        ("replace", 11),  # all tables there, the marker not
        ("fsync", 50),
        ("replace", 47),  # before the manifest
    ],
)
def test_killed_at_any_moment_and_run_again_is_as_if_undisturbed(
    tmp_path: Path, undisturbed: Path, name: str, moment: int
) -> None:
    killed = child(tmp_path / "run", name, moment)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "manifest.json").exists()
    make_again(tmp_path / "run")
    assert_same_run(tmp_path / "run", undisturbed)


def make_again(run_dir: Path) -> None:
    dataset = Dataset(30)
    plan = plan_of(run_dir, dataset)
    for shard in range(len(plan.shards)):
        if Ledger(run_dir).finished(shard) is None:
            write_made_up(run_dir, plan, dataset, shard)
    finish(run_dir, plan)


def test_killed_from_outside_while_writing(tmp_path: Path, undisturbed: Path) -> None:
    for delay in (0.0, 0.01, 0.03):
        running = child(tmp_path / "run")
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(delay)
        running.kill()
        running.communicate()
    make_again(tmp_path / "run")
    assert_same_run(tmp_path / "run", undisturbed)


def test_several_processes_doing_the_same_run_at_once(tmp_path: Path, undisturbed: Path) -> None:
    children = [child(tmp_path / "run") for _ in range(3)]
    errors = [process.communicate()[1] for process in children]
    assert [process.returncode for process in children] == [0, 0, 0], errors
    assert_same_run(tmp_path / "run", undisturbed)


def test_of_several_processes_starting_different_runs_in_one_folder_one_wins(tmp_path: Path) -> None:
    children = [child(tmp_path / "run", seed=seed) for seed in (1, 2, 3)]
    errors = [process.communicate()[1] for process in children]
    codes = [process.returncode for process in children]
    assert sorted(codes) == [0, 1, 1], errors
    winner = codes.index(0) + 1
    assert all(f"run.seed={winner}" in error for error, code in zip(errors, codes, strict=True) if code)
    assert check(tmp_path / "run") == []


def test_marker_describes_the_files_when_another_process_wrote_others_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, Dataset(8))
    entries, calls = writer._entries, itertools.count()

    def meanwhile(run_dir: Path, shard: int, tables: dict) -> dict:
        found = entries(run_dir, shard, tables)
        if next(calls) == 0:
            path = run_dir / "edges" / "part-00000.parquet"
            table = pq.read_table(path)
            pq.write_table(table, path, compression="none")
        return found

    monkeypatch.setattr(writer, "_entries", meanwhile)
    write_made_up(tmp_path, plan, Dataset(8), 0)
    assert Ledger(tmp_path).done([0]) == [0]
    assert [line for line in check(tmp_path) if "manifest" not in line] == []


@pytest.mark.parametrize("name", TABLES)
def test_every_table_reads_back_as_written(undisturbed: Path, name: str) -> None:
    rows = list(Dataset(30).rows())
    expected = pa.concat_tables([tables_of(rows[part.start : part.stop])[name] for part in shard_ranges(30, 8)])
    found = rows_of(undisturbed, name)
    assert found.schema.equals(TABLES[name].schema)
    assert found.to_pylist() == expected.to_pylist()
    stored = pq.read_schema(undisturbed / name / "part-00001.parquet")
    assert stored.metadata[b"flowatlas.table"].decode() == name
    for column in TABLES[name].columns:
        assert stored.field(column.name).metadata[b"meaning"].decode() == column.meaning


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PROMPTS = st.fixed_dictionaries(
    {
        "prompt_id": st.integers(0, 6),
        "source_id": TEXT,
        "text": TEXT,
        "group": st.none() | TEXT,
        "n_tokens": st.integers(1, 9),
        "token_ids": st.lists(st.integers(0, 2**31 - 1), max_size=3),
        "tokens": st.lists(TEXT, max_size=3),
        "targets": st.lists(st.integers(0, 9), max_size=2),
        "answer_token_ids": st.none() | st.lists(st.integers(0, 9), max_size=2),
    }
)
EDGES = st.fixed_dictionaries(
    {
        "prompt_id": st.integers(0, 6),
        "layer": st.integers(-1, 2**15 - 1),
        "kind": st.sampled_from(["attn", "resid_attn", "mlp", "resid_mlp"]),
        "dst": st.integers(0, 99),
        "src": st.integers(0, 99),
        "head": st.integers(-1, 99),
        "share": st.floats(0, 1, width=32),
        "attention": st.none() | st.floats(0, 1, width=32),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(("name", "rows"), [("prompts", PROMPTS), ("edges", EDGES)])
def test_rows_come_back_sorted_and_whatever_their_batches_give_equal_bytes(
    tmp_path: Path, name: str, rows: st.SearchStrategy, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(rows, max_size=12))
    cut = data.draw(st.integers(0, len(drawn)))
    whole = table_of(name, drawn)
    batches = pa.concat_tables([table_of(name, drawn[:cut]), table_of(name, drawn[cut:])])
    for path, table in (("a", whole), ("b", batches)):
        write_parquet(tmp_path / path, conform(table, TABLES[name]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    expected = table_of(name, sorted(drawn, key=lambda row: row["prompt_id"]))
    assert pq.ParquetFile(tmp_path / "a").read().to_pylist() == expected.to_pylist()


def test_one_prompt_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    n = 3 * writer.ROW_GROUP_ROWS
    rows = [{"prompt_id": i // 100, "target": i % 100, "layer": 0, "component": "mlp", "index": 0} for i in range(n)]
    table = table_of("logit_effects", [{**row, "effect_answer": 0.0} for row in rows])
    write_parquet(tmp_path / "part.parquet", conform(table, TABLES["logit_effects"]))
    metadata = pq.read_metadata(tmp_path / "part.parquet")
    ranges = [metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups)]
    assert sum(r.min <= 200 <= r.max for r in ranges) == 1 < len(ranges)


def test_a_written_again_shard_has_the_same_hashes(tmp_path: Path, undisturbed: Path) -> None:
    again = make_run(tmp_path / "run", shards=[2, 0])
    for shard in (0, 2):
        before, after = Ledger(undisturbed).marker(shard), Ledger(again).marker(shard)
        assert before is not None
        assert after is not None
        assert before["tables"] == after["tables"]


@pytest.mark.parametrize("wrong", ["missing table", "null", "category", "column"])
def test_tables_that_do_not_fit_the_schema_are_not_written(tmp_path: Path, wrong: str) -> None:
    plan, tables = plan_of(tmp_path, Dataset(8)), tables_of(list(Dataset(8).rows()))
    edges = tables["edges"]
    if wrong == "missing table":
        del tables["lens"]
    elif wrong == "null":
        tables["edges"] = edges.set_column(0, "prompt_id", pa.nulls(len(edges), pa.int32()))
    elif wrong == "category":
        tables["edges"] = edges.set_column(2, "kind", pa.array(["attention"] * len(edges)))
    else:
        tables["edges"] = edges.append_column("more", edges["share"])
    with pytest.raises(ValueError, match=r"table|null|values|columns"):
        write_shard(tmp_path, 0, tables, {})
    assert Ledger(tmp_path).done([0]) == []
    assert plan.n_rows == 8


@pytest.mark.parametrize("function", ["write_table", "replace", "fsync"])
def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    plan = plan_of(tmp_path / "run", Dataset(8))

    def full(*args: object, **kwargs: object) -> None:
        if function == "write_table":
            Path(str(args[1])).write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pq if function == "write_table" else os, function, full)
        with pytest.raises(UnfinishedError, match=r"part-00000\.parquet: No space left on device") as raised:
            write_made_up(tmp_path / "run", plan, Dataset(8), 0)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert Ledger(tmp_path / "run").done([0]) == []
    write_made_up(tmp_path / "run", plan, Dataset(8), 0)
    assert Ledger(tmp_path / "run").done([0]) == [0]


def test_what_killed_processes_left_is_removed_and_what_living_ones_write_is_not(tmp_path: Path) -> None:
    plan_of(tmp_path, Dataset(8))
    host = files.temporary_path(Path("x")).name.split(".", 2)[2].rsplit(".", 2)[0]
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = tmp_path / "edges"
    folder.mkdir()
    dead = folder / f".part-00000.parquet.{host}.{gone.pid}.tmp"
    living = folder / f".part-00000.parquet.{host}.{os.getppid()}.tmp"
    elsewhere, old = folder / ".part-00001.parquet.far.1.tmp", folder / ".part-00002.parquet.far.1.tmp"
    for path in (dead, living, elsewhere, old):
        path.write_bytes(b"PAR1")
    long_ago = time.time() - 2 * files.STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    plan_of(tmp_path, Dataset(8))
    assert sorted(folder.iterdir()) == sorted([living, elsewhere])


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


def test_json_has_no_nan(tmp_path: Path) -> None:
    files.write_json_atomically(tmp_path / "x.json", {"b": [float("nan"), 1.5], "a": float("inf")})
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5]}


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
    plan = plan_of(tmp_path, Dataset(8), identity={"a": (1, 2.5, None)}, config={"x": np.float32(0.5).item()})
    assert read_plan(tmp_path) == plan
    arguments = {"identity": {"a": [1, 2.5, None]}, "config": {"x": 0.5}}
    assert plan_of(tmp_path, Dataset(8), **arguments) == plan
