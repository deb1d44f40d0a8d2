"""One run's folder in a site: first what is small and counted exactly, then its tables in buckets.

Between the two the buckets' size is foretold from a sample, so that a site too large for its host is refused before the
hours that writing it may take.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from flowatlas import __version__, audit_store
from flowatlas.bucket_sizes import bucket_size, maps_bucket_size, sample_of
from flowatlas.files import hash_json, json_text
from flowatlas.hosts import Part
from flowatlas.names_file import published_names
from flowatlas.schema import MODEL_TABLES, SCHEMA_VERSION, TABLES
from flowatlas.seal import sealed, sealed_json
from flowatlas.selection import OPTIONAL
from flowatlas.site_data import (
    BUCKETED,
    EAGER,
    LISTING,
    SLIM,
    RunReader,
    bare,
    encode,
)  # fmt: skip
from flowatlas.site_interventions import FOLDER, SiteInterventions
from flowatlas.site_stats import write_audit, write_stats
from flowatlas.site_vocab import write_vocab
from flowatlas.stats import Stats
from flowatlas.vocab_files import clustering_of

PAGE_SIZE = 1000
SHOWN_GROUPS = 10  # in the catalogue
MOST_GROUPS = 500  # that the list of prompts offers; one group a prompt would be no group


class SiteRun:
    """A run on its way into `folder` of a site, under the name `id_`; `stats` is None where there are none to show."""

    def __init__(self, reader: RunReader, folder: Path, id_: str, title: str, stats: Stats | None) -> None:
        self.reader, self.folder, self.id, self.title, self.stats = reader, folder, id_, title, stats
        self.audit = audit_store.current(reader) if reader.has("stats") else None
        self.n, self.n_maps = bucket_size(reader), maps_bucket_size(reader)
        self.interventions = SiteInterventions(reader, self.n)
        self.parts: dict[str, Part] = {}
        self.names: dict[str, dict[str, str]] = {}
        self._index: dict[str, Any] = {}

    def write_small(self) -> None:
        """Everything but the buckets; adds what it takes to `parts`."""
        pages, groups = self._write_pages()
        self._write("rejects", "rejects.parquet", encode(self._rejects()))
        model_tables = self._write_model()
        self.names = names_of(self.reader)
        if self.names:
            self._write("names", "names.json", sealed_json(self.names))
        self._index = {
            "prompt_pages": pages,
            "groups": dict(groups.most_common(MOST_GROUPS)),
            "n_groups": len(groups),
            "model_tables": model_tables,
            "stats": self._write_stats(),
            "vocab": self._write_vocab(),
            "audit": self._write_audit(),
            "interventions": [self._counted(one, FOLDER) for one in self.interventions.write_whole(self.folder)],
            "n_names": len(self.names),
        }

    def foretell(self) -> dict[str, Part]:
        """What the buckets will take, by table, from a few of them."""
        parts = _foretold(self.reader, self.n, lambda k: self.reader.bucket(k, self.n))
        if self.reader.has("maps"):
            parts |= _foretold(self.reader, self.n_maps, lambda k: {"maps": self.reader.maps(k, self.n_maps)})
        edited = _foretold(self.reader, self.n, self.interventions.bucket)
        index = len(json_text({**self._index, "manifest": self._manifest()}))
        parts["index"] = Part(index, 1, index)
        return parts | ({FOLDER: sum(edited.values(), Part(optional=True))} if edited else {})

    def write_buckets(self, progress: bool | None) -> None:
        """Every table bucket by bucket, and the index, which names them."""
        tables: dict[str, dict[str, Any]] = {
            table: {"rows": 0, "bytes": 0, "buckets": []} for table in (*BUCKETED, "tokens", "partners", "maps")
        }
        disable = None if progress is None else not progress
        for k in tqdm(self.reader.buckets(self.n), desc=self.folder.name, unit="bucket", disable=disable):
            for name, table in self.reader.bucket(k, self.n).items():
                self._write_bucket(name, k, table, tables[name])
        for k in self.reader.buckets(self.n_maps) if self.reader.has("maps") else ():
            self._write_bucket("maps", k, self.reader.maps(k, self.n_maps), tables["maps"])
        for entry in tables.values():
            entry["buckets"] = ranges(entry["buckets"])
        self._write_interventions()
        self._write_index(tables)

    def entry(self) -> dict[str, Any]:
        """The run's entry in the catalogue."""
        reader, config = self.reader, self.reader.plan.config
        counts, groups = reader.manifest["counts"], self._index["groups"]
        return {
            "id": self.id,
            "title": self.title,
            "model": _model_name(config),
            "dataset": reader.plan.dataset_name,
            "n_prompts": reader.n_prompts,
            "n_rejects": counts["rejects"],
            "n_selected_from": reader.described and counts["prompts"],
            "created": reader.plan.created,
            "bytes": sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()),
            "groups": sorted(groups)[:SHOWN_GROUPS],
            "n_groups": self._index["n_groups"],
            "complete": reader.complete,
        }

    def _write_index(self, tables: dict[str, dict[str, Any]]) -> None:
        reader, manifest, config = self.reader, self.reader.manifest, self.reader.plan.config
        n_layers, n_heads, parallel = _shape(reader)
        maps = reader.maps_config
        of_corpus = [made and made.marker["tables"] for made in (self.stats, self.audit)]
        of_corpus.append([one.marker["files"] for one in self.interventions.stored])
        of_model = [self._index["model_tables"], self._index["vocab"]]
        made_of = [manifest["shards"], *of_model, *of_corpus, self.names]
        index = {
            **self._index,
            "schema_version": SCHEMA_VERSION,
            "id": self.id,
            "title": self.title,
            "complete": reader.complete,
            "manifest": self._manifest(),
            "counts": manifest["counts"] | {"prompts": reader.n_prompts},
            "selection": reader.described,
            "bucket_size": self.n,
            # Goes into the addresses of the run's files, so that no cache gives a bucket of an older site.
            "version": hash_json([made_of, reader.described, self.n, self.n_maps, __version__])[:12],
            "n_layers": n_layers,
            "n_heads": n_heads,
            "parallel": parallel,
            "floor": config["routes"]["floor"],
            "targets": config["routes"]["targets"],
            "maps": {"stored": bool(maps["store"]), "floor": maps["floor"], "bucket_size": self.n_maps},
            "tables": tables,
            "eager": list(EAGER),
        }
        self._write("index", "index.json", sealed_json(index))

    def _write_interventions(self) -> None:
        """The buckets of each, named beside its other tables."""
        places = self.interventions.places
        entries: dict[str, dict[str, Any]] = {place: {"rows": 0, "bytes": 0, "buckets": []} for place in places}
        for k in self.reader.buckets(self.n) if places else ():
            for place, table in self.interventions.bucket(k).items():
                self._write_bucket(place, k, table, entries[place], FOLDER)
        for place, (one, name) in places.items():
            entry = entries[place] | {"buckets": ranges(entries[place]["buckets"])}
            self._index["interventions"][one]["tables"][name] = entry

    def _manifest(self) -> dict[str, Any]:
        """Of thousands of shards the page needs to know nothing, and the index is fetched before anything else."""
        manifest = self.reader.manifest
        return {key: value for key, value in manifest.items() if key != "shards"} | {"dataset": _dataset(manifest)}

    def _write_pages(self) -> tuple[list[dict[str, Any]], Counter[str]]:
        """The slim list of prompts in pages; returns an entry for each, and the number of prompts per group."""
        pages: list[dict[str, Any]] = []
        listing: list[pa.Table] = []
        groups: Counter[str] = Counter()
        for page in _pages(self.reader.slim()):
            groups.update(group for group in page["group"].to_pylist() if group is not None)
            listing.append(page.select(LISTING.names))
            ids, name = page["prompt_id"], f"prompts-{len(pages)}.parquet"
            ends = (
                {"first_id": ids[0].as_py(), "last_id": ids[-1].as_py()} if len(ids) else {"first_id": 0, "last_id": -1}
            )
            data = encode(page)
            self._write("prompts list", name, data)
            pages.append({"file": name, "rows": len(ids), "bytes": len(data), **ends})
        self._write("prompts list", "listing.parquet", encode(pa.concat_tables(listing).combine_chunks()))
        return pages, groups

    def _rejects(self) -> pa.Table:
        pieces = [self.reader.shard("rejects", shard) for shard in self.reader.shards]
        return pa.concat_tables([bare(TABLES["rejects"].empty()), *pieces]).combine_chunks()

    def _write_model(self) -> list[str]:
        """The tables of the model; returns the names of those that are there (an unfinished run has none yet)."""
        found = []
        for table in MODEL_TABLES:
            data = self.reader.model_file(table)
            if data is not None:
                self._write("model", f"model/{table}.parquet", sealed(data))
                found.append(table)
        return found

    def _write_stats(self) -> dict[str, Any] | None:
        if self.stats is None:
            return None
        return self._counted(write_stats(self.stats, self.folder, self.reader.kept))

    def _write_audit(self) -> dict[str, Any] | None:
        return self._counted(write_audit(self.audit, self.folder)) if self.audit else None

    def _counted(self, marker: dict[str, Any], part: str = "stats") -> dict[str, Any]:
        """A marker of tables over the corpus, whose files are counted among a part of the site."""
        for entry in marker["tables"].values():
            for file in entry["files"]:
                self._count(part, file["bytes"])
        return marker

    def _write_vocab(self) -> dict[str, Any] | None:
        entry = write_vocab(self.reader, self.folder) if self.reader.has("vocab") else None
        for path in (self.folder / "vocab").rglob("*.parquet"):
            self._count("vocab", path.stat().st_size)
        return entry

    def _write_bucket(self, name: str, k: int, table: pa.Table, entry: dict[str, Any], part: str = "") -> None:
        """Write a bucket, if it has rows, and count it in the table's entry of the index and in a part of the site.

        The part is that of the table's own name where none is given.
        """
        if table.num_rows:
            data = encode(table)
            self._write(part or name, f"{name}/bucket-{k}.parquet", data)
            entry["rows"] += table.num_rows
            entry["bytes"] += len(data)
            entry["buckets"].append(k)

    def _write(self, part: str, name: str, data: bytes) -> None:
        write(self.folder / name, data)
        self._count(part, len(data))

    def _count(self, part: str, n_bytes: int) -> None:
        self.parts[part] = self.parts.get(part, Part()) + Part(n_bytes, 1, n_bytes, part in OPTIONAL)


