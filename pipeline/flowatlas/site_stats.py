"""Statistics in a site: each table as one file, or cut into files that a page can fetch one by one.

Tables are sorted (schema_stats.ORDERS), so a cut lies between rows that are asked for apart; each file names the values of
the first columns that it holds. Runs that share prompts are compared two by two.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas.audit_store import Audit
from flowatlas.compare import compare
from flowatlas.errors import NothingInCommon
from flowatlas.files import hash_json
from flowatlas.schema_audit import AUDIT_ORDERS
from flowatlas.schema_compared import COMPARED_CUTS
from flowatlas.schema_stats import ORDERS
from flowatlas.site_data import RunReader, bare, encode
from flowatlas.stats import Stats, made_from

FILE_BYTES = 100_000  # a page fetches a file whole, and every query on it decodes its columns whole
MOST_COMPARED = 15  # pairs of runs: comparing them all would take as long as making the site of many runs


Kept = Callable[[pa.Table, str], pa.Table]  # the rows that are about prompts in the site, by the column that names them


def write_stats(stats: Stats, folder: Path, kept: Kept) -> dict[str, Any]:
    """Write the tables of a run's statistics into `folder/stats`; returns their marker with the files of each table.

    Numbers are those of the whole run; rows that are about a single prompt stay where the site has the prompt.
    """
    tables = {}
    for name, entry in stats.marker["tables"].items():
        order, n_cut = ORDERS[name]
        rows = _pointing(kept(stats.read(name), "prompt_id"), kept)
        tables[name] = entry | write_cut(rows, folder, f"stats/{name}", order[:n_cut])
    return stats.marker | {"tables": tables}


def _pointing(table: pa.Table, kept: Kept) -> pa.Table:
    """A table whose rows point to a prompt by `top_prompt`: null where the site has not that prompt."""
    if "top_prompt" not in table.column_names:
        return table
    prompts = table["top_prompt"].combine_chunks()
    there = kept(pa.table({"prompt_id": prompts.unique()}), "prompt_id")["prompt_id"]
    left = pa.array(prompts.to_numpy(), mask=~np.isin(prompts.to_numpy(), there.to_numpy()))
    return bare(table).set_column(table.column_names.index("top_prompt"), "top_prompt", left)


def write_audit(audit: Audit, folder: Path) -> dict[str, Any]:
    """Write the curves of a run's audit into `folder/audit`; returns its marker with the files of the table."""
    (cut, *_) = AUDIT_ORDERS["curves"]
    return audit.marker | {"tables": {"curves": write_cut(audit.read("curves"), folder, "audit/curves", (cut,))}}


def write_compared(runs: Mapping[str, RunReader], data: Path) -> list[dict[str, Any]]:
    """Compare the runs (by id) that have prompts in common; writes `compare/<a>--<b>/`, returns an entry for each pair."""
    entries = []
    if len(runs) * (len(runs) - 1) // 2 > MOST_COMPARED:
        print(f"flowatlas: of these runs {MOST_COMPARED} pairs are compared, the first ones", file=sys.stderr)
    for a, b in islice(combinations(runs, 2), MOST_COMPARED):
        try:
            tables = compare(runs[a].run_dir, runs[b].run_dir)
        except NothingInCommon:
            continue
        tables = {n: runs[b].kept(runs[a].kept(table, "prompt_a"), "prompt_b") for n, table in tables.items()}
        place, same = f"compare/{a}--{b}", tables["components"].num_rows > 0
        files = {name: write_cut(table, data, f"{place}/{name}", COMPARED_CUTS[name]) for name, table in tables.items()}
        version = hash_json([made_from(runs[a]), made_from(runs[b])])[:12]
        n = tables["prompts"].num_rows
        entries.append({"a": a, "b": b, "n": n, "same_shape": same, "version": version, "tables": files})
    return entries


def write_cut(table: pa.Table, folder: Path, name: str, cut: Sequence[str], most: int | None = None) -> dict[str, Any]:
    """Write a sorted table as `folder/<name>.parquet`, or as `<name>-0.parquet`, ... of about `most` (FILE_BYTES) bytes each.

    Cuts lie where the columns `cut` change (anywhere, when there are none), so a file is larger when rows that are alike
    in these are. Returns its entry of an index: rows, bytes, cut and the files, with the keys each holds when several.
    """
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    most, table = most or FILE_BYTES, bare(table.combine_chunks())
    whole = encode(table)
    rows = max(1, table.num_rows * most // max(1, len(whole)))
    ranges = [(0, table.num_rows)] if len(whole) <= most else list(_ranges(table, cut, rows))
    files = []
    for k, (start, stop) in enumerate(ranges):
        piece = table.slice(start, stop - start)
        data, file = (whole, f"{name}.parquet") if len(ranges) == 1 else (encode(piece), f"{name}-{k}.parquet")
        (folder / file).write_bytes(data)
        keys = {"keys": _keys(piece, cut)} if len(ranges) > 1 and cut else {}
        files.append({"file": file, "rows": stop - start, "bytes": len(data), **keys})
    size = sum(file["bytes"] for file in files)
    return {"rows": table.num_rows, "bytes": size, "cut": list(cut), "files": files}


def _ranges(table: pa.Table, cut: Sequence[str], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most so many rows that end where a key does."""
    stops = np.append(_starts(table, cut)[1:] if cut else np.arange(1, table.num_rows), table.num_rows)
    first = 0
    while first < table.num_rows:
        next_one, last_one = np.searchsorted(stops, [first, first + most], side="right") - (0, 1)
        stop = int(stops[max(next_one, last_one)])
        yield first, stop
        first = stop


def _starts(table: pa.Table, cut: Sequence[str]) -> np.ndarray:
    """The rows at which a new key begins."""
    new = np.zeros(table.num_rows, bool)
    new[:1] = True
    for name in cut:
        column = table[name].combine_chunks()
        coded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy()
        new[1:] |= codes[1:] != codes[:-1]
    return np.flatnonzero(new)


def _keys(table: pa.Table, cut: Sequence[str]) -> list[list[Any]]:
    """The values of the columns `cut`, each once."""
    return [list(row.values()) for row in table.select(cut).take(pa.array(_starts(table, cut))).to_pylist()]
