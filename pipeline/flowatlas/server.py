"""A small file server for looking at a site on one's own machine: loopback only, reads only, one folder only."""

import contextlib
import errno
import gzip
import http.server
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from flowatlas.errors import InputError, no_site

HOST = "127.0.0.1"
MIME = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".parquet": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
# The page says the same of itself (explorer/vite.config.js), for hosts that send no such header.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'nonce-flowatlas-editor';"
    " style-src-attr 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; worker-src blob:;"
    " base-uri 'none'; form-action 'none'"
)
ALWAYS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
COMPRESSIBLE = {".css", ".html", ".js", ".json", ".map", ".md", ".mjs", ".svg", ".txt", ".wasm", ".webmanifest"}
COMPRESS_FROM = 1_000
CACHE_BYTES = 64_000_000
CHUNK = 1 << 16


def serve(site: Path, port: int) -> None:
    """Serve a site until Ctrl-C; prints its address once. `port` 0 takes a free one.

    Raises RunError for a folder that is no site, InputError for a port that cannot be had.
    """
    with make_server(site, port) as server:
        print(f"{site} is served at http://{HOST}:{server.server_address[1]}/ (end with Ctrl-C)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def make_server(site: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server that listens but does not yet answer; `server_address[1]` is its port. Errors as in serve."""
    check_site(site, port)
    with port_in_words(port):
        return SiteServer(site, port)


def check_site(site: Path, port: int) -> None:
    """Raises RunError for a folder that is no site, InputError for a port that there is not."""
    if not (site / "index.html").is_file():
        raise no_site(site, "index.html")
    if not 0 <= port <= 65535:
        raise InputError(f"there is no port {port}: give one from 1 to 65535 with --port")


@contextlib.contextmanager
def port_in_words(port: int) -> Iterator[None]:
    """What goes wrong when a server is made, as InputError."""
    try:
        yield
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({os.strerror(error.errno or 0)})"
        raise InputError(f"port {port} {reason}: give another one with --port") from error


class SiteServer(http.server.ThreadingHTTPServer):
    """Serves the files of a site; a `handler` answers each connection."""

    daemon_threads = True
    request_queue_size = 128  # connections that wait to be taken: with the default of 5 a burst of them is reset

    def __init__(self, site: Path, port: int, handler: "type[SiteHandler] | None" = None) -> None:
        self.site = site.resolve()
        self._compressed: dict[str, tuple[str, bytes]] = {}
        self._lock = threading.Lock()
        self._compressing: dict[str, threading.Lock] = {}
        super().__init__((HOST, port), handler or SiteHandler)
        # The engine takes most of a second: it is compressed while the reader still opens the browser.
        threading.Thread(target=self._warm, daemon=True).start()

    def _warm(self) -> None:
        for path in self.site.glob("assets/*.wasm"):
            with contextlib.suppress(OSError):
                self.compressed(path, tag_of(path.stat()))

    def find(self, url: str) -> Path | None:
        """The file that a request's path means; None when there is none inside the site."""
        return file_in(self.site, url)

    def compressed(self, path: Path, tag: str) -> bytes:
        """The file as gzip, made once and kept in memory while it does not change (the engine alone is 18 MB)."""
        key = str(path)
        with self._lock:
            mine = self._compressing.setdefault(key, threading.Lock())
        with mine:  # who asks while it is made waits for it
            kept = self._compressed.get(key)
            if kept and kept[0] == tag:
                return kept[1]
            data = gzip.compress(path.read_bytes(), 6, mtime=0)
            with self._lock:
                if len(data) + sum(len(other) for _, other in self._compressed.values()) > CACHE_BYTES:
                    self._compressed.clear()
                self._compressed[key] = (tag, data)
            return data

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no error worth a traceback on the terminal."""


class SiteHandler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD with files, compressed or in ranges where that is asked for."""

    server: SiteServer
    protocol_version = "HTTP/1.1"
    server_version = "flowatlas"
    timeout = 60

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: the terminal shows the address and nothing else."""

    def _answer(self, body: bool) -> None:
        path = self.server.find(self.path)
        if path is not None and path.is_dir():
            url = urllib.parse.urlsplit(self.path)
            if not url.path.endswith("/"):
                return self._redirect("/" + url.path.strip("/") + "/" + ("?" + url.query if url.query else ""))
            path = self.server.find(url.path + "index.html")
        if path is None or not path.is_file():
            return self.send_error(HTTPStatus.NOT_FOUND, "not found")
        try:
            file = path.open("rb")
        except OSError:
            return self.send_error(HTTPStatus.NOT_FOUND, "not found")
        with file:
            self._send(path, file, body)

    def _redirect(self, where: str) -> None:
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: Path, file: BinaryIO, body: bool) -> None:
        info = os.fstat(file.fileno())
        size, tag = info.st_size, tag_of(info)
        suffix = path.suffix.lower()
        if self.headers.get("If-None-Match", "").strip() in (f'"{tag}"', f'"{tag}-gz"'):
            return self._head(HTTPStatus.NOT_MODIFIED, {"ETag": self.headers["If-None-Match"].strip()})
        fields = {"Content-Type": MIME.get(suffix, "application/octet-stream"), "ETag": f'"{tag}"'}
        wanted = self._range(size, f'"{tag}"')
        if wanted is not None:
            return self._send_range(file, wanted, size, fields, body)
        fields["Accept-Ranges"] = "bytes"
        if suffix in COMPRESSIBLE and size >= COMPRESS_FROM:
            fields["Vary"] = "Accept-Encoding"
            if accepts_gzip(",".join(self.headers.get_all("Accept-Encoding", []))):
                return self._send_gzip(self.server.compressed(path, tag), tag, fields, body)
        self._head(HTTPStatus.OK, {**fields, "Content-Length": str(size)})
        if body:
            self._copy(file, size)

    def _send_gzip(self, data: bytes, tag: str, fields: dict[str, str], body: bool) -> None:
        encoded = {"Content-Encoding": "gzip", "Content-Length": str(len(data)), "ETag": f'"{tag}-gz"'}
        self._head(HTTPStatus.OK, fields | encoded)
        if body:
            self.wfile.write(data)

    def _send_range(self, file: BinaryIO, wanted: range, size: int, fields: dict[str, str], body: bool) -> None:
        if not wanted:
            unsatisfied = {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, unsatisfied)
        part = {"Content-Range": f"bytes {wanted.start}-{wanted.stop - 1}/{size}", "Content-Length": str(len(wanted))}
        self._head(HTTPStatus.PARTIAL_CONTENT, fields | part)
        if body:
            file.seek(wanted.start)
            self._copy(file, len(wanted))

    def _head(self, code: HTTPStatus, fields: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in (fields | ALWAYS).items():
            self.send_header(name, value)
        self.end_headers()

    def _copy(self, file: BinaryIO, n: int) -> None:
        while n > 0 and (chunk := file.read(min(CHUNK, n))):
            self.wfile.write(chunk)
            n -= len(chunk)
        if n > 0:  # the file shrank under us: what was promised cannot be sent, so the connection ends
            self.close_connection = True

    def _range(self, size: int, tag: str) -> range | None:
        """The bytes asked for: None for all of them, an empty range when they lie outside the file."""
        if self.headers.get("If-Range", tag) != tag:
            return None
        match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.headers.get("Range", "").strip(), re.ASCII)
        if match is None or match.groups() == ("", ""):
            return None  # several ranges, another unit, no sane number: the whole file is a right answer
        first, last = match.groups()
        if not first:
            return range(max(0, size - int(last)), size)
        if last and int(last) < int(first):
            return None
        return range(int(first), min(size, int(last) + 1) if last else size)


def file_in(folder: Path, url: str) -> Path | None:
    """The file or folder that a request's path means inside `folder`, which is resolved; None when there is none.

    Names that begin with a dot are not served, `..` among them, and neither is what a link leads outside to.
    """
    names = urllib.parse.unquote(url.partition("?")[0].partition("#")[0]).split("/")
    if any(name.startswith(".") or "\0" in name or "\\" in name for name in names):
        return None
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        path = folder.joinpath(*filter(None, names)).resolve(strict=True)
        if path.is_relative_to(folder):
            return path
    return None


def tag_of(info: os.stat_result) -> str:
    """What tells one state of a file from another."""
    return f"{info.st_mtime_ns:x}-{info.st_size:x}"


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (`gzip;q=0` does not, whatever it says of `*`)."""
    allowed = {}
    for offer in header.lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        allowed[name] = not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return allowed.get("gzip", allowed.get("*", False))
