"""Firefox without a window, by Marionette, the protocol that it has built in: a line of bytes, a length and JSON on a socket.

Playwright drives only a Firefox of its own making, and over WebDriver BiDi asks Debian's for commands that it has not.
"""

import contextlib
import itertools
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0  # a slow machine fails no test
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the W3C's name for a reference to an element
_PREFERENCES = {
    "marionette.port": 0,  # any free one; it is written into the profile
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
}


def executable() -> str | None:
    """Firefox as Debian or others install it."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class FirefoxError(Exception):
    """Firefox refused a command: the W3C's word for why, and Firefox's own."""


class Firefox:
    """A page of a running Firefox. Whatever is waited for fails after PATIENCE_SECONDS."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._file = self._socket.makefile("rb")
        self._ids = itertools.count(1)
        self._message()  # it says what it is
        self._command("NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})

    def _message(self) -> Any:
        length = b"".join(iter(lambda: self._file.read(1), b":"))
        return json.loads(self._file.read(int(length)))

    def _command(self, name: str, parameters: dict[str, Any] | None = None) -> Any:
        request = [0, next(self._ids), f"WebDriver:{name}", parameters or {}]
        data = json.dumps(request).encode()
        self._socket.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self._message()
        if error is not None:
            raise FirefoxError(error["error"], f"{name}: {error['message']}")
        return result

    def goto(self, address: str) -> None:
        self._command("Navigate", {"url": address})

    def script(self, body: str, *args: object) -> Any:
        """What the body of a function returns in the page."""
        return self._command("ExecuteScript", {"script": body, "args": args})["value"]

    def wait(self, body: str, *args: object) -> Any:
        """What the body returns, as soon as that is something."""
        return waited(lambda: self.script(body, *args), body)

    def text(self, testid: str, part: str = "") -> str:
        """The text of an element, once it is seen and holds `part`."""
        find = "const el = document.querySelector(`[data-testid='${arguments[0]}']`);"
        return self.wait(
            find + "return el?.checkVisibility() && el.innerText.includes(arguments[1]) && el.innerText", testid, part
        )

    def click(self, css: str) -> None:
        self._act("ElementClick", css, {})

    def press(self, css: str, keys: str) -> None:
        """Types into an element, which takes the focus."""
        self._act("ElementSendKeys", css, {"text": keys})

    def _act(self, name: str, css: str, more: dict[str, Any]) -> None:
        """Does it to the first such element that is seen, and once more where that was drawn anew meanwhile."""

        def done() -> bool:
            self.wait("return document.querySelector(arguments[0])?.checkVisibility()", css)
            with contextlib.suppress(FirefoxError):
                found = self._command("FindElement", {"using": "css selector", "value": css})["value"]
                self._command(name, {"id": found[_ELEMENT], **more})
                return True
            return False

        waited(done, f"{name} on {css}")

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError, FirefoxError):
            self._command("DeleteSession")
        self._socket.close()


def waited(ask: Callable[[], Any], what: str) -> Any:
    """The first answer that is something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := ask()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def firefox(path: str) -> Iterator[Firefox]:
    """A Firefox with a profile of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="firefox-") as folder:
        profile = Path(folder)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()]
        (profile / "user.js").write_text("\n".join(lines))
        command = [path, "--headless", "--marionette", "--no-remote", "--profile", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        page = None
        try:
            port = profile / "MarionetteActivePort"
            page = Firefox(int(waited(lambda: port.exists() and port.read_text(), "Firefox to listen")))
            yield page
        finally:
            if page:
                page.close()
            process.terminate()
            process.wait(PATIENCE_SECONDS)
