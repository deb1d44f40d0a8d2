"""`--select`: exactly the chosen part is in the site, sizes are foretold, and limits hold before anything is written."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowatlas import bucket_sizes
from flowatlas.errors import ConfigError, RunError
from flowatlas.hosts import HOSTS, Host, Part, refuse_too_large
from flowatlas.selected import SelectedReader
from flowatlas.selection import OPTIONAL, Selection, read_selection
from flowatlas.site import Wanted, build_site
from flowatlas.site_data import BUCKETED
from sites import buckets, files_of, read, small_explorer
from synthetic import make_run, rows_of


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "demo", 60)


@pytest.fixture(autouse=True)
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_explorer(tmp_path, monkeypatch)


def site_of(run_dir: Path, out: Path, *select: str) -> tuple[Path, dict]:
    """The run's folder in a site of a selection, and its index."""
    build_site([run_dir], out, Wanted(select=select))
    return out / "data" / run_dir.name, read(out / "data" / run_dir.name / "index.json")


def stored(folder: Path, index: dict, table: str) -> list[dict]:
    files = [folder / table / f"bucket-{k}.parquet" for k in buckets(index, table)]
    return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []


def test_chosen_prompts_alone_are_in_every_table(tmp_path: Path, run_dir: Path) -> None:
    sql = "\"group\" = 'b' AND n_tokens >= 4"
    folder, index = site_of(run_dir, tmp_path / "site", f"prompts={sql}")
    prompts = rows_of(run_dir, "prompts").to_pylist()
    wanted = [row["prompt_id"] for row in prompts if row["group"] == "b" and row["n_tokens"] >= 4]
    assert 3 < len(wanted) < 20
    for table in (*BUCKETED, "maps"):
        rows = [row for row in rows_of(run_dir, table).to_pylist() if row["prompt_id"] in wanted]
        assert stored(folder, index, table) == rows, table
    listed = [row for page in index["prompt_pages"] for row in pq.read_table(folder / page["file"]).to_pylist()]
    assert [row["prompt_id"] for row in listed] == wanted
    assert (index["counts"]["prompts"], index["groups"]) == (len(wanted), {"b": len(wanted)})
    assert index["selection"] == {"prompts": sql, "n_prompts": len(prompts), "left_out": [], "top_k": {}}
    entry = read(tmp_path / "site" / "data" / "catalogue.json")["runs"][0]
    assert (entry["n_prompts"], entry["n_selected_from"]) == (len(wanted), len(prompts))
    examples = [
        row
        for file in index["stats"]["tables"]["examples"]["files"]
        for row in pq.read_table(folder / file["file"]).to_pylist()
    ]
    assert {row["prompt_id"] for row in examples} <= set(wanted)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("true ORDER BY prompt_id DESC LIMIT 2", [58, 59]),
        ("answer_rank = 2 AND prompt_id < 3 -- a remark", [0, 1, 2]),
        ("SELECT prompt_id FROM edges WHERE prompt_id IN (4, 7) AND layer = 2", [4, 7]),
        ("with few as (select 6 as prompt_id) select * from few", [6]),
        ("SELECT unnest([1, 5, 999]) AS prompt_id", [1]),  # 5 is a reject, 999 is nowhere
    ],
)
def test_prompts_by_condition_or_query(run_dir: Path, sql: str, wanted: list[int]) -> None:
    reader = SelectedReader(run_dir, Selection(prompts=sql))
    assert reader.n_prompts == len(wanted)
    assert reader.rows("prompts", 0, 60)["prompt_id"].to_pylist() == wanted
    assert reader.buckets(8) == sorted({prompt // 8 for prompt in wanted})


def test_the_strongest_ranks_are_kept(tmp_path: Path, run_dir: Path) -> None:
    folder, index = site_of(run_dir, tmp_path / "site", "top_k=2", "writes.top_k=1")
    whole = rows_of(run_dir, "lens").to_pylist()
    assert stored(folder, index, "lens") == [row for row in whole if row["rank"] <= 2] != whole
    assert {row["rank"] for row in stored(folder, index, "writes")} == {1}
    assert index["selection"]["top_k"] == {"lens": 2, "writes": 1, "neurons": 2}


def test_the_strongest_neurons_of_each_place_are_kept(run_dir: Path) -> None:
    reader = SelectedReader(run_dir, Selection(top_k={"neurons": 2}))
    shares = [0.1, 0.5, 0.3, 0.2, 0.9, 0.4]
    rows = {"prompt_id": [0] * 5 + [1], "layer": [0, 0, 0, 0, 1, 1], "pos": [0, 0, 0, 1, 1, 1], "share": shares}
    kept = reader._cut("neurons", pa.table(rows)).to_pydict()
    assert kept["share"] == [0.5, 0.3, 0.2, 0.9, 0.4]


def test_the_strongest_dominant_neurons_go_with_the_neurons(run_dir: Path) -> None:
    reader = SelectedReader(run_dir, Selection(top_k={"neurons": 2}))
    assert reader._cut("dominant_neurons", pa.table({"prompt_id": [0] * 4, "rank": [1, 2, 3, 1]})).num_rows == 3


def test_tables_left_out_are_named_and_nowhere(tmp_path: Path, run_dir: Path) -> None:
    folder, index = site_of(run_dir, tmp_path / "site", "tables=-maps,-writes,-stats,-rejects")
    assert index["selection"]["left_out"] == ["writes", "maps", "stats", "rejects"]
    assert pq.read_metadata(folder / "rejects.parquet").num_rows == 0
    assert index["counts"]["rejects"] == rows_of(run_dir, "rejects").num_rows > 0
    assert index["stats"] is None
    assert index["tables"]["maps"] == index["tables"]["writes"] == {"rows": 0, "bytes": 0, "buckets": []}
    for name in ("maps", "writes", "stats"):
        assert not (folder / name).exists()
    only = read_selection(["tables=components, neurons"], "x")
    assert set(OPTIONAL) - set(only.left_out) == {"components", "neurons"}


def test_one_run_of_several_is_cut(tmp_path: Path, run_dir: Path) -> None:
    other = make_run(tmp_path / "other", 8)
    build_site([run_dir, other], tmp_path / "site", Wanted(select=("demo:prompts=prompt_id < 4", "tables=-maps")))
    first, second = (read(tmp_path / "site" / "data" / name / "index.json") for name in ("demo", "other"))
    assert (first["counts"]["prompts"], second["counts"]["prompts"]) == (4, 7)
    assert first["selection"]["left_out"] == second["selection"]["left_out"] == ["maps"]
    (pair,) = read(tmp_path / "site" / "data" / "catalogue.json")["compared"]
    (file,) = pair["tables"]["prompts"]["files"]
    assert sorted(pq.read_table(tmp_path / "site" / "data" / file["file"])["prompt_a"].to_pylist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("prompts", "key=value is needed"),
        ("prompts=", "a value is needed"),
        ("prompts=nothing_such > 2", "nothing_such"),
        ("prompts=prompt_id < 0", "has no such prompt"),
        ("prompts=SELECT layer FROM edges", "prompt_id"),
        ("prompts=COPY (SELECT 1) TO 'x'", "syntax error"),
        ("prompts=true); DROP TABLE prompts; --", "rror"),
        ("tables=-edges", "edges is none that may be left out, but components"),
        ("tables=-maps,writes", "either what to keep"),
        ("top_k=0", "a whole number of 1 or more"),
        ("edges.top_k=3", "there is no such key"),
        ("stranger:top_k=3", "there is no run stranger here, but demo"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path: Path, run_dir: Path, given: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_site([run_dir], tmp_path / "site", Wanted(select=(given,)))
    assert words in str(caught.value)
    assert given.split("=")[0] in str(caught.value)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("select", [(), ("prompts=prompt_id % 3 = 1", "lens.top_k=1", "tables=-neurons")])
def test_sizes_are_foretold(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch, select: tuple[str, ...]
) -> None:
    """From three small buckets of many: by table within a fifth, in all within a tenth; a dry run leaves nothing behind."""
    monkeypatch.setattr(bucket_sizes, "SAMPLED_BUCKETS", 3)
    wanted = Wanted(select=select)
    foretold = build_site([run_dir], tmp_path / "site", wanted, dry=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist"]
    built = build_site([run_dir], tmp_path / "site", wanted)
    grown = {"page", "index"}  # the catalogue and the indexes are written with the buckets
    sparse = {"answers", "generated"}  # of few prompts: three buckets say little of the others
    for name in foretold.parts.keys() - grown - sparse:
        part = built.parts.get(name, Part())
        assert foretold.parts[name].bytes == pytest.approx(part.bytes, rel=0.2), name
        assert foretold.parts[name].files == part.files, name
    there = [sum(part.bytes for name, part in one.parts.items() if name not in grown) for one in (foretold, built)]
    assert there[0] == pytest.approx(there[1], rel=0.1)


def test_a_site_that_is_too_large_is_refused_before_it_is_written(tmp_path: Path, run_dir: Path) -> None:
    build_site([run_dir], tmp_path / "site")
    before = files_of(tmp_path / "site")
    with pytest.raises(
        RunError, match=r"the site would be .*Small takes at most 100 kB: --select .*tables=-"
    ) as caught:
        build_site([run_dir], tmp_path / "site", Wanted(host=Host("Small", site_bytes=100_000)))
    assert "--host none" in str(caught.value)
    assert files_of(tmp_path / "site") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "site"]


def test_what_is_said_to_fit_fits(tmp_path: Path, run_dir: Path) -> None:
    """The advice, followed, leads to a site: first tables, then prompts."""
    whole = build_site([run_dir], tmp_path / "site", dry=True).whole
    for limit in (whole.bytes * 0.8, whole.bytes * 0.45):
        host = Host("Small", site_bytes=int(limit))
        with pytest.raises(RunError) as caught:
            build_site([run_dir], tmp_path / "site", Wanted(host=host))
        advice = str(caught.value).split("--select ")[1:]
        select = tuple(text.split("'")[1] if text.startswith("'") else text.split()[0] for text in advice)
        assert build_site([run_dir], tmp_path / "site", Wanted(select=select, host=host)).whole.bytes <= limit


def test_limits_of_one_file_and_of_the_number_of_files() -> None:
    parts = {"edges": Part(300, 30, 10), "maps": Part(500, 50, 200, True), "page": Part(5, 1, 5)}
    refuse_too_large(parts, 10, Host("Any", 805, 200, 81))
    with pytest.raises(
        RunError, match=r"a file of maps would be 200 B, .* at most 199 B a file: --select tables=-maps"
    ):
        refuse_too_large(parts, 10, Host("Any", file_bytes=199))
    with pytest.raises(RunError, match=r"would have 81 files, .* at most 80: --select tables=-maps"):
        refuse_too_large(parts, 10, Host("Any", files=80))
    with pytest.raises(RunError, match=r"-maps .*, and --select 'prompts=true ORDER BY hash\(prompt_id\) LIMIT 4'"):
        refuse_too_large(parts, 10, Host("Any", files=15))
    assert HOSTS["none"] == Host("a server of your own")


def test_no_advice_is_given_that_cannot_be_followed() -> None:
    parts = {"page": Part(100, 1, 5), "maps": Part(500, 50, 200, True), "edges": Part(400, 30, 10)}

    def advice(host: Host, n_runs: int = 1) -> str:
        with pytest.raises(RunError) as caught:
            refuse_too_large(parts, 10, host, n_runs)
        return str(caught.value).partition(": ")[2]

    github = HOSTS["github-pages"]
    assert advice(dataclasses.replace(github, own_bytes=50)) == "give a larger --max-size"
    assert advice(dataclasses.replace(github, own_bytes=50), 2) == "give a larger --max-size"
    assert advice(dataclasses.replace(github, own_bytes=120), 2) == "give fewer runs; or give a larger --max-size"
    assert advice(dataclasses.replace(github, own_bytes=600)).endswith("leaves out maps; or give a larger --max-size")
    assert advice(dataclasses.replace(github, own_bytes=10**9, file_bytes=100)).endswith(
        "or give --host none for a server of your own"
    )
    assert "LIMIT 4' to keep as many;" in advice(Host("Any", own_bytes=300))
    assert "LIMIT 2' to keep as many of each run;" in advice(Host("Any", own_bytes=300), 2)
