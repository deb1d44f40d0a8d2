"""Shards and files: what is on disk is whole and there once, whatever happens to a process."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowatlas import files, writer
from flowatlas.check import check
from flowatlas.errors import UnfinishedError
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger, shard_ranges
from flowatlas.writer import conform, write_parquet, write_shard
from storing import assert_same_run, child, make_again
from synthetic import Dataset, make_run, plan_of, rows_of, table_of, tables_of
from synthetic import write_made_up_shard as write_made_up


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("undisturbed") / "run")


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


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_json_has_no_nan(tmp_path: Path) -> None:
    files.write_json_atomically(tmp_path / "x.json", {"b": [float("nan"), 1.5], "a": float("inf")})
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5]}
