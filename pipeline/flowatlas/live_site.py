"""The pages of a live model: the site as it is, and in front of it, in a scratch folder, the runs of what was asked.

The folder holds what differs: `index.html`, which tells the page that it is live, `data/catalogue.json`, and `data/<run>/` for
each request. Files never change once the catalogue names them; the oldest runs are given up when there are many.
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from flowatlas.errors import RunError
from flowatlas.files import read_json, remove, replacing
from flowatlas.live_request import Request
from flowatlas.schema import SCHEMA_VERSION
from flowatlas.seal import sealed_json
from flowatlas.site_data import RunReader
from flowatlas.site_run import SiteRun

KEPT = 100  # requests
MARK = "data-live"  # of <html>: what the page looks at
_LETTERS = 60  # of a run's title


class LiveSite:
    """`site` is left alone. Raises RunError for an explorer without a place for the mark."""

    def __init__(self, site: Path, folder: Path) -> None:
        self.site, self.folder = site.resolve(), folder.resolve()
        self._runs: OrderedDict[str, dict[str, Any]] = OrderedDict()  # by id: what was asked, newest last
        self._entries: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._n = 0
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        page = (self.site / "index.html").read_text(encoding="utf-8")
        if "<html " not in page:
            raise RunError(f"{site}/index.html is no page of flowatlas: make the site again with `flowatlas site`")
        (self.folder / "index.html").write_text(page.replace("<html ", f"<html {MARK} ", 1), encoding="utf-8")
        self._catalogue = self._of_site()
        self._write_catalogue()

    def next_id(self) -> str:
        """A name for a run that no other has."""
        taken = {entry["id"].casefold() for entry in self._catalogue["runs"]}
        with self._lock:
            self._n += 1
            while f"live-{self._n}" in taken:
                self._n += 1
            return f"live-{self._n}"

    def add(self, id_: str, request: Request, run_dir: Path) -> None:
        """Put a complete run among the page's files, and into the catalogue."""
        words = [*map(str, request.edits), *request.text.split()]
        title = f"{id_}: {' '.join(words)}"
        run = SiteRun(RunReader(run_dir), self.folder / "data" / id_, id_, title[:_LETTERS], None)
        run.write_small()
        run.write_buckets(progress=False)
        with self._lock:
            self._runs[id_] = request.to_json()
            self._entries[id_] = {**run.entry(), "live": True}
            old = [self._runs.popitem(last=False)[0] for _ in range(len(self._runs) - KEPT)]
            for gone in old:
                del self._entries[gone]
            self._write_catalogue()
        for gone in old:
            remove(self.folder / "data" / gone)

    def asked(self) -> list[dict[str, Any]]:
        """What was asked, newest first, each with its `run`."""
        with self._lock:
            return [{"run": id_, **request} for id_, request in reversed(self._runs.items())]

    def _of_site(self) -> dict[str, Any]:
        """The site's catalogue; an empty one where the site is the explorer alone."""
        path = self.site / "data" / "catalogue.json"
        if path.exists():
            return read_json(path)
        return {"schema_version": SCHEMA_VERSION, "title": "flowatlas", "runs": [], "compared": []}

    def _write_catalogue(self) -> None:
        runs = [*self._catalogue["runs"], *reversed(self._entries.values())]
        with replacing(self.folder / "data" / "catalogue.json") as temporary:
            temporary.write_bytes(sealed_json({**self._catalogue, "runs": runs}))
