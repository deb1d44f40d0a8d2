"""`flowatlas check SITE`: is every file of a site there, and byte for byte what was written?

Parquet files carry their checksums (seal.py), and the indexes say which there must be; every other file's hash is in
`data/files.json`.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowatlas.errors import RunError, no_site
from flowatlas.files import hash_file, read_json
from flowatlas.schema_interventions import OF_PROMPTS
from flowatlas.seal import damage
from flowatlas.site_vocab import files_of as files_of_vocab

HASHES = "data/files.json"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
_CARRIED = re.compile(r"\.(?!nojekyll$)[^/]*|CNAME")  # of a Pages checkout, at the site's top: none of our business


def is_site(folder: Path) -> bool:
    """Whether a folder is a site that flowatlas made."""
    return (folder / "data" / "catalogue.json").is_file()


def files_of(site: Path) -> dict[str, Path]:
    """The site's files by their names in it, what a Pages checkout has at its top left out. Raises RunError for a link."""
    found = {}
    for folder, folders, names in os.walk(site):
        here = Path(folder).relative_to(site)
        if here == Path("."):
            folders[:], names = ([name for name in of if not _CARRIED.fullmatch(name)] for of in (folders, names))
        for name in (*folders, *names):
            if Path(folder, name).is_symlink():
                raise RunError(f"{Path(folder, name)} is a link: a site has none")
        found |= {(here / name).as_posix(): Path(folder, name) for name in names}
    return dict(sorted(found.items()))


def check_site(site: Path) -> list[str]:
    """What is wrong with a site, one line each; empty when all is right. Raises RunError when it is none."""
    if not is_site(site):
        raise no_site(site, "data/catalogue.json")
    there = files_of(site)
    problems = [f"{name} {problem}" for name, path in there.items() if (problem := _damage(name, path))]
    try:
        hashes = read_json(site / HASHES)
    except (OSError, ValueError):
        return [*problems, f"{HASHES} is missing or damaged: make the site again"]
    problems += [f"{name} is damaged (its hash is another)" for name in sorted(_changed(there, hashes))]
    wanted = {*hashes, HASHES}
    with contextlib.suppress(*UNREADABLE):  # the hash of what it is, or that it is missing, is said
        for name in listed(site):
            wanted.add(name)
    problems += [f"{name} is missing" for name in sorted(wanted - there.keys())]
    problems += [f"{name} belongs to no run of this site" for name in sorted(there.keys() - wanted)]
    return problems


def _damage(name: str, path: Path) -> str:
    if not name.endswith(".parquet"):
        return ""
    try:
        return damage(path.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _changed(there: dict[str, Path], hashes: dict[str, Any]) -> Iterator[str]:
    for name, value in hashes.items():
        if name in there and hash_file(there[name]) != value:
            yield name


def listed(site: Path) -> Iterator[str]:
    """Names of all files of a site, by its own lists alone. Raises one of UNREADABLE for lists that are damaged."""
    yield from (HASHES, *read_json(site / HASHES))
    catalogue = read_json(site / "data" / "catalogue.json")
    for run in catalogue["runs"]:
        for name in _of_run(read_json(site / "data" / run["id"] / "index.json")):
            yield f"data/{run['id']}/{name}"
    for pair in catalogue["compared"]:
        for table in pair["tables"].values():
            yield from (f"data/{file['file']}" for file in table["files"])


def _of_run(index: dict[str, Any]) -> Iterator[str]:
    yield from ("rejects.parquet", "listing.parquet")
    yield from (page["file"] for page in index["prompt_pages"])
    yield from (f"model/{table}.parquet" for table in index["model_tables"])
    for table, entry in index["tables"].items():
        for first, last in entry["buckets"]:
            yield from (f"{table}/bucket-{k}.parquet" for k in range(first, last + 1))
    edited = index.get("interventions", ())
    for marker in (index["stats"], index.get("audit"), *edited):
        for entry in (marker or {"tables": {}})["tables"].values():
            yield from (file["file"] for file in entry.get("files", ()))
    for one in edited:
        for table in OF_PROMPTS:
            for first, last in one["tables"][table]["buckets"]:
                place = f"interventions/{one['folder']}/{table}"
                yield from (f"{place}/bucket-{k}.parquet" for k in range(first, last + 1))
    if index.get("vocab") is not None:
        yield from files_of_vocab(index["vocab"])
