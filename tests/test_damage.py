"""Whatever stands in a file or on a command line: rows, rejects, or one line of ours; never a traceback, never a way out.

Damaged Parquet of runs and sites: test_check, test_site_check, test_seal. Here: prompt files, configuration, site.yaml,
the JSON files of a run, and names that become paths.
"""

import contextlib
import copy
import json
import posixpath
import shutil
import string
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowatlas.check import check
from flowatlas.compose import run_config
from flowatlas.config import DatasetConfig
from flowatlas.errors import InputError
from flowatlas.front_page import read_front_page
from flowatlas.manifest import read_manifest
from flowatlas.prompts import open_dataset
from flowatlas.publish import _folder
from flowatlas.rows import extra_json
from flowatlas.selection import read_selection
from flowatlas.server import make_server
from flowatlas.site import run_ids
from flowatlas.site_data import RunReader
from flowatlas.status import main_lines
from synthetic import make_run

few = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ours(call: Callable[..., Any], *args: Any) -> Any:
    """What a call returns; None where it refuses the input in so many words. Anything else that it raises is a bug."""
    with contextlib.suppress(InputError):
        return call(*args)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` after a few bits flipped, a part cut out, and something put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    first, length = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 0, 1, 4, 64, len(data)]))
    data[first : first + length] = draw(
        st.sampled_from([b"", b"\0", b"\xff\xfe", b'"', b"\n", b"[[", b"\\ud800", b"\r"])
    )
    return bytes(data)


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    table = {
        "text": ["one", "two", None] * 3,
        "targets": [[0], None, [1, 2]] * 3,
        "more": [{"a": 1}, None, {"a": 2}] * 3,
    }
    pq.write_table(pa.table(table), sink, row_group_size=4)
    return sink.getvalue().to_pybytes()


FILES = {
    ".txt": "one\n\ntwo ünï\n".encode(),
    ".jsonl": b'{"text": "one", "targets": [0, -1], "x": {"y": [1e9, null]}}\n{"text": "two", "answer": "b", "id": 7}\n'
    * 2,
    ".csv": 'text,answer,targets\n"o ""n""\ne",b,"[0]"\ntwo ü,,3\n'.encode(),
    ".parquet": parquet(),
}


@few
@given(data=st.data(), suffix=st.sampled_from(list(FILES)))
def test_any_bytes_are_rows_or_rejects_or_one_line(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data.draw(damaged(FILES[suffix]) | st.binary(max_size=80)))

    def read() -> list:
        return list(open_dataset(DatasetConfig(path=str(path))).rows())

    rows = ours(read) or []
    assert [row.prompt_id for row in rows] == list(range(len(rows)))
    for row in rows:
        assert (row.text is None) == (row.problem is not None)
        "".join([row.source_id, row.text or "", extra_json(row.extra) or "", *(row.problem or ())]).encode()


def composed(*args: str) -> int:
    return run_config(["model=demo", "dataset=demo", *args], lambda config: 0, lambda error: error.exit_code)


KEYS = (
    "routes.floor",
    "routes.targets",
    "run.limit",
    "model.name",
    "model.max_memory",
    "dataset.columns.text",
    "cluster",
)
VALUES = st.sampled_from(
    ["1", "-1", "nan", "[1,-1]", "{a:1}", "true", "null", "'x", '"', "${x}", "${", "1,2", "9" * 5000]
)


@settings(max_examples=20)
@example("", "cluster", "null")
@given(st.sampled_from(["", "+", "++", "~"]), st.sampled_from(KEYS), VALUES | st.text(max_size=12))
def test_any_override_composes_or_is_one_line(prefix: str, key: str, value: str) -> None:
    assert ours(composed, f"{prefix}{key}={value}") in (0, None)


@few
@given(
    st.text(max_size=20) | st.text("prompts=tables.k:5-,maps\n ", max_size=20), st.sampled_from(["top_k", "tables", ""])
)
def test_any_selection_is_read_or_is_one_line(text: str, key: str) -> None:
    ours(read_selection, [text, f"{key}={text}", f"{key}={'9' * 5000}"], "demo")


ABOUT = b"title: A\nauthors:\n  - {name: B, orcid: 0000-0002-1825-0097}\nlinks: {Paper: https://a.b}\nruns: {demo: D}\n"


@few
@given(damaged(ABOUT) | st.binary(max_size=40))
def test_any_site_yaml_is_a_front_page_or_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "site.yaml").write_bytes(content)
    page = ours(read_front_page, tmp_path / "site.yaml")
    for link in page.links if page else ():
        assert urllib.parse.urlsplit(link["url"]).scheme in ("http", "https")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", 8)


def places(value: Any, way: tuple = ()) -> Iterator[tuple]:
    """The way to every value in a JSON document, the whole first."""
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*way, key))


STRANGE = st.sampled_from([None, True, -1, 0, 7.5, 10**12, "", "../../up", "\ud800", [], [[]], {}, {"a": None}])


@st.composite
def documents(draw: st.DrawFn, whole: dict) -> bytes:
    """A JSON document in which one value is another or is gone, or whose text is damaged."""
    if draw(st.booleans()):
        return draw(damaged(json.dumps(whole).encode()) | st.just(b"[" * 100_000))
    document = {"all": copy.deepcopy(whole)}
    *way, last = draw(st.sampled_from(list(places(document))[1:]))
    place: Any = document
    for key in way:
        place = place[key]
    if draw(st.booleans()) and place is not document:
        del place[last]
    else:
        place[last] = draw(STRANGE)
    return json.dumps(document["all"]).encode()


@settings(few, max_examples=30)
@given(
    data=st.data(),
    name=st.sampled_from(["plan.json", "manifest.json", "shards/part-00000.json", "claims/part-00000-x.0"]),
)
def test_a_runs_json_says_that_it_is_damaged(
    run_dir: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    run = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(run_dir, run, copy_function=lambda old, new: Path(new).symlink_to(old))
    source = run_dir / name
    whole = (
        json.loads(source.read_bytes()) if source.exists() else {"event": "take", "worker": {"id": "a", "host": "b"}}
    )
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    (run / name).write_bytes(data.draw(documents(whole)))
    ours(data.draw(st.sampled_from([main_lines, read_manifest, RunReader, check])), run)


@given(st.lists(st.text(max_size=8) | st.sampled_from(["..", ".", "a/../b", "", "a", "A", "con\0"]), max_size=6))
def test_a_runs_name_is_one_folder_of_the_site(names: list[str]) -> None:
    ids = run_ids(names)
    assert len({id_.casefold() for id_ in ids}) == len(names)
    for id_ in ids:
        assert set(id_) <= set(string.ascii_letters + string.digits + "._-")
        assert id_.strip("-.") == id_ != ""


WAY = st.lists(
    st.sampled_from(["..", ".", "a", ".git", "", "b c", "\\", "\0", "..."]) | st.text(max_size=3), max_size=5
)


@given(WAY)
def test_a_folder_of_a_branch_stays_in_it(parts: list[str]) -> None:
    folder = ours(_folder, "/".join(parts))
    assert folder is None or posixpath.normpath(f"/top/{folder}x").startswith("/top/")


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path | None]]:
    """What a server finds under an address; beside its folder lies a secret, and a link in it leads there."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret.txt").write_text("secret")
    (folder / "site" / "a").mkdir(parents=True)
    (folder / "site" / "index.html").write_text("page")
    (folder / "site" / "a" / "link").symlink_to(folder)
    with make_server(folder / "site", 0) as server:
        yield server.find  # pyright: ignore[reportAttributeAccessIssue]


STEPS = st.sampled_from(
    ["..", "%2e%2e", "%2E.", ".", "%2f", "%5c", "a", "link", "secret.txt", "%00", "%", "", "?", "#"]
)


@given(st.lists(STEPS | st.text(max_size=3), max_size=7), st.sampled_from(["/", "%2f", ""]))
def test_no_address_leads_out_of_a_site(find: Callable[[str], Path | None], parts: list[str], between: str) -> None:
    found = find("/" + between.join(parts))
    assert found is None or "site" in (parent.name for parent in (found, *found.parents))
    assert found is None or found.name != "secret.txt"
