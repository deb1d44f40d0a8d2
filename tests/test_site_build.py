"""Building a site: swapped in whole, never over anything else, and clear about what is missing."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowatlas import site as site_module
from flowatlas import site_run
from flowatlas.errors import RunError, UnfinishedError
from flowatlas.files import hash_file
from flowatlas.site import build_site, explorer_dir
from sites import files_of, read, small_explorer
from synthetic import (
    Dataset,
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
