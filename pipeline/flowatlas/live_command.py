"""The words of `flowatlas serve SITE --live model=...` and of `flowatlas try model=... "a prompt"`."""

import argparse
import contextlib
import re
import shutil
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from flowatlas.config import Config
from flowatlas.errors import ConfigError, FlowatlasError
from flowatlas.live_request import MOST_NEW_TOKENS, of_words

if TYPE_CHECKING:
    from flowatlas.live_server import LiveServer

# A prompt that somebody types is short, and they will want to click on any token of it and see what a head looks at.
_DEFAULTS = ("routes.targets=all", "maps.store=true")
_KEY = re.compile(r"(model|[a-z_]+(\.[a-z_]+)+)=.*", re.DOTALL)


def add_commands(commands: Any, port: Callable[[str], int]) -> None:
    """`serve` and `try`."""
    serve = commands.add_parser("serve", help="look at a site locally; with --live also at prompts of your own")
    serve.add_argument("site", type=Path, metavar="SITE", help="a folder that `flowatlas site` wrote")
    serve.add_argument("--port", type=port, default=8000, help="default 8000; 0 takes any free one")
    serve.add_argument(
        "--live", nargs="+", metavar="KEY=VALUE", help="keep a model loaded, and run prompts that are typed into the page: "
        "model=... and any other keys of a run",
    )  # fmt: skip
    serve.set_defaults(command=_serve)
    attempt = commands.add_parser("try", help="one prompt through a model, and a page to look at it and try more")
    attempt.add_argument("words", nargs="+", metavar="KEY=VALUE|PROMPT", help="model=... and other keys; the prompt")
    attempt.add_argument("--answer", metavar="TEXT", help="its expected continuation")
    attempt.add_argument("--foil", metavar="TEXT", help="what the answer is contrasted with")
    attempt.add_argument(
        "--edit",
        action="append",
        default=[],
        metavar="EDIT",
        help="as for intervene (L3H1=off), beside the prompt as it is",
    )
    attempt.add_argument(
        "--generate", type=int, default=0, metavar="N", help=f"also continue it by N tokens, at most {MOST_NEW_TOKENS}"
    )
    attempt.add_argument("--port", type=port, default=0, help="default: any free one")
    attempt.add_argument("--no-browser", action="store_true", help="print the address only")
    attempt.set_defaults(command=_try)


def _serve(args: argparse.Namespace) -> int:
    if args.live is None:
        from flowatlas.server import serve

        serve(args.site, args.port)
        return 0
    strange = [word for word in args.live if not _KEY.fullmatch(word)]
    if strange:
        raise ConfigError(f"--live takes keys such as model=demo, and {strange[0]!r} is none")
    with _live(args.site, args.live, args.port) as server:
        print(f"{args.site} is served, and {server.model.name} runs your prompts, at")
        _until_ended(server, f"{server.address}#/try")
    return 0


def _try(args: argparse.Namespace) -> int:
    keys, texts = read_words(args.words)
    request = of_words(texts, args.answer, args.foil, args.edit, args.generate)
    from flowatlas.site import explorer_dir

    with tempfile.TemporaryDirectory(prefix="flowatlas-try-") as folder:
        site = Path(folder) / "site"
        shutil.copytree(explorer_dir(), site)
        with _live(site, keys, args.port) as server:
            run = server.answer(request)
            address = f"{server.address}#/{run}/p/0{'?pair=1' if request.edits else ''}"
            if not args.no_browser:
                webbrowser.open(address)
            _until_ended(server, address)
    return 0


def read_words(words: Sequence[str]) -> tuple[list[str], str]:
    """Keys, and the one word that is none. Raises ConfigError."""
    keys, texts = [], []
    for word in words:
        (keys if _KEY.fullmatch(word) else texts).append(word)
    if len(texts) != 1:
        raise ConfigError(f'try takes one prompt, in quotes: flowatlas try model=demo "a prompt" ({len(texts)} given)')
    return keys, texts[0]


def composed(keys: Sequence[str]) -> Config:
    """The config that keys come to. Raises ConfigError."""
    given = {key.partition("=")[0] for key in keys}
    if refused := sorted(key for key in given if key.startswith(("dataset.", "cluster.", "generate."))):
        raise ConfigError(
            f"{refused[0]} is of a run over a dataset: prompts are typed here, with how much is to be written"
        )
    from flowatlas.compose import run_config

    found: list[Config] = []
    defaults = [default for default in _DEFAULTS if default.partition("=")[0] not in given]
    run_config([*defaults, *keys, "dataset.path=-"], lambda config: found.append(config) or 0, _raised)
    return found[0]


def _raised(error: FlowatlasError) -> NoReturn:
    raise error


@contextlib.contextmanager
def _live(site: Path, keys: Sequence[str], port: int) -> Iterator["LiveServer"]:
    """A server that does not answer yet; its scratch folder is gone afterwards, also when the process is told to end."""
    config = composed(keys)
    from flowatlas.hub import require

    require(config)
    from flowatlas.live_model import LiveModel
    from flowatlas.live_server import LiveServer
    from flowatlas.server import check_site

    check_site(site, port)
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="flowatlas-live-", ignore_cleanup_errors=True) as folder:
        print(f"loading model {config.model.name}", file=sys.stderr, flush=True)
        with LiveServer(site, Path(folder), lambda: LiveModel(config, Path(folder)), port) as server:
            yield server


def _until_ended(server: "LiveServer", address: str) -> None:
    print(f"{address}\n(for you alone: whoever has this address may use the model; end with Ctrl-C)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
