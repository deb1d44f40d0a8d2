"""A static site of one or more runs: the built explorer, and each run's tables cut into buckets that a page fetches.

The site is built in a temporary folder beside its place and then swapped in, so a site that is being looked at is
either the old or the new one, and building it again gives the same files.
"""

import contextlib
import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from flowatlas import __version__
from flowatlas.errors import RunError, UnfinishedError
from flowatlas.files import hash_json, json_text, remove, stale, swap_folder, temporary_path, unfinished
from flowatlas.schema import MODEL_TABLES, SCHEMA_VERSION, TABLES
from flowatlas.site_data import BUCKETED, EAGER, SLIM, RunReader, bucket_size, encode, maps_bucket_size
from flowatlas.site_stats import write_compared, write_stats
from flowatlas.site_vocab import write_vocab
from flowatlas.stats import Stats, ensure

PAGE_SIZE = 20_000
ABANDONED_SECONDS = 7 * 24 * 3600.0  # of another host, whose processes cannot be seen; large sites take hours


def build_site(
    run_dirs: list[Path], out: Path, title: str | None = None, progress: bool | None = None
) -> dict[str, int]:
    """Make (or make anew) the site `out` of the given runs; returns its number of `files`, `bytes` and `runs`.

    `progress` shows bars on stderr (None: when that is a terminal). Raises RunError for a run that is missing or of
    another schema, an `out` that is something else than a site, or an explorer that is not built; UnfinishedError when
    the disk does not let it; the old site is then still there.
    """
    out = Path(os.path.realpath(out))
    readers = [RunReader(run_dir) for run_dir in dict.fromkeys(Path(run_dir).resolve() for run_dir in run_dirs)]
    explorer = explorer_dir()
    _recover(out)
    _refuse_foreign(out, readers)
    stats = [_stats_of(reader) for reader in readers]
    names = [reader.run_dir.name for reader in readers]
    new = temporary_path(out)
    with unfinished(out):
        try:
            remove(new)
            shutil.copytree(explorer, new)
            (new / "data").mkdir(exist_ok=True)
            runs = [
                _write_run(reader, new / "data", id_, stats_of_run, progress)
                for reader, id_, stats_of_run in zip(readers, run_ids(names), stats, strict=True)
            ]
            catalogue = {"schema_version": SCHEMA_VERSION, "title": title or ", ".join(names), "runs": runs}
            folders = {run["id"]: reader.run_dir for run, reader in zip(runs, readers, strict=True)}
            catalogue["compared"] = write_compared(folders, new / "data")
            _write(new / "data" / "catalogue.json", json_text(catalogue))
            (new / ".nojekyll").touch()  # GitHub Pages then serves every file as it is
            files = [path.stat().st_size for path in new.rglob("*") if path.is_file()]
            _keep(out, new)
            swap_folder(new, out)
        finally:
            remove(new)
    return {"files": len(files), "bytes": sum(files), "runs": len(runs)}


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


def _refuse_foreign(out: Path, readers: list[RunReader]) -> None:
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


def _write_run(reader: RunReader, data: Path, id_: str, stats: Stats | None, progress: bool | None) -> dict[str, Any]:
    """Write `data/<id>/`; returns the run's entry in the catalogue."""
    folder, manifest, config = data / id_, reader.manifest, reader.plan.config
    n, n_maps, maps = bucket_size(reader), maps_bucket_size(reader), reader.maps_config
    pages, groups = _write_pages(reader, folder)
    tables = _write_buckets(reader, folder, n, progress) | _write_maps(reader, folder, n_maps)
    _write_rejects(reader, folder / "rejects.parquet")
    model_tables = _copy_model(reader.run_dir, folder)
    vocab = write_vocab(reader, folder)
    n_layers, n_heads, parallel = _shape(reader)
    index = {
        "schema_version": SCHEMA_VERSION,
        "id": id_,
        "title": reader.run_dir.name,
        "complete": reader.complete,
        "manifest": manifest,
        "counts": manifest["counts"],
        "bucket_size": n,
        # Goes into the addresses of the run's files, so that no cache gives a bucket of an older site.
        "version": hash_json(
            [manifest["shards"], model_tables, stats and stats.marker["tables"], vocab, n, n_maps, __version__]
        )[:12],
        "prompt_pages": pages,
        "page_size": PAGE_SIZE,
        "n_layers": n_layers,
        "n_heads": n_heads,
        "parallel": parallel,
        "floor": config["routes"]["floor"],
        "targets": config["routes"]["targets"],
        "maps": {"stored": bool(maps["store"]), "floor": maps["floor"], "bucket_size": n_maps},
        "tables": tables,
        "model_tables": model_tables,
        "stats": write_stats(stats, folder) if stats else None,
        "vocab": vocab,
        "eager": list(EAGER),
        "groups": groups,
    }
    _write(folder / "index.json", json_text(index))
    return {
        "id": id_,
        "title": reader.run_dir.name,
        "model": _model_name(config),
        "dataset": reader.plan.dataset_name,
        "n_prompts": manifest["counts"]["prompts"],
        "n_rejects": manifest["counts"]["rejects"],
        "created": reader.plan.created,
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "groups": sorted(groups),
        "complete": reader.complete,
    }


