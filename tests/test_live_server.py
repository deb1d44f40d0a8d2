"""The server of a live model: who is let in, what is refused, what waits; and the commands that start it."""

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from flowatlas import live_site
from flowatlas.cli import main
from flowatlas.errors import InputError, ModelError
from flowatlas.live_jobs import WAITING
from flowatlas.live_server import LONGEST_BODY, LiveServer
from runs import one_line
from synthetic import make_run

BODY = {"text": "a b"}


class Model:
    """Stands for a model: a made-up run for every prompt, once `gate` is open."""

    def __init__(self, run_dir: Path):
        self.name, self.weights_hash, self.model = "made up", "0" * 64, SimpleNamespace(n_layers=2, n_heads=3)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self._run_dir = run_dir

    def run(self, request, name):
        self.entered.release()
        assert self.gate.wait(30)
        if request.text == "bad":
            raise InputError("the prompt cannot be read:\nit is bad")
        if request.text == "worse":
            raise RuntimeError("expected a tensor")
        return self._run_dir


class Client:
    """Asks a server as a page of its own does."""

    def __init__(self, server: LiveServer):
        self.server, self.port = server, server.server_address[1]

    def __call__(self, path, method="GET", body=None, token=None, **headers):
        """Status and content of what is answered; a `body` that is no bytes is sent as JSON."""
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content_Type": "application/json", **headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        live = f"/live/{self.server.token if token is None else token}{path}"
        connection.request(method, live, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers.get("Content-Type") == "application/json"
        return response.status, json.loads(content) if is_json and content else content

    def post(self, body, **headers):
        return self("/prompts", "POST", body, **headers)

    def outcome(self, job):
        status, found = self(f"/jobs/{job}")
        assert status == 200
        return found


@pytest.fixture
def site(tmp_path) -> Path:
    site = tmp_path / "site"
    (site / "data" / "old").mkdir(parents=True)
    (site / "index.html").write_text('<!doctype html><html lang="en"></html>')
    (site / "data" / "old" / "index.json").write_text("{}")
    catalogue = {"schema_version": 1, "title": "t", "runs": [{"id": "old"}, {"id": "Live-1"}], "compared": []}
    (site / "data" / "catalogue.json").write_text(json.dumps(catalogue))
    return site


@pytest.fixture
def model(tmp_path) -> Model:
    make_run(tmp_path / "run")
    return Model(tmp_path / "run")


@pytest.fixture
def client(tmp_path, site, model):
    with LiveServer(site, tmp_path / "scratch", lambda: model, 0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield Client(running)
        model.gate.set()
        running.shutdown()
        thread.join()


def test_a_prompt_becomes_a_run_that_the_page_reads_before_the_site(client, site):
    before = (site / "data" / "catalogue.json").read_text()
    status, job = client.post({"text": "a b", "edits": ["L0H1=off"], "new_tokens": 2})
    assert status == 202
    assert client.outcome(job["job"]) == {"state": "done", "run": "live-2"}, "the site has a Live-1"
    ids = [run["id"] for run in client("/data/catalogue.json")[1]["runs"]]
    assert ids == ["old", "Live-1", "live-2"]
    status, index = client("/data/live-2/index.json")
    assert (status, index["id"]) == (200, "live-2")
    assert client("/data/old/index.json") == (200, {})
    assert client("/state")[1]["asked"] == [
        {"run": "live-2", "text": "a b", "answer": None, "foil": None, "edits": ["L0H1=off"], "new_tokens": 2}
    ]
    assert (site / "data" / "catalogue.json").read_text() == before


def test_the_page_is_marked_where_it_is_live_and_nowhere_else(client):
    assert b"<html data-live " in client("/")[1]
    for path in ("/", "/index.html"):
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
        connection.request("GET", path)
        page = connection.getresponse().read()
        assert b"<html " in page
        assert b"data-live" not in page


@pytest.mark.parametrize("path", ["/", "/state", "/jobs/1", "/data/catalogue.json", "/index.html"])
def test_without_the_token_nothing_is_there(client, path):
    for token in ("", "x", client.server.token[:-1], client.server.token + "x", client.server.token.upper(), "%C3%BC"):
        assert client(path, token=token)[0] == 404
        assert client(path, "HEAD", token=token)[0] == 404
        assert client("/prompts", "POST", BODY, token=token)[0] == 404
    assert client(path)[0] == (404 if path == "/jobs/1" else 200)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}", ""])
def test_another_name_for_this_machine_is_refused(client, host):
    host = host.format(port=client.port)
    assert client("/state", Host=host)[0] == 404
    assert client.post(BODY, Host=host)[0] == 404
    assert client("/data/catalogue.json", Host=host)[0] == 404
    assert client("/state", Host=f"localhost:{client.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
def test_another_page_is_refused(client, origin):
    assert client.post(BODY, Origin=origin.format(port=client.port))[0] == 404
    assert client.post(BODY, Origin=f"http://127.0.0.1:{client.port}")[0] == 202


def test_it_listens_on_this_machine_alone_and_lets_no_address_out(client):
    assert client.server.server_address[0] == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    connection.request("GET", f"/live/{client.server.token}/")
    response = connection.getresponse()
    assert response.getheader("Referrer-Policy") == "no-referrer"
    assert response.getheader("Access-Control-Allow-Origin") is None
    assert len(client.server.token) >= 32


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b"", {"Content_Type": "application/json", "Content_Length": "many"}, 411),
        (b"x", {"Content_Type": "application/json", "Content_Length": str(LONGEST_BODY + 1)}, 413),
        (b"{", {"Content_Type": "application/json"}, 400),
        (b"\xff", {"Content_Type": "application/json"}, 400),
        (b"[" * 20_000, {"Content_Type": "application/json"}, 400),
        ({"text": ""}, {}, 400),
        ({"text": "a", "edits": ["L0H1"]}, {}, 400),
    ],
)
def test_what_is_no_request_is_refused_with_words(client, model, body, headers, status):
    found, content = client.post(body, **headers)
    assert found == status
    assert content["message"]
    assert not model.entered.acquire(blocking=False)


