"""`flowatlas check SITE` finds every damage: a flipped bit, a truncation, a lost file, a stranger, in any file of a site."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from flowatlas.cli import main
from flowatlas.errors import RunError
from flowatlas.site import Wanted, build_site
from flowatlas.site_check import HASHES, check_site, files_of
from sites import small_explorer
from synthetic import Shape, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two runs of the same prompts."""
    folder = tmp_path_factory.mktemp("made")
    runs = [make_run(folder / "one", 20), make_run(folder / "two", 20, shape=Shape(seed=3))]
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_explorer(folder, monkeypatch)
        build_site(runs, folder / "site", Wanted(select=("two:tables=-maps",)))
    return folder / "site"


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "site"))


def test_a_whole_site_has_no_problem(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "CNAME").write_text("routes.example")
    (site / ".git").mkdir()
    (site / ".git" / "HEAD").write_text("ref")
    assert check_site(site) == []
    assert main(["check", str(site)]) == 0
    assert "no problem found" in capsys.readouterr().out


def test_a_flipped_bit_and_a_truncation_are_found_in_every_file(site: Path) -> None:
    rng, names = np.random.default_rng(5), files_of(site)
    assert len(names) > 60
    for name, path in names.items():
        whole = path.read_bytes()
        if not whole:
            continue
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        for damaged in (bytes(flipped), whole[: rng.integers(len(whole))]):
            path.write_bytes(damaged)
            problems = check_site(site)
            assert any(name in problem for problem in problems) or (name == HASHES and problems), name
        path.write_bytes(whole)
    assert check_site(site) == []


def test_a_lost_file_is_named_whichever_it_is(site: Path) -> None:
    for name, path in files_of(site).items():
        if name == "data/catalogue.json":
            continue
        whole = path.read_bytes()
        path.unlink()
        assert any(problem.startswith(f"{name} is missing") for problem in check_site(site)), name
        path.write_bytes(whole)


def test_strangers_and_links_are_named(site: Path, tmp_path: Path) -> None:
    run = site / "data" / "one"
    shutil.copy(run / "rejects.parquet", run / "edges" / "bucket-99.parquet")
    (site / "notes.txt").write_text("mine")
    assert check_site(site) == [
        "data/one/edges/bucket-99.parquet belongs to no run of this site",
        "notes.txt belongs to no run of this site",
    ]
    (site / "secret.txt").symlink_to(tmp_path)
    with pytest.raises(RunError, match=r"secret\.txt is a link"):
        check_site(site)


def test_what_is_no_site(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no site"):
        check_site(tmp_path)
