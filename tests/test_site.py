"""The static site: every row of every run in its bucket, small enough to fetch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowatlas import bucket_sizes, site_run, written
from flowatlas.bucket_sizes import bucket_size
from flowatlas.front_page import FrontPage
from flowatlas.schema import LATER_TABLES, TABLES
from flowatlas.site import Wanted, build_site, run_ids
from flowatlas.site_data import BUCKETED, EAGER, RunReader, encode
from flowatlas.writer import write_shard
from sites import buckets, read, small_explorer
from synthetic import (
    Dataset,
    Row,
    Shape,
    finish,
    info_of,
    make_run,
    plan_of,
    rows_of,
    tables_of,
    token,
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "made up" / "demo run")


@pytest.fixture(autouse=True)
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_explorer(tmp_path, monkeypatch)


def test_site_of_two_runs(tmp_path: Path, run_dir: Path) -> None:
    other = make_run(tmp_path / "demo run", 11, shape=Shape(layers=2, heads=2, seed=1))
    out = tmp_path / "site"
    built = build_site([run_dir, other], out, Wanted(FrontPage(title="Two runs", runs={"demo run": "The first"})))
    catalogue = read(out / "data" / "catalogue.json")
    assert catalogue["title"] == "Two runs"
    first, second = catalogue["runs"]
    assert (first["id"], second["id"]) == ("demo-run", "demo-run-2")
    assert (first["title"], second["title"]) == ("The first", "The first")
    assert (first["n_prompts"], first["n_rejects"], first["complete"]) == (28, 2, True)
    assert (first["model"], first["dataset"], first["groups"]) == ("made-up-model", "made-up", ["a", "b"])
    assert second["n_prompts"] == 10
    stored = [path for path in out.rglob("*") if path.is_file() and path.name != ".nojekyll"]
    assert (built.whole.files, built.runs) == (len(stored) + 1, 2)
    assert built.whole.bytes == sum(path.stat().st_size for path in stored)
    assert built.whole.largest == max(path.stat().st_size for path in stored)
    for run in (first, second):
        folder = out / "data" / run["id"]
        assert run["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (out / "assets" / "app-1234.js").read_text() == "1"


def test_index_describes_the_run(tmp_path: Path, run_dir: Path) -> None:
    build_site([run_dir], tmp_path / "site")
    assert read(tmp_path / "site" / "data" / "catalogue.json")["title"] == "demo run"
    folder = tmp_path / "site" / "data" / "demo-run"
    index = read(folder / "index.json")
    manifest = read(run_dir / "manifest.json")
    assert len(manifest.pop("shards")) == 4, "what the page does not need grows with the run"
    manifest["dataset"]["shard_hashes"] = manifest["dataset"]["shard_hashes"][:1]
    assert index["manifest"] == manifest
    assert (index["n_layers"], index["n_heads"], index["parallel"]) == (3, 4, False)
    assert (index["floor"], index["targets"], index["complete"]) == (0.05, "last", True)
    assert index["eager"] == ["prompts", "targets", "nodes", "edges", "lens", "tokens"]
    assert index["groups"] == {"a": 9, "b": 10}
    assert (index["n_groups"], index["selection"]) == (2, None)
    size = (folder / "prompts-0.parquet").stat().st_size
    page = {"file": "prompts-0.parquet", "rows": 28, "bytes": size, "first_id": 0, "last_id": 29}
    assert index["prompt_pages"] == [page]
    for name, table in index["tables"].items():
        files = sorted((folder / name).glob("*"))
        assert sorted(f"bucket-{k}.parquet" for k in buckets(index, name)) == [path.name for path in files]
        assert table["bytes"] == sum(path.stat().st_size for path in files)
        assert table["rows"] == sum(pq.read_metadata(path).num_rows for path in files)


@pytest.mark.parametrize("name", sorted({*BUCKETED} - LATER_TABLES))
def test_every_row_is_in_the_bucket_of_its_prompt_and_only_there(tmp_path: Path, run_dir: Path, name: str) -> None:
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo-run"
    index = read(folder / "index.json")
    n, pieces = index["bucket_size"], []
    assert 1 < n < 28, "the made-up run must have several buckets"
    for k in buckets(index, name):
        pieces.append(pq.ParquetFile(folder / name / f"bucket-{k}.parquet").read())
        assert {prompt // n for prompt in pieces[-1]["prompt_id"].to_pylist()} == {k}
    assert pa.concat_tables(pieces).equals(rows_of(run_dir, name))
    assert pieces[0].schema.equals(TABLES[name].schema)


def test_files_are_what_the_browsers_engine_reads(tmp_path: Path, run_dir: Path) -> None:
    """DuckDB reads each; compression and encodings are among those of DuckDB 0.9.1."""
    build_site([run_dir], tmp_path / "site")
    known = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
    paths = sorted((tmp_path / "site").rglob("*.parquet"))
    assert len(paths) > 20
    for path in paths:
        count = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchall()[0][0]
        metadata = pq.read_metadata(path)
        assert count == metadata.num_rows
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(column)
                assert chunk.compression == "ZSTD"
                assert set(chunk.encodings) <= known


def test_slim_list_shows_each_prompts_last_target(tmp_path: Path, run_dir: Path) -> None:
    build_site([run_dir], tmp_path / "site")
    slim = pq.read_table(tmp_path / "site" / "data" / "demo-run" / "prompts-0.parquet").to_pylist()
    prompts, targets = rows_of(run_dir, "prompts").to_pylist(), rows_of(run_dir, "targets").to_pylist()
    assert [row["prompt_id"] for row in slim] == [row["prompt_id"] for row in prompts]
    for row, prompt in zip(slim, prompts, strict=True):
        last = max((t for t in targets if t["prompt_id"] == prompt["prompt_id"]), key=lambda t: t["target"])
        same = ("source_id", "text", "group", "pair_id", "role", "n_tokens", "answer_text", "foil_text")
        assert [row[key] for key in same] == [prompt[key] for key in same]
        same = ("target", "predicted_prob", "answer_prob", "answer_rank", "foil_rank")
        assert [row[key] for key in same] == [last[key] for key in same]
        assert (row["predicted"], row["answer"]) == (token(last["predicted_id"]), token(last["answer_id"]))
        assert row["n_targets"] == len(prompt["targets"])


def test_slim_list_comes_in_pages(tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_run, "PAGE_SIZE", 10)
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo-run"
    index = read(folder / "index.json")
    assert [page["file"] for page in index["prompt_pages"]] == [f"prompts-{p}.parquet" for p in range(3)]
    pages = [pq.read_table(folder / page["file"])["prompt_id"].to_pylist() for page in index["prompt_pages"]]
    assert [len(page) for page in pages] == [10, 10, 8]
    entries = [(page["rows"], page["first_id"], page["last_id"]) for page in index["prompt_pages"]]
    assert entries == [(len(page), page[0], page[-1]) for page in pages]
    assert [i for page in pages for i in page] == rows_of(run_dir, "prompts")["prompt_id"].to_pylist()


def test_tokens_are_those_that_the_bucket_mentions(tmp_path: Path, run_dir: Path) -> None:
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo-run"
    for k in buckets(read(folder / "index.json"), "tokens"):
        tables = {path.parent.name: pq.read_table(path).to_pylist() for path in folder.glob(f"*/bucket-{k}.parquet")}
        mentioned = {row["token_id"] for table in ("lens", "writes") for row in tables[table]}
        mentioned |= {i for row in tables["prompts"] for i in row["token_ids"]}
        ids = {row[key] for row in tables["targets"] for key in ("predicted_id", "answer_id", "foil_id")}
        mentioned |= ids - {None}
        found = [(row["token_id"], row["token"]) for row in tables["tokens"]]
        assert found == [(i, token(i)) for i in sorted(mentioned)]
        assert [row["token_id"] for row in tables["tokens"] if row["special"]] == [0]


@pytest.mark.parametrize("limit", [1, 20_000, 24_000, 40_000, 10_000_000])
def test_buckets_are_the_largest_that_are_small_enough(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(bucket_sizes, "EAGER_BYTES", limit)
    reader = RunReader(run_dir)
    n = bucket_size(reader)

    def mean(n: int) -> float:
        sizes = []
        for k in range(30 // n):
            tables = reader.bucket(k, n)
            if tables["prompts"].num_rows:
                sizes.append(sum(len(encode(tables[name])) for name in EAGER))
        return sum(sizes) / len(sizes)

    assert n == 1 or mean(n) <= limit
    assert n == 30 or mean(n + 1) > limit


def test_a_run_in_progress_is_published_from_its_finished_shards(tmp_path: Path) -> None:
    unfinished = make_run(tmp_path / "half", shards=[0, 2])
    build_site([unfinished], tmp_path / "site")
    assert read(tmp_path / "site" / "data" / "catalogue.json")["runs"][0]["complete"] is False
    folder = tmp_path / "site" / "data" / "half"
    index = read(folder / "index.json")
    assert (index["complete"], index["n_layers"], index["n_heads"], index["parallel"]) == (False, 3, 4, False)
    assert index["counts"]["prompts"] == 14
    assert index["model_tables"] == []
    slim = pq.read_table(folder / "prompts-0.parquet").to_pylist()
    assert [row["prompt_id"] // 8 for row in slim] == [0] * 7 + [2] * 7
    seen: dict[int, str] = {}
    for row in rows_of(unfinished, "prompts").to_pylist():
        seen |= dict(zip(row["token_ids"], row["tokens"], strict=True))
    targets = {row["prompt_id"]: row for row in rows_of(unfinished, "targets").to_pylist()}
    for row in slim:
        predicted = targets[row["prompt_id"]]["predicted_id"]
        assert row["predicted"] == seen.get(predicted, f"#{predicted}")


def test_a_run_of_rejects_alone_is_published(tmp_path: Path) -> None:
    dataset = Dataset(1)
    plan = plan_of(tmp_path / "run", dataset)
    write_shard(tmp_path / "run", 0, tables_of([Row(0, "x", None)]), info_of(plan, 0))
    finish(tmp_path / "run", plan)
    build_site([tmp_path / "run"], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "run"
    assert all(table["buckets"] == [] for table in read(folder / "index.json")["tables"].values())
    assert pq.read_table(folder / "rejects.parquet")["reason"].to_pylist() == ["no_text"]
    assert pq.read_table(folder / "prompts-0.parquet").num_rows == 0


def test_names_are_safe_in_urls_and_never_alike() -> None:
    names = ["demo", "Demo", "demo-2", "a b/ü?", "...", "demo"]
    assert run_ids(names) == ["demo", "Demo-2", "demo-2-2", "a-b", "run", "demo-3"]


def test_one_shard_of_a_table_is_in_memory_at_a_time(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def counting(read: Callable[..., Any]) -> Callable[..., Any]:
        def counted(path: Path, *args: Any) -> Any:
            opened.append("/".join(path.parts[-2:]))
            return read(path, *args)

        return counted

    reader = RunReader(run_dir)
    monkeypatch.setattr(written, "read", counting(written.read))
    for k in reader.buckets(3):
        reader.bucket(k, 3)
    assert set(reader._open) == set(BUCKETED)
    assert len(set(opened)) == 4 * len(BUCKETED) + 1
    again = [name for name in set(opened) if opened.count(name) > 1]
    assert all(name.startswith("prompts/") and opened.count(name) == 2 for name in again), (
        "the pairs' partners are known first"
    )
