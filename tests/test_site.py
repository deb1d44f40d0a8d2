"""The static site: every row of every run in its bucket, small enough to fetch, and swapped in whole."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowatlas import site as site_module
from flowatlas import site_data
from flowatlas.errors import RunError, UnfinishedError
from flowatlas.files import hash_file
from flowatlas.schema import TABLES
from flowatlas.site import build_site, explorer_dir, run_ids
from flowatlas.site_data import BUCKETED, EAGER, RunReader, bucket_size, encode
from flowatlas.writer import write_shard
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
    write_made_up_shard,
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "made up" / "demo run")


@pytest.fixture(autouse=True)
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built explorer of two files, and buckets so small that the made-up run has several."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html>")
    (dist / "assets" / "app-1234.js").write_text("1")
    monkeypatch.setattr(site_module, "explorer_dir", lambda: dist)
    monkeypatch.setattr(site_data, "EAGER_BYTES", 24_000)
    return dist


def read(path: Path) -> dict:
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in {path}"))


def files_of(site: Path) -> dict[str, str]:
    return {str(path.relative_to(site)): hash_file(path) for path in sorted(site.rglob("*")) if path.is_file()}


def test_site_of_two_runs(tmp_path: Path, run_dir: Path) -> None:
    other = make_run(tmp_path / "demo run", 11, shape=Shape(layers=2, heads=2, seed=1))
    out = tmp_path / "site"
    summary = build_site([run_dir, other], out, "Two runs")
    catalogue = read(out / "data" / "catalogue.json")
    assert catalogue["title"] == "Two runs"
    first, second = catalogue["runs"]
    assert (first["id"], second["id"]) == ("demo-run", "demo-run-2")
    assert first["title"] == "demo run"
    assert (first["n_prompts"], first["n_rejects"], first["complete"]) == (28, 2, True)
    assert (first["model"], first["dataset"], first["groups"]) == ("made-up-model", "made-up", ["a", "b"])
    assert second["n_prompts"] == 10
    stored = [path for path in out.rglob("*") if path.is_file() and path.name != ".nojekyll"]
    assert (summary["files"], summary["runs"]) == (len(stored) + 1, 2)
    assert summary["bytes"] == sum(path.stat().st_size for path in stored)
    for run in (first, second):
        folder = out / "data" / run["id"]
        assert run["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (out / "assets" / "app-1234.js").read_text() == "1"


def test_index_describes_the_run(tmp_path: Path, run_dir: Path) -> None:
    build_site([run_dir], tmp_path / "site")
    assert read(tmp_path / "site" / "data" / "catalogue.json")["title"] == "demo run"
    folder = tmp_path / "site" / "data" / "demo-run"
    index = read(folder / "index.json")
    assert index["manifest"] == read(run_dir / "manifest.json")
    assert (index["n_layers"], index["n_heads"], index["parallel"]) == (3, 4, False)
    assert (index["floor"], index["targets"], index["complete"]) == (0.05, "last", True)
    assert index["eager"] == ["prompts", "targets", "nodes", "edges", "lens", "tokens"]
    assert index["groups"] == {"a": 9, "b": 10}
    assert index["prompt_pages"] == ["prompts-0.parquet"]
    for name, table in index["tables"].items():
        files = sorted((folder / name).glob("*"))
        assert sorted(f"bucket-{k}.parquet" for k in table["buckets"]) == [path.name for path in files]
        assert table["bytes"] == sum(path.stat().st_size for path in files)
        assert table["rows"] == sum(pq.read_metadata(path).num_rows for path in files)


@pytest.mark.parametrize("name", BUCKETED)
def test_every_row_is_in_the_bucket_of_its_prompt_and_only_there(tmp_path: Path, run_dir: Path, name: str) -> None:
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo-run"
    index = read(folder / "index.json")
    n, pieces = index["bucket_size"], []
    assert 1 < n < 28, "the made-up run must have several buckets"
    for k in index["tables"][name]["buckets"]:
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
    monkeypatch.setattr(site_module, "PAGE_SIZE", 10)
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo-run"
    index = read(folder / "index.json")
    assert (index["page_size"], index["prompt_pages"]) == (10, [f"prompts-{p}.parquet" for p in range(3)])
    pages = [pq.read_table(folder / page)["prompt_id"].to_pylist() for page in index["prompt_pages"]]
    assert [len(page) for page in pages] == [10, 10, 8]
    assert [i for page in pages for i in page] == rows_of(run_dir, "prompts")["prompt_id"].to_pylist()


def test_tokens_are_those_that_the_bucket_mentions(tmp_path: Path, run_dir: Path) -> None:
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "demo-run"
    for k in read(folder / "index.json")["tables"]["tokens"]["buckets"]:
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
    monkeypatch.setattr(site_data, "EAGER_BYTES", limit)
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


def test_building_again_gives_the_same_files(tmp_path: Path, run_dir: Path) -> None:
    out = tmp_path / "site"
    summary = build_site([run_dir], out)
    before = files_of(out)
    (out / "CNAME").write_text("routes.example")
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("ref")
    (out / "data" / "demo-run" / "left-over.parquet").write_text("old")
    assert build_site([run_dir], out) == summary
    after = files_of(out)
    assert (after.pop("CNAME"), after.pop(".git/HEAD")) == (hash_file(out / "CNAME"), hash_file(out / ".git" / "HEAD"))
    assert after == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "site"]


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


def _foreign(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("mine")


def _file(out: Path) -> None:
    out.write_text("mine")


@pytest.mark.parametrize("make", [_foreign, _file])
def test_what_is_no_site_is_not_overwritten(tmp_path: Path, run_dir: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "out")
    with pytest.raises(RunError, match="is not empty and no site"):
        build_site([run_dir], tmp_path / "out")
    assert (tmp_path / "out").is_file() or (tmp_path / "out" / "thesis.tex").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "out"]


def test_a_site_is_not_written_over_its_own_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "site" / "run", 8)
    (tmp_path / "site" / "data").mkdir()
    (tmp_path / "site" / "data" / "catalogue.json").write_text("{}")
    with pytest.raises(RunError, match="contains the run"):
        build_site([run], tmp_path / "site")


def test_no_run_another_schema_and_no_shard_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        build_site([tmp_path / "nowhere"], tmp_path / "site")
    run = make_run(tmp_path / "run", shards=[])
    with pytest.raises(RunError, match="has no finished shard yet"):
        build_site([run], tmp_path / "site")
    plan = read(run / "plan.json") | {"schema_version": 99}
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(RunError, match=r"table schema 99.*make the run again"):
        build_site([run], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_damaged_shard_is_named_and_the_old_site_stays(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run", 16), tmp_path / "site"
    build_site([run], out)
    before, path = files_of(out), run / "edges" / "part-00001.parquet"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(RunError, match=r"edges/part-00001.parquet cannot be read: `flowatlas check"):
        build_site([run], out)
    assert files_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "run", "site"]


def test_a_full_disk_is_one_line_and_the_old_site_stays(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    build_site([run_dir], out)
    before = files_of(out)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site_module, "_write", full)
    with pytest.raises(UnfinishedError, match=f"cannot write {out}: No space left on device"):
        build_site([run_dir], out)
    assert files_of(out) == before


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from flowatlas import site
site.explorer_dir = lambda: Path(sys.argv[4])
rename, calls = os.rename, []

def deadly(a, b):
    calls.append(a)
    if len(calls) == int(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(a, b)

os.rename = deadly
site.build_site([Path(sys.argv[2])], Path(sys.argv[3]))
"""


