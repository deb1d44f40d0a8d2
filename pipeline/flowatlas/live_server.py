"""A site with a live model beside it, for oneself: loopback only, and nothing live without the token in its address.

    GET   /...                       the site, as `flowatlas serve` shows it: it knows nothing of the model
    GET   /live/TOKEN/...            the same site, the scratch files of `LiveSite` in front
    GET   /live/TOKEN/state          {model, weights_hash, n_layers, n_heads, asked}
    POST  /live/TOKEN/prompts        a request (`live_request.read`) -> 202 {job}; 400 wrong, 413 too long, 429 queue full
    GET   /live/TOKEN/jobs/NUMBER    waits a while -> {state: waiting | done | failed, ...}

Another page of the same browser can reach a loopback port, by its name or, after DNS rebinding, by a name of its own. So a
request must name this host and port, one that comes from another origin is refused, and what is sent must be JSON,
which no page may send elsewhere unasked. A wrong token is answered like any address that is not there.
"""

import contextlib
import hmac
import json
import re
import secrets
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flowatlas.errors import ConfigError
from flowatlas.files import remove
from flowatlas.live_jobs import FullError, Jobs
from flowatlas.live_model import LiveModel
from flowatlas.live_request import Request, read
from flowatlas.live_site import LiveSite
from flowatlas.server import HOST, SiteHandler, SiteServer, file_in, port_in_words

LONGEST_BODY = 64_000  # bytes
_MOMENT = 2.0  # seconds for connections to end
_PATIENCE = 10.0  # seconds that one question after a job may wait
_LIVE = re.compile(r"/live/([^/?#]*)(/[^?#]*)?(?:[?#].*)?")


class LiveServer(SiteServer):
    """Listens, then loads its model, and does not answer yet; `scratch` is the folder of what is made.

    Raises InputError for a port that cannot be had, and whatever `load` raises.
    """

    def __init__(self, site: Path, scratch: Path, load: Callable[[], LiveModel], port: int) -> None:
        self.token = secrets.token_urlsafe(24)
        self._scratch, self.live = scratch, LiveSite(site, scratch / "site")
        self.jobs = Jobs(self.answer)
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        with port_in_words(port):
            super().__init__(site, port, LiveHandler)
        try:
            self.model = load()
        except BaseException:
            self.server_close()
            raise

    def server_close(self) -> None:
        """Also ends the threads of the model and of browsers that keep their connections open: nothing outlives the command."""
        super().server_close()
        self.jobs.close()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, _MOMENT)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connections.discard(request)
                self._changed.notify_all()

    @property
    def address(self) -> str:
        """Of the live page."""
        return f"http://{HOST}:{self.server_address[1]}/live/{self.token}/"

    def state(self) -> dict[str, Any]:
        """What the page shows of the model, and what was asked so far."""
        model = self.model
        shape = {"n_layers": model.model.n_layers, "n_heads": model.model.n_heads}
        return {"model": model.name, "weights_hash": model.weights_hash, **shape, "asked": self.live.asked()}

    def within(self, url: str) -> str | None:
        """The part of an address after a right token, from its slash on; None where it is not live."""
        found = _LIVE.fullmatch(url)
        if found is None or not hmac.compare_digest(found[1].encode(), self.token.encode()):
            return None
        return found[2] or ""

    def find(self, url: str) -> Path | None:
        """A live address means a scratch file, else the site's; other addresses mean the site's."""
        inside = self.within(url)
        if inside is None:
            return super().find(url)
        scratch = file_in(self.live.folder, inside)
        return scratch if scratch is not None and scratch.is_file() else file_in(self.site, inside)

    def answer(self, request: Request) -> str:
        """Run a request and show it; returns the id of its run. For one thread at a time. Errors as `LiveModel.run`."""
        id_ = self.live.next_id()
        try:
            self.live.add(id_, request, self.model.run(request, id_))
        finally:
            remove(self._scratch / id_)  # what the page reads of it lies elsewhere by now
        return id_


class LiveHandler(SiteHandler):
    """Answers what is asked of the model, and leaves files to its base."""

    server: LiveServer

    def do_GET(self) -> None:
        inside = self._inside()
        if inside == "/state":
            return self._json(HTTPStatus.OK, self.server.state())
        if inside is not None and (number := re.fullmatch(r"/jobs/(\d{1,9})", inside)):
            found = self.server.jobs.outcome(int(number[1]), _PATIENCE)
            return self._json(
                HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK, found or {"message": "no such job"}
            )
        self._file(super().do_GET, inside)

    def do_HEAD(self) -> None:
        self._file(super().do_HEAD, self._inside())

    def do_POST(self) -> None:
        self.close_connection = True  # whatever is left of a body that is not read must not pass for a request
        if self._inside() != "/prompts":
            return self.send_error(HTTPStatus.NOT_FOUND, "not found")
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json":
            return self._json(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"message": "send JSON"})
        if not length.isdecimal():
            return self._json(HTTPStatus.LENGTH_REQUIRED, {"message": "send Content-Length"})
        if int(length) > LONGEST_BODY:
            return self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"message": f"more than {LONGEST_BODY} bytes"})
        try:
            request = read(json.loads(self.rfile.read(int(length))))
        except (ValueError, RecursionError):
            return self._json(HTTPStatus.BAD_REQUEST, {"message": "this is no JSON"})
        except ConfigError as error:
            return self._json(HTTPStatus.BAD_REQUEST, {"message": str(error)})
        try:
            self._json(HTTPStatus.ACCEPTED, {"job": self.server.jobs.put(request)})
        except FullError:
            self._json(HTTPStatus.TOO_MANY_REQUESTS, {"message": "too many prompts are waiting: try again in a moment"})

    def _inside(self) -> str | None:
        """The part of a live address after its token, where the request may be answered; else None."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        ours = [f"{name}:{self.server.server_address[1]}" for name in (HOST, "localhost")]
        if host not in ours or origin not in (None, f"http://{host}"):
            return None
        return self.server.within(self.path)

    def _file(self, answer: Callable[[], None], inside: str | None) -> None:
        if inside is None and self.path.startswith("/live"):
            return self.send_error(HTTPStatus.NOT_FOUND, "not found")
        answer()

    def _json(self, code: HTTPStatus, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self._head(code, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        self.wfile.write(data)
