"""What the browser tests, the measurements and the screenshots share: runs, a served site, a browser, and a wide model."""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, sync_playwright

from flowatlas import cli

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "data" / "models" / "demo"
DOCUMENT = ROOT / "docs" / "explorer.md"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_SECONDS = 40.0  # speed is measured elsewhere: a slow machine fails no test
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
)


def flowatlas(*args: object, cwd: Path) -> None:
    """One command of the command line, which must succeed. In this process: importing takes longer than most of them do."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    said = io.StringIO()
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.main(list(map(str, args)))
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert code == 0, said.getvalue()


@contextlib.contextmanager
def serving(site: Path) -> Iterator[str]:
    """Yields the address at which `flowatlas serve` answers."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "flowatlas.cli", "serve", str(site), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found, "serve printed no address"
        yield found[0].rstrip("/") + "/"
    finally:
        server.terminate()
        server.wait()


def altered(change: Callable[[dict[str, Any]], object]) -> Callable[[Route], None]:
    """For `page.route`: the JSON file of the site with what `change` puts into it, and without the checksum that it had."""

    def answer(route: Route) -> None:
        whole = route.fetch()
        content = whole.json()
        del content["crc32"]
        change(content)
        route.fulfill(response=whole, json=content)

    return answer


@contextlib.contextmanager
def live(site: Path, model: str = "demo") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of `flowatlas serve --live` with a model, and the address that it prints."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "flowatlas.cli",
        "serve",
        str(site),
        "--port",
        "0",
        "--live",
        f"model={model}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        process.stdout.readline()
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    assert path, "the browser tests need Chromium (`make test` installs it where it may)"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield launched
        launched.close()


def until(page: Page, script: str, arg: object = None) -> None:
    """Wait for what no locator says. (`wait_for_function` needs eval in the page, which the page's policy forbids.)"""
    end = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(script, arg):
        assert time.monotonic() < end, f"waited in vain for {script}"
        page.wait_for_timeout(20)


def wide_model(folder: Path, layers: int = 32, tokens: int = 64) -> Path:
    """A random model as deep as the page must bear, with the demo's tokenizer; small, so that it runs at once.

    The weights are large enough that attention picks keys, and a route at a low threshold has thousands of edges.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    vocabulary = json.loads((DEMO / "config.json").read_text())["vocab_size"]
    shape = {"n_layer": layers, "n_embd": 32, "n_head": 4, "n_positions": tokens, "vocab_size": vocabulary}
    model = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and name.startswith("transformer.h."):
                parameter.copy_(torch.randn_like(parameter) * 0.4)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO / name, folder / name)
    return folder


def long_prompt(tokens: int = 64) -> str:
    """A text of that many tokens, BOS included, of the words of the demo's prompts."""
    from flowatlas.tokens import load_tokenizer, resolve_bos

    tokenizer = load_tokenizer(str(DEMO), None)
    room = tokens - (resolve_bos(tokenizer, "auto") is not None)
    lines = (ROOT / "data" / "prompts" / "demo.jsonl").read_text().splitlines()
    text = ""
    for word in " ".join(json.loads(line)["text"] for line in lines).split(" "):
        longer = f"{text} {word}".strip()
        n = len(tokenizer(longer)["input_ids"])  # pyright: ignore[reportArgumentType]
        text = longer if n <= room else text
        if n == room:
            return text
    raise AssertionError("the demo's prompts are too short")


def write_between(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Put `text` between the two marks `<!-- name: ... -->` and `<!-- /name -->` of a document."""
    place = re.compile(rf"(<!-- {name}: .*? -->\n).*(<!-- /{name} -->)", re.DOTALL)
    before = document.read_text()
    assert place.search(before), f"{document} has no marks for {name}"
    document.write_text(place.sub(lambda found: f"{found[1]}{text}{found[2]}", before))
