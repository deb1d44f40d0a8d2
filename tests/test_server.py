"""The local server: right headers, one folder only, and clear words when it cannot start."""

import gzip
import http.client
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowatlas import server as server_module
from flowatlas.errors import InputError, RunError
from flowatlas.server import accepts_gzip, make_server, serve

WASM = b"\0asm" + bytes(range(256)) * 40


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "data" / "a b").mkdir(parents=True)
    (site / "index.html").write_text("<!doctype html>")
    (site / "data" / "index.html").write_text("inside")
    (site / "app.js").write_text("x = 1;" * 500)
    (site / "engine.wasm").write_bytes(WASM)
    (site / "data" / "a b" / "ü.parquet").write_bytes(b"PAR1" + bytes(96))
    (site / "data" / "catalogue.json").write_text("{}")
    (site / ".hidden").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    (site / "linked").symlink_to(tmp_path)
    return site


@pytest.fixture
def port(site: Path) -> Iterator[int]:
    with make_server(site, 0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


@pytest.mark.parametrize(
    ("path", "mime"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/engine.wasm", "application/wasm"),
        ("/data/catalogue.json?v=1", "application/json"),
        ("/data/a%20b/%C3%BC.parquet", "application/octet-stream"),
    ],
)
def test_files_come_whole_with_their_type(port: int, site: Path, path: str, mime: str) -> None:
    response, body = ask(port, path)
    assert response.status == 200
    assert response.headers["Content-Type"] == mime
    assert response.headers["Cache-Control"] == "no-cache"
    assert len(body) == int(response.headers["Content-Length"])
    head, nothing = ask(port, path, "HEAD")
    assert (head.status, head.headers["Content-Length"], nothing) == (200, str(len(body)), b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/data/%2e%2e%2f%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/link.txt",
        "/linked/secret.txt",
        "/.hidden",
        "/app.js%00.html",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/missing.html",
        "/linked/",
        "/" + "a" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_outside_the_folder_is_served(port: int, path: str, method: str) -> None:
    response, body = ask(port, path, method)
    assert response.status == 404
    assert b"secret" not in body


def test_every_file_comes_with_the_policy_that_the_page_says_of_itself(port: int) -> None:
    config = (Path(__file__).parents[1] / "explorer" / "vite.config.js").read_text()
    lines = re.search(r"const POLICY = \[\n(.*?)\n\]", config, re.DOTALL)
    assert lines
    policy = "; ".join(line.strip().removesuffix(",")[1:-1] for line in lines[1].split("\n"))
    for path in ("/", "/app.js", "/data/catalogue.json"):
        response, _ = ask(port, path)
        assert response.headers["Content-Security-Policy"] == policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"


def test_a_folder_is_its_index_page(port: int) -> None:
    response, _ = ask(port, "/data?x=1")
    assert (response.status, response.headers["Location"]) == (301, "/data/?x=1")
    response, body = ask(port, "/data/")
    assert (response.status, body) == (200, b"inside")
    assert ask(port, "/data/a%20b/")[0].status == 404


def test_nothing_is_written(port: int) -> None:
    assert ask(port, "/index.html", "PUT")[0].status == 501


@pytest.mark.parametrize(
    ("asked", "status", "first", "stop"),
    [
        ("bytes=0-3", 206, 0, 4),
        ("bytes=96-", 206, 96, 100),
        ("bytes=-8", 206, 92, 100),
        ("bytes=-500", 206, 0, 100),
        ("bytes=90-500", 206, 90, 100),
        ("bytes=100-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-2", 200, 0, 100),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("lines=0-3", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
    ],
)
def test_ranges(port: int, site: Path, asked: str, status: int, first: int, stop: int) -> None:
    data = (site / "data" / "a b" / "ü.parquet").read_bytes()
    response, body = ask(port, "/data/a%20b/%C3%BC.parquet", Range=asked)
    assert (response.status, body) == (status, data[first:stop])
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {first}-{stop - 1}/100"
    if status == 416:
        assert response.headers["Content-Range"] == "bytes */100"


def test_large_texts_and_wasm_are_compressed_for_who_takes_it(port: int, site: Path) -> None:
    for _ in range(2):
        response, body = ask(port, "/engine.wasm", Accept_Encoding="br, gzip")
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert len(body) < len(WASM)
        assert gzip.decompress(body) == WASM
    assert ask(port, "/engine.wasm", Accept_Encoding="br")[1] == WASM
    for path in ("/data/a%20b/%C3%BC.parquet", "/data/catalogue.json"):
        assert ask(port, path, Accept_Encoding="gzip")[0].headers["Content-Encoding"] is None


def test_a_changed_file_is_served_changed_and_an_unchanged_one_not_again(port: int, site: Path) -> None:
    before, _ = ask(port, "/app.js", Accept_Encoding="gzip")
    tag = before.headers["ETag"]
    again, body = ask(port, "/app.js", Accept_Encoding="gzip", If_None_Match=tag)
    assert (again.status, body) == (304, b"")
    (site / "app.js").write_text("y = 22;" * 500)
    response, body = ask(port, "/app.js", Accept_Encoding="gzip", If_None_Match=tag)
    assert response.status == 200
    assert gzip.decompress(body).startswith(b"y = 22;")
    assert ask(port, "/app.js", Range="bytes=0-0", If_Range=tag)[0].status == 200


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        *(("gzip", True), ("GZIP;q=0.5", True), ("gzip;q=0", False), ("*", True), ("br", False), ("*;q=0", False)),
        *(("*, gzip;q=0", False), ("gzip; Q=0.000, *;q=1", False), ("gzip, *;q=0", True), ("", False)),
    ],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_only_this_machine_is_listened_to(site: Path) -> None:
    with make_server(site, 0) as running:
        assert running.server_address[0] == "127.0.0.1"


def test_a_port_in_use_says_which_option_mends_it(site: Path, port: int) -> None:
    with pytest.raises(InputError, match=f"port {port} is in use: give another one with --port"):
        make_server(site, port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_such_port(site: Path, port: int) -> None:
    with pytest.raises(InputError, match=f"there is no port {port}"):
        make_server(site, port)


def test_what_is_no_site_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no site .* `flowatlas site RUN --out"):
        serve(tmp_path, 0)
    (tmp_path / "plan.json").touch()
    with pytest.raises(
        RunError, match=f"{tmp_path} is a run: `flowatlas site {tmp_path} --out SITE` makes a site of it"
    ):
        serve(tmp_path, 0)


def test_serve_prints_its_address_once_and_ends_quietly_on_ctrl_c(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server_module.SiteServer, "serve_forever", interrupt)
    serve(site, 0)
    printed = capsys.readouterr()
    assert printed.out.count("http://127.0.0.1:") == 1
    assert printed.err == ""
