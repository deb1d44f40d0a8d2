"""Building a site: swapped in whole, never over anything else, and clear about what is missing."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowatlas import audit_store, site_run
from flowatlas import site as site_module
from flowatlas.errors import ConfigError, RunError, UnfinishedError
from flowatlas.files import hash_file
from flowatlas.front_page import FrontPage
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.site import Wanted, build_site, explorer_dir
from flowatlas.site_data import RunReader
from sites import files_of, flipped, read, small_explorer
from synthetic import (
    Dataset,
    Shape,
    finish,
    make_run,
    plan_of,
    write_made_up_shard,
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "made up" / "demo run")


@pytest.fixture(autouse=True)
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_explorer(tmp_path, monkeypatch)


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


def test_a_title_of_no_run_is_refused(tmp_path: Path, run_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"^runs.demo of site.yaml: there is no run demo here, but demo run$"):
        build_site([run_dir], tmp_path / "site", Wanted(FrontPage(runs={"demo run": "A", "demo": "B"})))
    assert not (tmp_path / "site").exists()


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


def test_one_flipped_bit_of_a_run_is_not_sealed_as_sound(tmp_path: Path) -> None:
    """Pyarrow and DuckDB read most of them as another number; each file is named, and the old site stays."""
    run, out = make_run(tmp_path / "run", 16), tmp_path / "site"
    audit_store.write(
        run,
        {name: table.empty() for name, table in AUDIT_TABLES.items()},
        {"made_from": audit_store.made_from(RunReader(run))},
    )
    build_site([run], out)
    before = files_of(out)
    damaged = {
        **{f"{table}/part-00001.parquet": "`flowatlas check" for table in TABLES},
        **{f"model/{table}.parquet": "`flowatlas check" for table in MODEL_TABLES},
        **{f"stats/{table}.parquet": "`flowatlas stats" for table in ("importance", "examples")},
        "audit/curves.parquet": "`flowatlas audit",
    }
    for name, mended in damaged.items():
        with (
            flipped(run / name),
            pytest.raises(RunError, match=f"{run / name} is damaged .*: {mended} {run}` ") as caught,
        ):
            build_site([run], out, progress=False)
        assert "\n" not in str(caught.value)
    assert files_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "run", "site"]


def test_what_duckdb_reads_for_a_site_is_what_was_written(tmp_path: Path) -> None:
    """Statistics that are yet to be made, prompts that are chosen by SQL, tables that are left out, runs that are compared."""
    run, other = make_run(tmp_path / "run", 16), make_run(tmp_path / "other", 16, shape=Shape(seed=2))
    whole_query = Wanted(select=("run:prompts=SELECT prompt_id FROM maps", "tables=-maps"))
    for name, runs, wanted in (
        ("lens/part-00000.parquet", [run], Wanted()),
        ("maps/part-00001.parquet", [run], whole_query),
        ("components/part-00000.parquet", [other, run], Wanted(select=("tables=-components,-stats",))),
    ):
        with flipped(run / name), pytest.raises(RunError, match=f"{name} is damaged"):
            build_site(runs, tmp_path / "site", wanted, progress=False)
    assert not (run / "stats").exists()


def test_what_is_left_behind_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", 8)
    for name in ("audit", "vocab", "interventions/no heads"):
        (run / name).mkdir(parents=True)
    build_site([run], tmp_path / "site", progress=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        f"the site goes without {name} of run" for name in ("audit", "vocab", "interventions/no heads")
    ]
    build_site([run], tmp_path / "site", Wanted(select=("tables=-stats,-vocab,-interventions",)), progress=False)
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_one_line_and_the_old_site_stays(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    build_site([run_dir], out)
    before = files_of(out)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site_run, "write", full)
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