def test_only_so_many_wait_and_the_next_is_told_so(client, model):
    model.gate.clear()
    first = client.post(BODY)[1]["job"]
    assert model.entered.acquire(timeout=30), "the first is being run, and waits no more"
    jobs = [first, *(client.post(BODY)[1]["job"] for _ in range(WAITING))]
    status, content = client.post(BODY)
    assert status == 429
    assert "waiting" in content["message"]
    model.gate.set()
    assert len({client.outcome(job)["run"] for job in jobs}) == WAITING + 1
    assert client.post(BODY)[0] == 202


def test_many_at_once_are_all_answered_and_none_is_hung_up_on(client, model):
    """More connections in one moment than a listener takes by default (5): each is told 202 or 429."""
    model.gate.clear()
    found, together = [], threading.Barrier(40)

    def ask():
        together.wait(30)
        try:
            found.append(client.post(BODY))
        except OSError as error:
            found.append((type(error).__name__, {}))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    jobs = [content["job"] for status, content in found if status == 202]
    assert Counter(status for status, _ in found) == {202: len(jobs), 429: 40 - len(jobs)}
    assert WAITING <= len(jobs) <= WAITING + 1, "those that wait, and the one that is being run"
    model.gate.set()
    assert len({client.outcome(job)["run"] for job in jobs}) == len(jobs)


def test_two_clients_get_what_each_asked_for(client):
    found = {}

    def ask(text):
        job = client.post({"text": text})[1]["job"]
        found[text] = client.outcome(job)["run"]

    threads = [threading.Thread(target=ask, args=(text,)) for text in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = {entry["run"]: entry["text"] for entry in client("/state")[1]["asked"]}
    assert {run: text for text, run in found.items()} == asked
    listed = [run["id"] for run in client("/data/catalogue.json")[1]["runs"]]
    assert set(asked) < set(listed)
    assert client("/jobs/99")[0] == 404


def test_a_bad_prompt_fails_alone(client):
    bad, worse, good = (client.post({"text": text})[1]["job"] for text in ("bad", "worse", "good"))
    assert client.outcome(bad) == {"state": "failed", "message": "the prompt cannot be read: it is bad"}
    assert client.outcome(worse) == {"state": "failed", "message": "RuntimeError: expected a tensor"}
    assert client.outcome(good)["state"] == "done"


def test_the_oldest_are_given_up(client, model, tmp_path, monkeypatch):
    shared = model.run

    def run(request, name):
        (tmp_path / "scratch" / name).mkdir()
        return shared(request, name)

    monkeypatch.setattr(model, "run", run)
    monkeypatch.setattr(live_site, "KEPT", 2)
    runs = [client.outcome(client.post(BODY)[1]["job"])["run"] for _ in range(3)]
    assert [entry["run"] for entry in client("/state")[1]["asked"]] == runs[:0:-1]
    assert [client(f"/data/{run}/index.json")[0] for run in runs] == [404, 200, 200]
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["site"], "a run's own folder goes at once"
    listed = [run["id"] for run in client("/data/catalogue.json")[1]["runs"]]
    assert runs[0] not in listed


def test_a_port_in_use_is_said_before_the_model_is_loaded_and_a_bad_model_frees_it(client, site, tmp_path):
    def load():
        raise ModelError("no such model")

    with pytest.raises(InputError, match=f"port {client.port} is in use"):
        LiveServer(site, tmp_path / "other", load, client.port)
    with pytest.raises(ModelError):
        LiveServer(site, tmp_path / "other", load, 0)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("serve", "site", "--live", "demo"), "--live takes keys"),
        (("serve", "nowhere", "--live", "model=demo"), "is no site"),
        (("try", "model=demo"), "takes one prompt"),
        (("try", "model=demo", "a", "b"), "takes one prompt"),
        (("try", "model=demo", "a", "--edit", "L0H1"), "is no edit"),
        (("try", "model=demo", "a", "--generate", "99"), "cannot be written"),
        (("try", "model=demo", "dataset.path=x", "a"), "is of a run over a dataset"),
        (("try", "routes.flour=1", "model=demo", "a"), "unknown key"),
    ],
)
def test_words_that_do_not_go_together_are_told_apart(args, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(list(args)) == 2
    err = capsys.readouterr().err
    assert one_line(err)
    assert said in err


def test_try_shows_its_prompt_and_leaves_nothing_when_it_is_ended(models, tmp_path, monkeypatch):
    """The command itself, with a model: an address, a run behind it, and an empty folder after a signal."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    words = (f"model={models['gpt2']}", "w5 w17 w3", "--edit", "L0H1=off", "--no-browser")
    command = [sys.executable, "-u", "-m", "flowatlas.cli", "try", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/live/[\w-]+/#/live-1/p/0\?pair=1", address), process.communicate()
        assert list((tmp_path / "tmp").iterdir())
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 0, timeout=30)
        connection.request("GET", f"{parts.path}data/live-1/index.json")
        assert json.loads(connection.getresponse().read())["counts"]["prompts"] == 2
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert (err.count("\n"), err.startswith("loading model")) == (1, True)
    assert not list((tmp_path / "tmp").iterdir())
    shutil.rmtree(tmp_path / "tmp")
