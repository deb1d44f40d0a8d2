"""A static site of one or more runs: the built explorer, and each run's tables cut into buckets that a page fetches.

The site is built in a temporary folder beside its place and then swapped in, so a site that is being looked at is
either the old or the new one, and building it again gives the same files. Before its tables are written, what it will
take is held against the limits of the host that it is for.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowatlas import audit_store, intervention_store, vocab_files
from flowatlas.errors import ConfigError, RunError, UnfinishedError
from flowatlas.files import hash_file, json_text, remove, stale, swap_folder, temporary_path, unfinished
from flowatlas.front_page import FrontPage
from flowatlas.hosts import HOSTS, Host, Part, refuse_too_large
from flowatlas.schema import SCHEMA_VERSION
from flowatlas.seal import sealed_json
from flowatlas.selected import SelectedReader
from flowatlas.selection import read_selection, refuse_unknown_runs
from flowatlas.site_check import HASHES
from flowatlas.site_data import RunReader
from flowatlas.site_run import SiteRun, names_of, write
from flowatlas.site_stats import write_compared
from flowatlas.stats import Stats, ensure

_LEFT_BEHIND = "damaged, or of other shards or another version than the run has now (`flowatlas check` says which)"
ABANDONED_SECONDS = 7 * 24 * 3600.0  # of another host, whose processes cannot be seen; large sites take hours


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a site is to be: what stands on its first page, what of the runs is in it (`--select`), and whom it must fit."""

    front: FrontPage = dataclasses.field(default_factory=FrontPage)
    select: tuple[str, ...] = ()
    host: Host = HOSTS["github-pages"]


@dataclasses.dataclass(frozen=True)
class Built:
    """A site's size: its parts, by table over all runs."""

    runs: int
    parts: dict[str, Part]

    @property
    def whole(self) -> Part:
        return sum(self.parts.values(), Part())


def build_site(
    run_dirs: Sequence[Path], out: Path, wanted: Wanted = Wanted(), progress: bool | None = None, dry: bool = False
) -> Built:
    """Make (or make anew) the site `out` of the given runs; with `dry` only foretell what it would take.

    `progress` shows bars on stderr (None: when that is a terminal). Raises RunError for a run that is missing or of
    another schema, an `out` that is something else than a site, an explorer that is not built, or a site that is more
    than its host takes; ConfigError for a selection that is wrong or a title of no run; UnfinishedError when the disk does
    not let it. The old site is then still there.
    """
    out = Path(os.path.realpath(out))
    readers = _readers(list(dict.fromkeys(Path(run_dir).resolve() for run_dir in run_dirs)), wanted)
    explorer = explorer_dir()
    _recover(out)
    _refuse_foreign(out, readers)
    for reader in readers:
        names_of(reader)  # what is wrong with them is said before minutes of work
    new = temporary_path(out)
    with unfinished(out):
        try:
            remove(new)
            shutil.copytree(explorer, new)
            (new / ".nojekyll").touch()  # GitHub Pages then serves every file as it is
            built = _fill(new, readers, wanted, progress, dry)
            if not dry:
                _keep(out, new)
                swap_folder(new, out)
        finally:
            remove(new)
    return built


def _readers(run_dirs: list[Path], wanted: Wanted) -> list[SelectedReader]:
    names = [run_dir.name for run_dir in run_dirs]
    refuse_unknown_runs(wanted.select, names)
    for name in wanted.front.runs.keys() - names:
        raise ConfigError(f"runs.{name} of site.yaml: there is no run {name} here, but {', '.join(names)}")
    return [SelectedReader(run_dir, read_selection(wanted.select, run_dir.name)) for run_dir in run_dirs]


def _fill(new: Path, readers: list[SelectedReader], wanted: Wanted, progress: bool | None, dry: bool) -> Built:
    """Write everything into `new`, which holds the explorer; what is foretold is refused before the buckets are written."""
    data, names = new / "data", [reader.run_dir.name for reader in readers]
    page = _sizes(new)
    runs = [
        SiteRun(reader, data / id_, id_, wanted.front.runs.get(name, name), _stats_of(reader))
        for reader, id_, name in zip(readers, run_ids(names), names, strict=True)
    ]
    for run in runs:
        for name in _left_behind(run):
            print(
                f"flowatlas: the site goes without {name} of {run.reader.run_dir.name}: {_LEFT_BEHIND}", file=sys.stderr
            )
        run.write_small()
    compared = [run for run in runs if run.reader.has("compared")]
    entries = write_compared({run.id: run.reader for run in compared}, data)
    shared = {"page": page, "compared": dataclasses.replace(_sizes(data / "compare"), optional=True)}
    n_prompts = sum(run.reader.n_prompts for run in runs)
    foretold = _together(shared, *(part for run in runs for part in (run.parts, run.foretell())))
    refuse_too_large(foretold, n_prompts, wanted.host, len(runs))
    if dry:
        return Built(len(runs), foretold)
    for run in runs:
        run.write_buckets(progress)
    catalogue = {
        "schema_version": SCHEMA_VERSION,
        "title": wanted.front.title or ", ".join(run.title for run in runs),
        "front": wanted.front.shown(),
        "runs": [run.entry() for run in runs],
        "compared": entries,
    }
    write(data / "catalogue.json", sealed_json(catalogue))
    _write_hashes(new)
    built = _together({**shared, "page": page + _sizes(data, "*.json")}, *(run.parts for run in runs))
    refuse_too_large(built, n_prompts, wanted.host, len(runs))  # what was foretold was an estimate
    return Built(len(runs), built)


