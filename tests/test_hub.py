"""The hub: nothing hangs without a network, and what the hub answers becomes one clear line."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowatlas import hub
from flowatlas.config import Config, DatasetConfig, ModelConfig
from flowatlas.errors import DatasetError, ModelError
from runs import one_line

LIMIT = 5 + 10  # what is promised, and room for a machine that does other things as well


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refused() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"  # closed again: nothing listens there


def command(tmp_path: Path, endpoint: str, *args: str) -> tuple[str, float]:
    """The one line of a run in a process of its own, and its seconds."""
    (tmp_path / "prompts.txt").write_text("Hello\n")
    environment = {
        key: value for key, value in os.environ.items() if "OFFLINE" not in key and "proxy" not in key.lower()
    }
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache")}
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "flowatlas.cli", "run", "run.dir=run", *args],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert one_line(done.stderr)
    assert done.stdout == ""
    assert not (tmp_path / "run").exists()
    return done.stderr, time.monotonic() - before


@pytest.mark.parametrize("where", ["black_hole", "refused"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["model=nobody/nothing", "dataset=prompts.txt"], "model nobody/nothing: no such folder, and the hub cannot"),
        (["model=demo", "dataset.hub=nobody/nothing"], "dataset nobody/nothing: the hub cannot be reached"),
        (["model=demo", "model.adapter=nobody/nothing", "dataset=prompts.txt"], "model nobody/nothing: no such folder"),
    ],
)
def test_without_a_network_nothing_hangs(tmp_path, request, where, args, message):
    endpoint = request.getfixturevalue(where)
    line, seconds = command(tmp_path, endpoint, *args)
    assert message in line
    assert f"({endpoint} does not answer)" in line
    assert "download it where there is a network" in line
    assert seconds < LIMIT


def test_a_name_whose_look_up_hangs_is_waited_for_no_longer(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "SECONDS", 0.1)
    asleep = threading.Event()
    monkeypatch.setattr(hub, "_answers", lambda endpoint: asleep.wait(60))
    before = time.monotonic()
    assert not hub._reachable("http://asleep.invalid")
    assert time.monotonic() - before < 30
    asleep.set()


def test_offline_on_purpose_is_said_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub._reachable.cache_clear()
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        hub.require(Config(ModelConfig("nobody/nothing")))
    with pytest.raises(DatasetError, match="HF_HUB_OFFLINE is set"):
        hub.require(Config(ModelConfig("."), DatasetConfig(hub="nobody/nothing")))


def test_offline_what_is_in_the_cache_is_not_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "prepared"))
    (tmp_path / "models--owner--name").mkdir()
    (tmp_path / "prepared" / "owner___set").mkdir(parents=True)
    hub.require(Config(ModelConfig("owner/name"), DatasetConfig(hub="owner/set")))


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (404, "RepoNotFound", "no such model on the hub; check the name"),
        (404, "RevisionNotFound", "the hub has it, but not at revision old; check model.revision"),
        (403, "GatedRepo", "accept its licence"),
    ],
)
def test_what_the_hub_answers_is_one_line(tmp_path, code, error, message):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else code)
            self.send_header("X-Error-Code", error)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        arguments = ["model=owner/name", "model.revision=old", "dataset=prompts.txt"]
        line, _ = command(tmp_path, f"http://127.0.0.1:{server.server_address[1]}", *arguments)
        server.shutdown()
    assert "model owner/name: " in line
    assert message in line
