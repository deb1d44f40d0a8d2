"""Statistics over the prompts of a run: `RUN/stats/*.parquet`, made from the shards.

`stats.json` beside the tables names what they were made from (the shards' content hashes); when that is no longer what
the run holds, they are stale. The folder is written beside its place and swapped in, so it is there whole or not at all.
"""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from flowatlas import (
    __version__,
    by_kind,
    consensus,
    contrasts,
    dataset_figures,
    examples,
    fidelity,
    importance,
    pairs,
    part_tokens,
    positions,
    prompt_map,
    removals,
    roles,
    sums,
    written,
)  # fmt: skip
from flowatlas.corpus import Corpus, to_table
from flowatlas.files import (
    hash_file,
    hash_json,
    json_text,
    read_json,
    remove,
    remove_stale,
    swap_folder,
    temporary_path,
    unfinished,
)  # fmt: skip
from flowatlas.schema import TABLES
from flowatlas.schema_stats import ORDERS, STATS_TABLES, STATS_VERSION
from flowatlas.site_data import RunReader
from flowatlas.writer import conform, write_parquet

FOLDER, MARKER = "stats", "stats.json"
Columns = dict[str, Any]
Rows = Iterator[tuple[str, Columns]]


@dataclasses.dataclass(frozen=True)
class Stats:
    """What `flowatlas stats` made: rows and bytes by table, and seconds."""

    folder: Path
    marker: dict[str, Any]

    def read(self, table: str) -> pa.Table:
        """A table. Raises RunError when it is not the file that was written."""
        sha256 = self.marker["tables"][table].get("sha256")
        again = f"`flowatlas stats {self.folder.parent}` makes it anew"
        return written.read_table(self.folder / f"{table}.parquet", sha256, again)


def ensure(run_dir: Path) -> Stats:
    """The statistics of a run, made (again) when they are missing or stale. Raises as `make`."""
    reader = RunReader(run_dir)
    marker = current(reader)
    return Stats(run_dir / FOLDER, marker) if marker else make(run_dir)


def current(reader: RunReader) -> dict[str, Any] | None:
    """The marker of statistics that are whole and of the shards there are; None when they are missing or stale."""
    folder = reader.run_dir / FOLDER
    try:
        marker = read_json(folder / MARKER)
        sizes = {name: (folder / f"{name}.parquet").stat().st_size for name in STATS_TABLES}
        whole = all(marker["tables"][name]["bytes"] == size for name, size in sizes.items())
        return marker if whole and marker["made_from"] == made_from(reader) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def made_from(reader: RunReader) -> str:
    """Hash of everything that the statistics depend on: the shards' contents and the way they are computed."""
    return hash_json([STATS_VERSION, [shard["tables"] for shard in reader.manifest["shards"]]])


def make(run_dir: Path) -> Stats:
    """Compute and write all tables. Raises RunError when it is no run with a done shard or one is not as it was written.

    UnfinishedError when disk or memory do not suffice; statistics that were there are then still there.
    """
    run_dir = Path(run_dir).resolve()
    with Corpus(run_dir, required=TABLES) as corpus:
        remove_stale(run_dir)
        corpus.prepare()
        new = temporary_path(run_dir / FOLDER)
        with unfinished(run_dir / FOLDER):
            try:
                remove(new)
                new.mkdir(parents=True)
                marker = _write(corpus, new)
                swap_folder(new, run_dir / FOLDER)
            finally:
                remove(new)
    return Stats(run_dir / FOLDER, marker)


def _write(corpus: Corpus, folder: Path) -> dict[str, Any]:
    began, seconds = time.perf_counter(), {}
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for name, step in STEPS.items():
        for table, columns in step(corpus) if corpus.codes else ():
            found[table].append(to_table(STATS_TABLES[table], columns))
        seconds[name], began = round(time.perf_counter() - began, 3), time.perf_counter()
    entries = {}
    for name, declared in STATS_TABLES.items():
        path, pieces = folder / f"{name}.parquet", found.pop(name, [])
        whole = conform(pa.concat_tables(pieces), declared, ORDERS[name][0]) if pieces else declared.empty()
        write_parquet(path, whole)
        entries[name] = {"rows": whole.num_rows, "bytes": path.stat().st_size, "sha256": hash_file(path)}
    reader = corpus.reader
    marker = {
        "stats_version": STATS_VERSION,
        "flowatlas": __version__,
        "made_from": made_from(reader),
        "complete": reader.complete,
        "n_prompts": reader.manifest["counts"]["prompts"],
        "groups": corpus.groups,
        "taus": [round(tau, 6) for tau in corpus.taus],
        "tables": entries,
        "seconds": seconds,
    }
    (folder / MARKER).write_bytes(json_text(marker))
    return marker


def _families(corpus: Corpus) -> Rows:
    """Importance and contrasts: both need the sums, which are made once."""
    roles = pairs.find_pairs(corpus)
    for family in (sums.blocks(corpus), sums.neurons(corpus)):
        if family.n_parts:
            yield from importance.tables(family)
            yield from contrasts.tables(family)
            yield from pairs.tables(family, roles)


def _positions(corpus: Corpus) -> Rows:
    positions.make_positions(corpus)
    return iter(())


# Each yields (table, columns) as often as it likes; later ones may use the views and tables that earlier ones made.
STEPS: dict[str, Callable[[Corpus], Rows]] = {
    "importance and contrasts": _families,
    "positions": _positions,
    "roles": roles.tables,
    "by kind": by_kind.tables,
    "examples": examples.tables,
    "tokens": part_tokens.tables,
    "consensus": consensus.tables,
    "map": prompt_map.tables,
    "dataset": dataset_figures.tables,
    "fidelity": fidelity.tables,
    "removals": removals.tables,
}


def lines(stats: Stats) -> list[str]:
    """What the command line says about them."""
    rows = ", ".join(f"{name} {entry['rows']}" for name, entry in stats.marker["tables"].items())
    return [f"{stats.folder}: {rows}; {sum(stats.marker['seconds'].values()):.1f} s"]