def _together(*all_parts: dict[str, Part]) -> dict[str, Part]:
    names = dict.fromkeys(name for parts in all_parts for name in parts)
    return {name: sum((parts[name] for parts in all_parts if name in parts), Part()) for name in names}


def _sizes(folder: Path, pattern: str = "**/*") -> Part:
    sizes = [path.stat().st_size for path in folder.glob(pattern) if path.is_file()]
    return sum((Part(size, 1, size) for size in sizes), Part())


def _write_hashes(new: Path) -> None:
    """The hashes of all files that carry no seal of their own, for `flowatlas check SITE`."""
    files = [path for path in sorted(new.rglob("*")) if path.is_file() and path.suffix != ".parquet"]
    write(new / HASHES, json_text({path.relative_to(new).as_posix(): hash_file(path) for path in files}))


def explorer_dir() -> Path:
    """The built explorer: inside an installed package, else the checkout's `explorer/dist`. Raises RunError."""
    package = Path(__file__).resolve().parent
    for folder in (package / "explorer", package.parents[1] / "explorer" / "dist"):
        if (folder / "index.html").is_file():
            return folder
    raise RunError(f"the explorer is not built (no {folder}): `make explorer` builds it")


def run_ids(names: list[str]) -> list[str]:
    """Names for folders and URLs: safe characters, no two alike (also where upper and lower case are one)."""
    ids: list[str] = []
    for name in names:
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"
        taken, id_, n = {other.casefold() for other in ids}, base, 1
        while id_.casefold() in taken:
            n += 1
            id_ = f"{base}-{n}"
        ids.append(id_)
    return ids


def _recover(out: Path) -> None:
    """Clear up after killed builds; a site that one had just moved aside is put back."""
    for path in stale(out.parent, _pattern(out.name + ".old"), ABANDONED_SECONDS):
        if not out.exists():
            with contextlib.suppress(OSError):
                path.rename(out)
    for path in stale(out.parent, _pattern(out.name), ABANDONED_SECONDS):
        remove(path)


def _pattern(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _refuse_foreign(out: Path, readers: Sequence[RunReader]) -> None:
    for reader in readers:
        if reader.run_dir.is_relative_to(out):
            raise RunError(f"{out} contains the run {reader.run_dir}: give another --out")
    if not out.exists() or (out / "data" / "catalogue.json").is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise RunError(f"{out} is not empty and no site of flowatlas: give another --out")


def _keep(out: Path, new: Path) -> None:
    """Carry over what a Pages checkout has at its top: `.git` and other dot names, and CNAME."""
    if out.is_dir():
        for path in out.iterdir():
            if (path.name.startswith(".") or path.name == "CNAME") and not (new / path.name).exists():
                if path.is_dir() and not path.is_symlink():
                    shutil.copytree(path, new / path.name, symlinks=True)
                else:
                    shutil.copy2(path, new / path.name, follow_symlinks=False)


def _left_behind(run: SiteRun) -> Iterator[str]:
    """Folders of a run that were to be in the site, but hold nothing whole and of its shards."""
    run_dir, has = run.reader.run_dir, run.reader.has
    atlas = run_dir / vocab_files.FOLDER
    if has("stats") and not run.audit and (run_dir / audit_store.FOLDER).is_dir():
        yield audit_store.FOLDER
    if has("vocab") and atlas.is_dir() and not vocab_files.marker_of(atlas):
        yield vocab_files.FOLDER
    taken = {one.folder for one in run.interventions.stored}
    for folder in intervention_store.folders(run_dir) if has(intervention_store.FOLDER) else ():
        if folder not in taken:
            yield f"{intervention_store.FOLDER}/{folder.name}"


def _stats_of(reader: RunReader) -> Stats | None:
    """The run's statistics, made when missing or stale; None where they are left out or cannot be written (an archive, say)."""
    if not reader.has("stats"):
        return None
    try:
        return ensure(reader.run_dir)
    except UnfinishedError as error:
        print(f"flowatlas: the site goes without statistics of {reader.run_dir.name}: {error}", file=sys.stderr)
        return None