@pytest.mark.parametrize("moment", [1, 2])
def test_killed_while_swapping_the_site_comes_back(
    tmp_path: Path, run_dir: Path, explorer: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second rename puts the new site in place: killed before it, there is none until the next build."""
    out = tmp_path / "site"
    build_site([run_dir], out)
    (out / "CNAME").write_text("routes.example")
    arguments = [str(Path(__file__).parent), str(run_dir), str(out), str(explorer), str(moment)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert out.exists() == (moment == 1)
    build_site([run_dir], out)
    assert (out / "CNAME").read_text() == "routes.example"
    assert (out / "data" / "catalogue.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "site"]


def test_of_two_builds_at_once_one_whole_site_stays(tmp_path: Path, run_dir: Path, explorer: Path) -> None:
    out = tmp_path / "site"
    arguments = [str(Path(__file__).parent), str(run_dir), str(out), str(explorer), "0"]
    builds = [subprocess.Popen([sys.executable, "-c", KILLED, *arguments]) for _ in range(2)]
    assert [build.wait() for build in builds] == [0, 0]
    assert len(list(out.rglob("*.parquet"))) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "site"]


def test_one_shard_of_a_table_is_in_memory_at_a_time(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    parquet_file = pq.ParquetFile

    def counting(path: Path, *args: object) -> pq.ParquetFile:
        opened.append("/".join(Path(path).parts[-2:]))
        return parquet_file(path)

    reader = RunReader(run_dir)
    monkeypatch.setattr(pq, "ParquetFile", counting)
    for k in reader.buckets(3):
        reader.bucket(k, 3)
    assert set(reader._open) == set(BUCKETED)
    assert len(opened) == len(set(opened)) == 4 * len(BUCKETED) + 1, "each file is read once"


def test_a_missing_explorer_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "__file__", str(tmp_path / "pipeline" / "flowatlas" / "site.py"))
    with pytest.raises(RunError, match="`make explorer`"):
        explorer_dir()
    for built in (tmp_path / "explorer" / "dist", tmp_path / "pipeline" / "flowatlas" / "explorer"):
        built.mkdir(parents=True)
        (built / "index.html").touch()
        assert explorer_dir() == built


def test_a_run_that_grew_is_published_anew(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run", 11), tmp_path / "site"
    build_site([run], out)
    version = read(out / "data" / "run" / "index.json")["version"]
    dataset = Dataset(20)
    plan = plan_of(run, dataset)
    for shard in (1, 2):
        write_made_up_shard(run, plan, dataset, shard)
    finish(run, plan)
    build_site([run], out)
    assert read(out / "data" / "catalogue.json")["runs"][0]["n_prompts"] == 18
    assert read(out / "data" / "run" / "index.json")["version"] != version, "caches must not mix the two"
