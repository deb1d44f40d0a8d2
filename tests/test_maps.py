"""Whole maps of heads: their rows against the formulas, and their way into a site of their own buckets."""

import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import literal
from extraction import extract, forward, prompt
from flowatlas import bucket_sizes
from flowatlas.bucket_sizes import maps_bucket_size
from flowatlas.check import check
from flowatlas.config import MapsConfig
from flowatlas.manifest import find_manifest, read_plan, write_json_atomically, write_manifest
from flowatlas.shards import Ledger
from flowatlas.site import build_site
from flowatlas.site_data import RunReader, encode
from flowatlas.status import main_lines
from sites import buckets, read, small_explorer
from synthetic import Shape, make_run, rows_of

IDS = (0, 7, 91, 23, 7, 55, 7)
SHORT = (0, 12, 4)
FLOOR = 0.03
STORED = MapsConfig(store=True, floor=FLOOR)


@pytest.fixture(params=["gpt2", "llama"])
def model(request, models) -> Path:
    return models[request.param]


def cells(rows: list[dict]) -> dict[tuple, tuple[float, float]]:
    keys = ("prompt_id", "layer", "head", "dst", "src")
    found = {tuple(row[key] for key in keys): (row["share"], row["attention"]) for row in rows}
    assert len(found) == len(rows), "a cell stands twice"
    return found


def test_cells_are_the_shares_and_weights_of_every_query(model):
    """Also of queries and keys that are on no route; two prompts of unequal lengths in one padded batch."""
    prompts = [prompt(IDS, None, 0), prompt(SHORT, None, 1)]
    found = cells(extract(model, prompts, floor=0.5, maps=STORED)["maps"])
    loaded, acts, _ = forward(model, [IDS, SHORT])
    want = {}
    for b, ids in enumerate((IDS, SHORT)):
        for (above, below, h), share in literal.prompt_edges(acts, loaded, b, len(ids)).items():
            if isinstance(h, int):
                layer, i, j = above[0], above[2], below[2]
                attention = float(acts.pattern(layer)[b, h, i, j])
                if share > FLOOR or attention > FLOOR:
                    want[b, layer, h, i, j] = (share, attention)
    assert found.keys() == want.keys()
    for key, cell in found.items():
        assert cell == pytest.approx(want[key], abs=1e-5)
    assert any(share <= FLOOR for share, _ in found.values()), "attention alone keeps a cell"


def test_nothing_is_stored_unless_asked_for(model):
    plain, stored = extract(model, [prompt(IDS)]), extract(model, [prompt(IDS)], maps=STORED)
    assert plain["maps"] == []
    assert all(stored[name] == rows for name, rows in plain.items() if name != "maps")


def test_a_querys_cells_share_at_most_one_whole(model):
    totals: dict[tuple, float] = defaultdict(float)
    for (_, layer, _, i, _), (share, _) in cells(
        extract(model, [prompt(IDS)], maps=MapsConfig(True, 1e-6))["maps"]
    ).items():
        totals[layer, i] += share
    assert len(totals) == 3 * len(IDS)
    assert 0.1 < max(totals.values()) <= 1 + 1e-5


def test_cells_do_not_depend_on_padding(model):
    prompts = [prompt(SHORT, None, 0), prompt(IDS, None, 1)]
    together = cells(extract(model, prompts, maps=STORED)["maps"])
    alone: dict = {}
    for p in prompts:
        alone |= cells(extract(model, [p], maps=STORED)["maps"])
    assert together.keys() == alone.keys()
    assert all(cell == pytest.approx(alone[key], abs=2e-5) for key, cell in together.items())


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(autouse=True)
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_explorer(tmp_path, monkeypatch)


def test_a_site_has_them_in_buckets_of_their_own(tmp_path, run_dir, monkeypatch):
    monkeypatch.setattr(bucket_sizes, "MAPS_BYTES", 9_000)
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo"
    index = read(folder / "index.json")
    n, listed = index["maps"]["bucket_size"], index["tables"]["maps"]
    assert index["maps"] == {"stored": True, "floor": 0.02, "bucket_size": n}
    assert 1 <= n < 28
    assert n != index["bucket_size"]
    assert "maps" not in index["eager"]
    files = {k: folder / "maps" / f"bucket-{k}.parquet" for k in buckets(index, "maps")}
    assert sorted(files.values()) == sorted((folder / "maps").iterdir())
    pieces = {k: pq.ParquetFile(path).read() for k, path in files.items()}
    for k, piece in pieces.items():
        assert {prompt_id // n for prompt_id in piece["prompt_id"].to_pylist()} == {k}
    assert pa.concat_tables(pieces.values()).equals(rows_of(run_dir, "maps"))
    assert listed["rows"] == rows_of(run_dir, "maps").num_rows
    assert listed["bytes"] == sum(path.stat().st_size for path in files.values())
    # Another size of these buckets makes another version, or a cache would give the old ones.
    monkeypatch.setattr(bucket_sizes, "MAPS_BYTES", 100_000)
    build_site([run_dir], tmp_path / "site")
    assert read(folder / "index.json")["version"] != index["version"]


@pytest.mark.parametrize("limit", [1, 9_000, 100_000_000])
def test_their_buckets_are_the_largest_that_are_small_enough(run_dir, monkeypatch, limit):
    monkeypatch.setattr(bucket_sizes, "MAPS_BYTES", limit)
    reader = RunReader(run_dir)

    def mean(n: int) -> float:
        found = [table for k in range(30 // n) if (table := reader.maps(k, n)).num_rows]
        return sum(len(encode(table)) for table in found) / len(found)

    n = maps_bucket_size(reader)
    assert n == 1 or mean(n) <= limit
    assert n == 30 or mean(n + 1) > limit


def test_a_run_without_them_is_published_and_says_so(tmp_path):
    run = make_run(tmp_path / "none", 6, shape=Shape(maps=False))
    build_site([run], tmp_path / "site")
    index = read(tmp_path / "site" / "data" / "none" / "index.json")
    assert index["maps"] == {"stored": False, "floor": 0.02, "bucket_size": 1}
    assert index["tables"]["maps"]["buckets"] == []
    assert not (tmp_path / "site" / "data" / "none" / "maps").exists()


def test_a_run_from_before_there_were_any_is_read(tmp_path):
    """Its markers, parts, plan and manifest know nothing of maps."""
    run = make_run(tmp_path / "old", 12)
    for marker in (run / "shards").glob("*.json"):
        content = json.loads(marker.read_text())
        del content["tables"]["maps"]
        write_json_atomically(marker, content)
    for path in (run / "maps").iterdir():
        path.unlink()
    (run / "maps").rmdir()
    plan_json = json.loads((run / "plan.json").read_text())
    del plan_json["config"]["maps"]
    write_json_atomically(run / "plan.json", plan_json)
    plan = read_plan(run)
    model = {"n_layers": 3, "n_heads": 4, "parallel": False}
    assert "maps" not in write_manifest(run, plan, Ledger(run), {"model": model})["tables"]
    assert find_manifest(run, plan) is not None
    assert check(run) == []
    assert main_lines(run)[1], "complete"
    build_site([run], tmp_path / "site")
    index = read(tmp_path / "site" / "data" / "old" / "index.json")
    assert index["maps"] == {"stored": False, "floor": None, "bucket_size": 1}
    assert index["tables"]["maps"] == {"rows": 0, "bytes": 0, "buckets": []}
