"""Runs in notebooks: `flowatlas.show(RUN, prompt=17)` is the explorer in a cell, served by this process alone."""

import html
import http.server
import numbers
import tempfile
import threading
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowatlas.errors import InputError, RunError
from flowatlas.files import read_json
from flowatlas.names_file import FILE as NAMES
from flowatlas.server import HOST, make_server
from flowatlas.site import build_site

EMBEDS = ("page", "graph", "panel")
# What may follow ? in an address of some view (explorer/src/state.js): the page says which it does not understand.
_KEYS = """
a as b by clusters edit exact faint find full group head hide kind lasso least list match measure mode name neuron of open order
page pair pick q raw removal sel share side sign sort source specific t tab tau template with x y zoom
"""
ADDRESS = frozenset(_KEYS.split())
_sites: dict[tuple[Path, int], "_Site"] = {}  # that are served, by source and wanted port
_lock = threading.Lock()


@dataclass(frozen=True)
class Shown:
    """A view of a site at `url`; in a notebook's cell it is the view itself, `height` pixels high."""

    url: str
    height: int
    _site: "_Site" = field(repr=False, compare=False)

    def _repr_html_(self) -> str:
        source = html.escape(self.url, quote=True)
        style = f"width: 100%; height: {self.height}px; border: 1px solid #8884; border-radius: 6px"
        return f'<iframe src="{source}" style="{style}" title="flowatlas" allow="fullscreen; clipboard-write"></iframe>'

    def close(self) -> None:
        """Stop serving; every view of the same run goes dark. It also stops when Python ends."""
        self._site.stop()


def show(
    run: str | Path,
    prompt: int | None = None,
    *,
    view: str | None = None,
    embed: str | None = None,
    height: int = 560,
    port: int = 0,
    **address: object,
) -> Shown:
    """The explorer on a run folder, or on a site that `flowatlas site` made, for a notebook's cell.

    `prompt` is a prompt_id: its graph (`embed="panel"` for the details of what is selected, `"page"` for both). Without
    one, `view` is the page as the address has it: "prompts" (default), "corpus", "head/L5H1", ... Further keywords, of
    ADDRESS, go into the address as they are: tau=0.1, sel="3.post.14", measure="effect". Of a site of several runs the first is
    shown, or the one that starts the view: view="other/corpus".

    The site of a run is made in a temporary folder when it is first shown, and again when the run has changed; the
    server listens to this machine alone, at `port` (0: any free one; a fixed one can be forwarded by ssh). Raises
    RunError for what is no run or site, InputError for a port that is taken, an option that there is not, or a view that
    cannot be.
    """
    if prompt is not None and (isinstance(prompt, bool) or not isinstance(prompt, numbers.Integral) or prompt < 0):
        raise InputError(f"show takes a prompt_id, a whole number of 0 or more, and {prompt!r} is none")
    if prompt is not None and view is not None:
        raise InputError("show takes a prompt_id or a view, not both")
    if unknown := sorted(address.keys() - ADDRESS):
        raise InputError(f"show has no option {unknown[0]}: an address may have {', '.join(sorted(ADDRESS))}")
    if embed not in (None, *EMBEDS):
        raise InputError(f"embed={embed!r}: it may be {', '.join(EMBEDS)}")
    if "?" in (view or ""):
        raise InputError(f"what follows ? in {view} is given to show as keywords: measure='effect'")
    site = _serve(Path(run).resolve(), port)
    of, path = _path(site.runs, prompt, view)
    values = {"embed": embed or ("page" if prompt is None else "graph"), **address}
    query = urllib.parse.urlencode({key: _text(value) for key, value in values.items() if value is not None})
    return Shown(f"{site.url}#/{of}/{path}?{query}", height, site)


def _path(runs: list[str], prompt: int | None, view: str | None) -> tuple[str, str]:
    """The run, and the view's path behind it."""
    if prompt is not None:
        return runs[0], f"p/{prompt}"
    whole = (view or "prompts").strip("#/")
    first, _, rest = whole.partition("/")
    return (first, rest or "prompts") if first in runs else (runs[0], whole)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


class _Site:
    """A site and the thread that serves it; of a run, its site in a temporary folder."""

    def __init__(self, source: Path, port: int) -> None:
        self.source = source
        self._made_of: object = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        site = source
        if not (source / "data" / "catalogue.json").is_file():
            self._temporary = tempfile.TemporaryDirectory(prefix="flowatlas-")
            site = Path(self._temporary.name) / "site"
        self.site = site
        self.refresh()
        self._server: http.server.ThreadingHTTPServer = make_server(site, port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}/"

    @property
    def runs(self) -> list[str]:
        """Identifiers of the site's runs. Raises RunError when it holds none."""
        found: list[dict[str, Any]] = read_json(self.site / "data" / "catalogue.json")["runs"]
        if not found:
            raise RunError(f"{self.source} holds no run")
        return [run["id"] for run in found]

    def refresh(self) -> None:
        """Make the site of a run, unless it was made of the run as it is now."""
        now = _state(self.source)
        if self._temporary and now != self._made_of:
            build_site([self.source], self.site)
            self._made_of = now

    def stop(self) -> None:
        with _lock:
            for key in [key for key, site in _sites.items() if site is self]:
                del _sites[key]
        self._server.shutdown()
        self._server.server_close()
        if self._temporary:
            self._temporary.cleanup()


def _serve(source: Path, port: int) -> _Site:
    """The site that is served already, made anew when its run has changed, or a new one."""
    with _lock:
        site = _sites.get((source, port))
        if site is None:
            site = _sites[source, port] = _Site(source, port)
        else:
            site.refresh()
        return site


def _state(run_dir: Path) -> list[tuple[str, int, int]]:
    """What changes whenever something changes that a site of the run would show."""
    paths = [run_dir / NAMES, run_dir / "manifest.json", *run_dir.glob("shards/*.json"), *run_dir.glob("model/*")]
    infos = [(str(path), path.stat()) for path in sorted(paths) if path.exists()]
    return [(name, info.st_mtime_ns, info.st_size) for name, info in infos]