def _write_pages(reader: RunReader, folder: Path) -> tuple[list[str], dict[str, int]]:
    """The slim list of prompts in pages; returns the files' names and the number of prompts per group."""
    names: list[str] = []
    groups: Counter[str] = Counter()

    def write(page: pa.Table) -> None:
        names.append(f"prompts-{len(names)}.parquet")
        _write(folder / names[-1], encode(page.combine_chunks()))

    waiting = SLIM.empty_table()
    for slim in reader.slim():
        groups.update(group for group in slim["group"].to_pylist() if group is not None)
        waiting = pa.concat_tables([waiting, slim])
        while waiting.num_rows >= PAGE_SIZE:
            write(waiting.slice(0, PAGE_SIZE))
            waiting = waiting.slice(PAGE_SIZE)
    if waiting.num_rows or not names:
        write(waiting)
    return names, dict(groups)


def _write_buckets(reader: RunReader, folder: Path, n: int, progress: bool | None) -> dict[str, dict[str, Any]]:
    """Every table bucket by bucket; returns rows, bytes and the buckets that exist, per table."""
    tables: dict[str, dict[str, Any]] = {
        table: {"rows": 0, "bytes": 0, "buckets": []} for table in (*BUCKETED, "tokens")
    }
    disable = None if progress is None else not progress
    for k in tqdm(reader.buckets(n), desc=folder.name, unit="bucket", disable=disable):
        for name, table in reader.bucket(k, n).items():
            _write_bucket(folder, name, k, table, tables[name])
    return tables


def _write_maps(reader: RunReader, folder: Path, n: int) -> dict[str, dict[str, Any]]:
    entry: dict[str, Any] = {"rows": 0, "bytes": 0, "buckets": []}
    for k in reader.buckets(n):
        _write_bucket(folder, "maps", k, reader.maps(k, n), entry)
    return {"maps": entry}


def _write_bucket(folder: Path, name: str, k: int, table: pa.Table, entry: dict[str, Any]) -> None:
    """Write a bucket, if it has rows, and count it in the table's entry of the index."""
    if table.num_rows:
        data = encode(table)
        _write(folder / name / f"bucket-{k}.parquet", data)
        entry["rows"] += table.num_rows
        entry["bytes"] += len(data)
        entry["buckets"].append(k)


def _write_rejects(reader: RunReader, path: Path) -> None:
    schema = pa.schema([field.remove_metadata() for field in TABLES["rejects"].schema])
    with pq.ParquetWriter(path, schema, compression="zstd", data_page_version="1.0") as writer:
        for shard in reader.shards:
            rejects = reader.shard("rejects", shard)
            if rejects.num_rows:
                writer.write_table(rejects)


def _copy_model(run_dir: Path, folder: Path) -> list[str]:
    """Copy the tables of the model; returns the names of those that are there (an unfinished run has none yet)."""
    found = [table for table in MODEL_TABLES if (run_dir / "model" / f"{table}.parquet").is_file()]
    for table in found:
        (folder / "model").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run_dir / "model" / f"{table}.parquet", folder / "model" / f"{table}.parquet")
    return found


def _stats_of(reader: RunReader) -> Stats | None:
    """The run's statistics, made when missing or stale; None where its folder cannot be written (an archive, say)."""
    try:
        return ensure(reader.run_dir)
    except UnfinishedError as error:
        print(f"flowatlas: the site goes without statistics of {reader.run_dir.name}: {error}", file=sys.stderr)
        return None


def _shape(reader: RunReader) -> tuple[int, int, bool]:
    """Layers, heads, and whether blocks are parallel: from the manifest, else (unfinished) from what is stored."""
    model = reader.manifest.get("model") or {}
    if {"n_layers", "n_heads", "parallel"} <= model.keys():
        return int(model["n_layers"]), int(model["n_heads"]), bool(model["parallel"])
    n_layers = n_heads = 0
    any_node = any_mid = False
    for shard in reader.shards:
        components, points = reader.shard("components", shard), reader.shard("nodes", shard)["point"].unique()
        n_layers = max([n_layers, *(layer + 1 for layer in components["layer"].unique().to_pylist())])
        n_heads = max([n_heads, *(index + 1 for index in components["index"].unique().to_pylist())])
        any_node, any_mid = any_node or len(points) > 0, any_mid or "mid" in points.to_pylist()
        if any_node:
            break  # every prompt has a row for each component, and its targets' own columns of nodes
    return int(model.get("n_layers", n_layers)), int(model.get("n_heads", n_heads)), any_node and not any_mid


def _model_name(config: dict[str, Any]) -> str:
    """The model's name; of a folder, its last part (where it lay on somebody's disk says nothing)."""
    name = str(config.get("model", {}).get("name") or "?")
    return Path(name).name if name.startswith((".", "/", "~")) or Path(name).is_dir() else name


def _write(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
