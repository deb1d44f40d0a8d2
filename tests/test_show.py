"""`flowatlas.show`: a run or a site in a notebook's cell, served by the process that asked for it."""

import re
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest

import flowatlas
from flowatlas.errors import InputError, RunError
from flowatlas.names_file import FILE
from flowatlas.notebook import ADDRESS, Shown
from flowatlas.site import build_site
from sites import small_explorer
from synthetic import Shape, make_run


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_explorer(tmp_path, monkeypatch)
    return make_run(tmp_path / "demo run", 11, shape=Shape(layers=2, heads=2, seed=1))


@pytest.fixture
def close():
    """Views that a test opens are closed after it."""
    shown: list[Shown] = []
    yield lambda view: shown.append(view) or view
    for view in shown:
        view.close()


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def frame_of(shown: Shown) -> dict[str, str | None]:
    found: list[dict[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag == "iframe"
            found.append(dict(attrs))

    Reader().feed(shown._repr_html_())
    return found[0]


def test_a_prompt_of_a_run(run_dir: Path, close) -> None:
    shown = close(flowatlas.show(run_dir, prompt=3, tau=0.1, faint=False, sel="1.post.2", height=400))
    base, _, address = shown.url.partition("#")
    assert base.startswith("http://127.0.0.1:")
    assert address == "/demo-run/p/3?embed=graph&tau=0.1&faint=0&sel=1.post.2"
    assert fetched(base) == b"<!doctype html>"
    assert b'"demo-run"' in fetched(base + "data/catalogue.json")
    frame = frame_of(shown)
    assert frame["src"] == shown.url
    assert "height: 400px" in (frame["style"] or "")
    assert shown.url in repr(shown)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "/demo-run/prompts?embed=page"),
        ({"prompt": 0, "embed": "panel", "tab": None}, "/demo-run/p/0?embed=panel"),
        ({"view": "head/L1H0"}, "/demo-run/head/L1H0?embed=page"),
        ({"view": "corpus", "group": 'a&b "c" é'}, "/demo-run/corpus?embed=page&group=a%26b+%22c%22+%C3%A9"),
        ({"view": "demo-run/map"}, "/demo-run/map?embed=page"),
    ],
)
def test_views_and_what_they_are_of(run_dir: Path, close, options: dict, address: str) -> None:
    shown = close(flowatlas.show(run_dir, **options))
    assert shown.url.partition("#")[2] == address
    assert frame_of(shown)["src"] == shown.url


def test_a_run_is_made_into_a_site_once_and_again_when_it_changed(run_dir: Path, close) -> None:
    def made() -> tuple[str, int]:
        shown = close(flowatlas.show(run_dir))
        return shown.url, (shown._site.site / "index.html").stat().st_ino

    first = made()
    assert made() == first
    (run_dir / FILE).write_text("L0H0: first")
    url, file = made()
    assert (url, file != first[1]) == (first[0], True)
    assert fetched(url.partition("#")[0] + "data/demo-run/names.json")


def test_a_site_is_served_as_it_is(run_dir: Path, tmp_path: Path, close) -> None:
    other = make_run(tmp_path / "other", 5, shape=Shape(layers=2, heads=2, seed=2))
    build_site([run_dir, other], tmp_path / "site")
    shown = close(flowatlas.show(tmp_path / "site", prompt=1))
    assert "#/demo-run/p/1?" in shown.url
    assert "#/other/corpus?" in flowatlas.show(tmp_path / "site", view="other/corpus").url
    assert fetched(shown.url.partition("#")[0]) == (tmp_path / "site" / "index.html").read_bytes()


def test_closing_ends_the_server_and_takes_the_site_away(run_dir: Path) -> None:
    shown = flowatlas.show(run_dir)
    folder = shown._site.site
    assert folder.exists()
    shown.close()
    assert not folder.exists()
    with pytest.raises(urllib.error.URLError):
        fetched(shown.url)
    flowatlas.show(run_dir).close()


def test_its_options_are_those_of_an_address() -> None:
    """The keys of all views' parameters in state.js, of a run's."""
    state = (Path(__file__).parents[1] / "explorer" / "src" / "state.js").read_text()
    declared = state[state.index("const COMPONENT = ") :].split("\n};\n")[0]
    assert set(re.findall(r"(\w+): (?:COMMON\.|choice\(|\{ default)", declared)) == ADDRESS


def test_what_cannot_be_shown(run_dir: Path, tmp_path: Path, close) -> None:
    with pytest.raises(RunError):
        flowatlas.show(tmp_path / "nothing")
    with pytest.raises(InputError, match="not both"):
        flowatlas.show(run_dir, prompt=1, view="corpus")
    for wrong in (-1, "x", 1.5, True):
        with pytest.raises(InputError, match=f"a whole number of 0 or more, and {wrong!r} is none"):
            flowatlas.show(run_dir, prompt=wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="show has no option prompts: an address may have a, as, "):
        flowatlas.show(run_dir, prompts=3)
    with pytest.raises(InputError, match="embed='all': it may be page, graph, panel"):
        flowatlas.show(run_dir, embed="all")
    with pytest.raises(InputError, match="as keywords"):
        flowatlas.show(run_dir, view="corpus?measure=effect")
    port = int(close(flowatlas.show(run_dir)).url.split(":")[2].partition("/")[0])
    with pytest.raises(InputError, match=f"port {port} is in use"):
        flowatlas.show(run_dir, port=port)
