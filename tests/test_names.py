"""names.yaml beside a run: what it may hold, what is refused with its line, and what a site makes of it."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flowatlas.check import check
from flowatlas.errors import RunError
from flowatlas.names_file import FILE, LONGEST, Named, read_names
from flowatlas.site import build_site
from sites import files_of, read, small_explorer
from synthetic import make_run

ROOT = Path(__file__).parents[1]
MODEL = {"n_layers": 4, "n_heads": 4, "d_mlp": 512, "without_neurons": [2]}


def named(folder: Path, text: str | bytes) -> tuple[dict[str, Named], list[str]]:
    (folder / FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_names(folder, MODEL)


def test_what_a_file_may_hold(tmp_path: Path) -> None:
    text = """\
# comments are welcome
2.1: name mover
l0n511: {label: no, note: 1e3}
3 MLP:
  note: |
    first line

    third line
L1 attention: "# not a comment"
Cluster 7: years
"""
    names, problems = named(tmp_path, text)
    assert problems == []
    assert names == {
        "L2H1": Named("name mover", ""),
        "L0N511": Named("no", "1e3"),
        "L3 MLP": Named("", "first line\n\nthird line"),
        "L1 attention": Named("# not a comment", ""),
        "cluster 7": Named("years", ""),
    }


@pytest.mark.parametrize("text", ["", "# nothing yet\n", None])
def test_no_file_or_an_empty_one_names_nothing(tmp_path: Path, text: str | None) -> None:
    assert (read_names(tmp_path, MODEL) if text is None else named(tmp_path, text)) == ({}, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Mary: x", "line 1: 'Mary' names no component"),
        ("L0H0: a\nL4H0: b", "line 2: this model has no L4H0: its layers are L0 to L3"),
        ("L0H4: a", "line 1: this model has no L0H4: its heads are H0 to H3"),
        ("L0N512: a", "line 1: this model has no L0N512: its neurons are N0 to N511"),
        ("L2N1: a", "line 1: this model has no L2N1: the neurons of layer 2 cannot be told apart"),
        ("L0H0: a\n\n0.0: b", "line 3: L0H0 is named twice"),
        ("L0H0: {label: a, label: b}", "line 1: 'label' stands twice"),
        ("L0H0:\n  color: red", "line 2: 'color' is unknown: write label and note"),
        ("L0H0: [a]", "line 1: text is wanted here, not a list or mapping"),
        ("L0H0: {label: [a]}", "line 1: text is wanted here"),
        ("[a]: b", "line 1: text is wanted here"),
        ("- L0H0", "line 1: it must hold lines like"),
        ("L0H0:", "line 1: neither a label nor a note"),
        ("L0H0: {label: ' ', note: ''}", "line 1: neither a label nor a note"),
        (f"L0H0: {'a' * 81}", "line 1: the label has 81 characters, of 80 at most"),
        (f"L0H0: {{note: {'a' * 2001}}}", "line 1: the note has 2,001 characters, of 2,000 at most"),
        ("L0H0: 'open", "line 1: no YAML (found unexpected end of stream)"),
        ("L0H0: a\n---\nL0H1: b", "line 2: no YAML"),
        ('L0H0: "\\ud800"', "line 1: half a character"),
        (b"L0H0: \xff", "line 1: no YAML"),
        ("[" * 20_000, "line 1: no YAML (maximum recursion depth exceeded"),
        ("#" * 1_000_001, "line 1: it is larger than 1,000,000 bytes"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str | bytes, problem: str) -> None:
    names, problems = named(tmp_path, text)
    assert len(problems) == 1
    assert re.match(rf"{re.escape(FILE)}, {re.escape(problem)}", problems[0])
    assert set(names) <= {"L0H0"}


CLUSTERS = MODEL | {"clustering": "3f2a9c1b7d10", "n_clusters": 8}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clustering: 3f2a9c1b7d10\ncluster 7: a", None),
        ("cluster 7: a\nclustering: '3f2a9c1b7d10'", None),
        ("L0H0: a", None),
        (
            "cluster 7: a\ncluster 6: b",
            "line 1: cluster 7 has a number that other clusterings have too: `clustering: 3f2a",
        ),
        (
            "clustering: other\ncluster 7: a\ncluster 6: b",
            "line 2: cluster 7 is of the clustering other, and this run has",
        ),
        ("clustering: 3f2a9c1b7d10\ncluster 8: a", "line 2: this model has no cluster 8: its clusters are 0 to 7"),
        ("clustering: a\nclustering: b", "line 2: clustering stands twice"),
        ("clustering: [a]", "line 1: text is wanted here"),
    ],
)
def test_names_of_clusters_say_which_clustering_they_are_of(tmp_path: Path, text: str, problem: str | None) -> None:
    (tmp_path / FILE).write_text(text)
    names, problems = read_names(tmp_path, CLUSTERS)
    assert [found.startswith(f"{FILE}, {problem}") for found in problems] == ([] if problem is None else [True])
    assert (names == {}) == (problem is not None)
    if problem is None:
        assert read_names(tmp_path, MODEL) == (names, []), "a run without an atlas has nothing to compare with"


def test_every_line_that_is_wrong_is_told(tmp_path: Path) -> None:
    names, problems = named(tmp_path, "L9H0: a\nL0H0: b\nfoo: c\n")
    assert names == {"L0H0": Named("b", "")}
    assert [problem.split(":")[0] for problem in problems] == ["names.yaml, line 1", "names.yaml, line 3"]


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    names, (problem,) = read_names(tmp_path, MODEL)
    assert not names
    assert "Is a directory" in problem


@pytest.mark.parametrize(
    "text",
    [
        "L0H0: !!python/object/apply:os.system [touch made]",
        "L0H0: !!python/name:os.system ''",
        "&a L0H0: &b {label: &c x, note: *c, <<: *b}",
        "L0H0: &a [*a]",
        # one anchor of ten of the one before it, and so on: what each stands for is never written out
        "\n".join([f"x{i}: &x{i} [{', '.join([f'*x{i - 1}' if i else 'lol'] * 10)}]" for i in range(30)]),
    ],
)
def test_yaml_that_would_do_more_than_name_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names, problems = named(tmp_path, text)
    assert all(isinstance(name, str) for name in names)
    assert problems or names == {"L0H0": Named("", "")}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@given(
    entries=st.dictionaries(
        st.sampled_from(["L0H0", "L3N9", "L1 MLP", "cluster 3"]),
        st.tuples(st.text(max_size=80), st.text(min_size=1, max_size=300)),
        min_size=1,
    )
)
def test_any_text_is_text(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, tuple[str, str]]) -> None:
    """Whatever characters a label or note has, they come back, up to spaces around them and a label's line ends."""
    wanted = {
        name: Named(" ".join(label.split()), note.strip()) for name, (label, note) in entries.items() if note.strip()
    }
    text = yaml.safe_dump({name: {"label": entries[name][0], "note": entries[name][1]} for name in wanted})
    assert named(tmp_path_factory.mktemp("names"), text) == (wanted, [])


