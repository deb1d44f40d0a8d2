"""The wheel by itself: built, installed in an empty environment far from the checkout, it runs the demo end to end.

The environment gets the packages that the wheel's own metadata leads to and no others, each a link to the one that the tests
run with. So this shows that `pip install` of the wheel brings all that is needed; not that an index has every version that is
allowed.
"""

import email
import os
import re
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pins

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    _succeeds(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            ROOT,
        ],
        folder,
    )
    (built,) = folder.glob("flowatlas-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel, and by links what it declares to need."""
    place = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    found = _succeeds([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], place).strip()
    _link(pins.closure(_declared(wheel)), Path(found))
    pip = [sys.executable, "-m", "pip", "--python", python]
    _succeeds([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], place)
    _succeeds([*pip, "check"], place)
    return place / "bin"


def _declared(wheel: Path) -> list[Requirement]:
    """What the wheel says that it needs, extras apart."""
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    lines = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist", [])
    return [one for one in map(Requirement, lines) if "extra" not in str(one.marker)]


def _link(names: Iterable[str], into: Path) -> None:
    """What each distribution has put beside the others (packages, libraries, metadata), into another place for packages."""
    for name in names:
        here = distribution(name)
        for top in _tops(here):
            if not (into / top).exists():
                (into / top).symlink_to(Path(str(here.locate_file(top))))


def _tops(here: Distribution) -> set[str]:
    if here.read_text("RECORD") is not None:
        return {file.parts[0] for file in here.files or [] if file.parts[0] != ".."}
    metadata = (
        f"{here.name.replace('-', '_')}-*.egg-info"  # an older pip's, from source: without a list of what is there
    )
    found = [path.name for path in Path(str(here.locate_file(""))).glob(metadata)]
    return {*found, *(here.read_text("top_level.txt") or "").split()}


def _succeeds(command: list, cwd: Path, path: str | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=_environment(path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _environment(path: str | None) -> dict[str, str]:
    """Ours without anything that leads to the checkout; with `path`, nothing else can be called either."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"PATH": path or os.environ["PATH"], "HF_HUB_OFFLINE": "1"}


def test_what_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("flowatlas/") for name in names if name.startswith("flowatlas/")}
    wanted = {
        "conf": ROOT / "conf",
        "data/models/demo": ROOT / "data/models/demo",
        "data/prompts": ROOT / "data/prompts",
    }
    wanted["explorer"] = ROOT / "explorer" / "dist"
    for place, folder in wanted.items():
        files = {f"{place}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()}
        assert len(files) > 1
        assert files <= inside, place
    assert {f"{path.stem}.py" for path in (ROOT / "pipeline" / "flowatlas").glob("*.py")} <= inside
    assert not [name for name in names if "node_modules" in name or name.startswith(("tests/", "pipeline/"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("far away")


@pytest.fixture(scope="module")
def served(installed: Path, folder: Path) -> Iterator[str]:
    """The address of a site that the installed wheel made and serves; only the environment's own programs can be called."""
    path = str(installed)
    where = _succeeds([installed / "python", "-c", "import flowatlas; print(flowatlas.__file__)"], folder, path)
    assert where.startswith(str(installed.parent)), "the checkout's own package was found"
    absent = "import importlib.util as u; print([n for n in ('pytest', 'playwright', 'matplotlib', 'peft') if u.find_spec(n)])"
    assert _succeeds([installed / "python", "-c", absent], folder, path).strip() == "[]"
    command = [installed / "flowatlas"]
    _succeeds(
        [*command, "run", "model=demo", "dataset=demo", "run.dir=run", "run.limit=4", "run.progress=false"],
        folder,
        path,
    )
    assert "no problem found" in _succeeds([*command, "check", "run"], folder, path)
    _succeeds([*command, "site", "run", "--out", "site"], folder, path)
    server = subprocess.Popen(
        [installed / "python", "-u", "-m", "flowatlas.cli", "serve", "site", "--port", "0"],
        cwd=folder, env=_environment(path), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout
    found = re.search(r"http://\S+/", server.stdout.readline())
    assert found
    yield found[0]
    server.terminate()
    server.wait()


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=20) as response:
        return response.read()


def test_the_demo_without_node_and_without_the_checkout(served: str) -> None:
    page = _get(served).decode()
    scripts = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page)
    assert any(name.endswith(".js") for name in scripts)
    for name in scripts:
        assert len(_get(served + name)) > 100
    assert b'"n_prompts": 4' in _get(served + "data/catalogue.json")
    assert _get(served + "data/run/edges/bucket-0.parquet")[:4] == b"PAR1"
