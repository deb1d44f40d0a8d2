"""`flowatlas check` finds statistics that are stale, damaged, or not what the shards say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowatlas import audit_store, cli, stats
from flowatlas.check import check
from flowatlas.check_stats import RECOUNTS
from flowatlas.files import hash_file
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.schema_stats import STATS_TABLES
from sites import flipped
from synthetic import Dataset, make_run, plan_of, write_made_up_shard


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = make_run(tmp_path / "run", 20)
    stats.make(run)
    return run


def _edit(run: Path, table: str, change: Callable[[dict[str, Any]], dict[str, Any]], honest: bool = False) -> None:
    """Change the first row of a table; `honest`: and say so in the marker, as somebody would who wants to deceive."""
    path, marker = run / "stats" / f"{table}.parquet", run / "stats" / "stats.json"
    rows = pq.read_table(path).to_pylist()
    rows[0] = change(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, schema=STATS_TABLES[table].schema), path)
    if honest:
        found = json.loads(marker.read_text())
        found["tables"][table] |= {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        marker.write_text(json.dumps(found))


def test_sound_statistics_have_no_problems(run):
    assert check(run) == []


def test_a_changed_file_is_found(run):
    _edit(run, "roles", lambda row: {**row, "contribution": 0.5})
    (run / "stats" / "stability.parquet").unlink()
    found = check(run)
    assert [line.split()[0] for line in found] == ["stats/stability.parquet", "stats/roles.parquet"]


def test_no_damage_hides_another(run):
    """Of shards, statistics, audit, interventions and vocabulary at once; and recounts of the tables that are whole."""
    audit_store.write(run, {name: table.empty() for name, table in AUDIT_TABLES.items()}, {"made_from": "x"})
    _edit(run, "importance", _TAMPERED["importance"], honest=True)
    (run / "interventions" / "off").mkdir(parents=True)
    (run / "vocab").mkdir()
    with flipped(run / "stats" / "roles.parquet"), flipped(run / "audit" / "curves.parquet"):
        beside = [line.split()[0].rstrip(":") for line in check(run)]
        with flipped(run / "edges" / "part-00000.parquet"):
            places = [line.split()[0] for line in check(run)]
    of_folders = ["audit", "interventions/off", "vocab/vocab.json"]
    assert beside == ["stats/roles.parquet", "stats/importance.parquet", *of_folders]
    of_folders[0] = "audit/curves.parquet"  # of which shards it is cannot be said
    assert places == ["edges/part-00000.parquet", "stats/roles.parquet", *of_folders]


def test_many_problems_of_one_folder_hide_none_of_another(run, capsys, monkeypatch):
    monkeypatch.setattr(cli, "SHOWN", 2)
    for path in (run / "edges").glob("*"):
        path.unlink()
    (run / "stats" / "roles.parquet").unlink()
    assert cli.main(["check", str(run)]) == 1
    found = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert found == ["edges/part-00000.parquet", "edges/part-00001.parquet", "stats/roles.parquet", "and"]


@pytest.mark.parametrize("text", ["", "{}", '{"tables": {}}'])
def test_a_damaged_marker_is_found(run, text):
    (run / "stats" / "stats.json").write_text(text)
    assert ["stats.json" in line for line in check(run)] == [True]


_TAMPERED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "importance": lambda row: {**row, "mean_share": row["mean_share"] * 0.9},
    "activity": lambda row: {**row, "n_active": row["n_active"] + 1},
    "roles": lambda row: {**row, "n_all": row["n_all"] + 1},
    "contrasts": lambda row: {**row, "difference": row["difference"] + 0.01},
    "dataset": lambda row: {**row, "n": row["n"] - 1},
    "examples": lambda row: {**row, "share": row["share"] / 2},
}


@pytest.mark.parametrize("table", _TAMPERED)
def test_wrong_numbers_are_found_though_the_marker_agrees(run, table):
    _edit(run, table, _TAMPERED[table], honest=True)
    found = check(run)
    assert len(found) == 1
    assert found[0].startswith(f"stats/{table}.parquet: 1 rows")


def test_every_recount_is_tried():
    assert {recount.table for recount in RECOUNTS} == _TAMPERED.keys()


def test_values_outside_of_their_range_are_found(run):
    _edit(run, "stability", lambda row: {**row, "rank_correlation": -1.5}, honest=True)
    assert ["rank_correlation" in line for line in check(run)] == [True]


def test_statistics_of_fewer_shards_are_stale(tmp_path):
    run, dataset = tmp_path / "run", Dataset(20)
    plan = plan_of(run, dataset)
    write_made_up_shard(run, plan, dataset, 0)
    stats.make(run)
    for shard in range(1, len(plan.shards)):
        write_made_up_shard(run, plan, dataset, shard)
    assert [line for line in check(run) if line.startswith("stats are of other shards")]