def test_the_page_has_the_same_limits() -> None:
    source = (ROOT / "explorer" / "src" / "names.js").read_text()
    found = re.search(r"LONGEST = \{ label: (\d+), note: (\d+) \}", source)
    assert found
    assert {"label": int(found[1]), "note": int(found[2])} == LONGEST


HOSTILE = "<img src=x onerror=alert(1)> \u202e'; DROP"


def test_a_site_takes_them_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = make_run(tmp_path / "run"), tmp_path / "site"
    small_explorer(tmp_path, monkeypatch)
    build_site([run], out)
    bare = files_of(out)
    assert read(out / "data" / "run" / "index.json")["n_names"] == 0
    assert not (out / "data" / "run" / "names.json").exists()
    (run / FILE).write_text(yaml.safe_dump({"L0H1": {"label": HOSTILE, "note": "two\nlines"}, "L1 MLP": "last"}))
    build_site([run], out)
    index = read(out / "data" / "run" / "index.json")
    assert index["n_names"] == 2
    assert read(out / "data" / "run" / "names.json") == {
        "L0H1": {"label": HOSTILE, "note": "two\nlines"},
        "L1 MLP": {"label": "last", "note": ""},
    }
    (run / FILE).unlink()
    build_site([run], out)
    assert files_of(out) == bare


def test_another_name_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser's cache must not show the names of an older site."""
    run = make_run(tmp_path / "run")
    small_explorer(tmp_path, monkeypatch)
    versions = set()
    for label in ("one", "other"):
        (run / FILE).write_text(f"L0H0: {label}")
        build_site([run], tmp_path / "site")
        versions.add(read(tmp_path / "site" / "data" / "run" / "index.json")["version"])
    assert len(versions) == 2


def test_a_wrong_file_stops_the_site_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")
    small_explorer(tmp_path, monkeypatch)
    (run / FILE).write_text("L0H0: fine\nL99H0: far\nfoo: bar\n")
    with pytest.raises(RunError, match=r"run/names\.yaml, line 2: this model has no L99H0.*\(and 1 more"):
        build_site([run], tmp_path / "site")
    assert not (tmp_path / "site").exists()
    problems = check(run)
    assert [problem.split(":")[0] for problem in problems] == ["names.yaml, line 2", "names.yaml, line 3"]
    (run / FILE).write_text("L0H0: fine\n")
    assert check(run) == []