def names_of(reader: RunReader) -> dict[str, dict[str, str]]:
    """What people call the run's components (names.yaml). Raises RunError for a file that is wrong."""
    return published_names(reader.run_dir, (reader.manifest.get("model") or {}) | clustering_of(reader.run_dir))


def ranges(numbers: list[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of each run of them: of thousands of buckets mostly one."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _pages(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of the pieces in tables of PAGE_SIZE; one without rows when there are none."""
    waiting, any_page = SLIM.empty_table(), False
    for piece in pieces:
        waiting = pa.concat_tables([waiting, piece])
        while waiting.num_rows >= PAGE_SIZE:
            yield waiting.slice(0, PAGE_SIZE).combine_chunks()
            waiting, any_page = waiting.slice(PAGE_SIZE), True
    if waiting.num_rows or not any_page:
        yield waiting.combine_chunks()


def _foretold(reader: RunReader, n: int, bucket: Callable[[int], dict[str, pa.Table]]) -> dict[str, Part]:
    """Bytes by prompt in sampled buckets of n, times the prompts; the largest file is that of the sample."""
    seen, n_prompts, sample = {}, 0, list(sample_of(reader, n))
    for k in sample:
        tables = bucket(k)
        n_prompts += reader.rows("prompts", k * n, (k + 1) * n).num_rows
        for name, table in tables.items():
            n_bytes = len(encode(table)) if table.num_rows else 0
            seen[name] = seen.get(name, Part()) + Part(n_bytes, 1 if n_bytes else 0, n_bytes, name in OPTIONAL)
    times, buckets_times = reader.n_prompts / max(1, n_prompts), len(reader.buckets(n)) / max(1, len(sample))
    return {
        name: Part(round(part.bytes * times), math.ceil(part.files * buckets_times), part.largest, part.optional)
        for name, part in seen.items()
    }


def _dataset(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of the dataset, of the shards' hashes the first: it tells one dataset from another."""
    dataset = manifest["dataset"]
    return dataset | {"shard_hashes": dataset["shard_hashes"][:1]}


def _shape(reader: RunReader) -> tuple[int, int, bool]:
    """Layers, heads, and whether blocks are parallel: from the manifest, else (unfinished) from what is stored."""
    model = reader.manifest.get("model") or {}
    if {"n_layers", "n_heads", "parallel"} <= model.keys():
        return int(model["n_layers"]), int(model["n_heads"]), bool(model["parallel"])
    reader = RunReader(reader.run_dir)  # all of it: a selection may leave the components out
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
