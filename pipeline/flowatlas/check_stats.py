"""Check of a run's statistics: are they of the shards that are there, the files that were written, and right?

Right means: values in their declared ranges, and the sums that everything rests on counted again, straight from the
shards' rows and by other queries than those that made them.
"""

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.check_rules import outside
from flowatlas.corpus import Corpus, quoted
from flowatlas.errors import FlowatlasError
from flowatlas.files import hash_file, read_json
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.stats import FOLDER, MARKER, made_from

AGAIN = "`flowatlas stats` makes them anew"
TOLERANCE = 1e-5


class Recount(NamedTuple):
    """A query for the rows of a table that are not what the shards say."""

    table: str
    wrong: str
    sql: str


# `group` of a prompt or null, for sums over all prompts and over each group.
_SCOPED = """(
    SELECT prompt_id, NULL AS "group" FROM run_prompts
    UNION ALL SELECT prompt_id, "group" FROM run_prompts WHERE "group" IS NOT NULL
)"""
_SAME = 'x."group" IS NOT DISTINCT FROM y."group"'
_PART = "x.component = y.component AND x.layer = y.layer AND x.index = y.index"

RECOUNTS = (
    Recount("importance", "with another mean share than the shards'", f"""
        SELECT 1 FROM importance x JOIN (
            SELECT "group", component, layer, index, count(*) AS n, count_if(route_tau > 0) AS n_stored,
                avg(mean_share::DOUBLE) AS mean_share, avg(target_share::DOUBLE) AS target_share
            FROM run_components JOIN {_SCOPED} USING (prompt_id) WHERE component IN ('head', 'mlp') GROUP BY ALL
        ) y ON {_SAME} AND {_PART}
        WHERE x.n <> y.n OR x.n_stored <> y.n_stored OR NOT abs(x.mean_share - y.mean_share) <= {TOLERANCE}
            OR NOT abs(x.target_share - y.target_share) <= {TOLERANCE}
    """),
    Recount("activity", "with another count of active prompts than the shards'", f"""
        SELECT 1 FROM activity x JOIN (
            SELECT "group", component, layer, index, t.tau, count_if(route_tau > t.tau) AS n_active
            FROM run_components JOIN {_SCOPED} USING (prompt_id), (SELECT DISTINCT tau FROM activity) t
            WHERE component IN ('head', 'mlp') GROUP BY ALL
        ) y ON {_SAME} AND {_PART} AND x.tau = y.tau WHERE x.n_active <> y.n_active
    """),
    Recount("roles", "that count other edges than the shards'", f"""
        SELECT 1 FROM roles x JOIN (
            SELECT "group", layer, head, count(*) AS n FROM run_edges JOIN {_SCOPED} USING (prompt_id)
            WHERE head >= 0 AND dst > 0 GROUP BY ALL
        ) y ON {_SAME} AND x.layer = y.layer AND x.head = y.head WHERE x.source = 'edges' AND x.n_all <> y.n
    """),
    Recount("contrasts", "whose difference is not that of the means", f"""
        SELECT 1 FROM contrasts WHERE NOT abs(difference - (mean_a - mean_b)) <= {TOLERANCE} * greatest(1, abs(mean_a))
    """),
    Recount("dataset", "that count other prompts than the shards'", f"""
        SELECT 1 FROM dataset x JOIN (SELECT "group", count(*) AS n FROM {_SCOPED} GROUP BY ALL) y ON {_SAME}
        WHERE x.n <> y.n
    """),
    Recount("examples", "whose share is not the edge's", f"""
        SELECT 1 FROM examples x LEFT JOIN run_edges e ON e.prompt_id = x.prompt_id AND e.layer = x.layer
            AND e.head = x.index AND e.dst = x.dst AND e.src = x.src
        WHERE x.component = 'head' AND NOT coalesce(abs(x.share - e.share), 1) <= {TOLERANCE}
    """),
)  # fmt: skip


def check_stats(run_dir: Path, manifest: dict[str, Any] | None, sound: bool) -> Iterator[str]:
    """What is wrong with `RUN/stats`, one line each; only of the files themselves where the shards are not `sound`.

    Without the folder nothing is, unless the manifest says that the run has made statistics at its end.
    """
    folder = run_dir / FOLDER
    if not folder.exists():
        if manifest and manifest.get("statistics") and manifest["counts"]["prompts"]:
            yield f"{FOLDER} is missing, though the run has made it: {AGAIN}"
        return
    try:
        marker = read_json(folder / MARKER)
        entries = {name: marker["tables"][name] for name in STATS_TABLES}
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{FOLDER}/{MARKER} is missing or damaged, or of another version: {AGAIN}"
        return
    wrong = {name: what for name in entries if (what := _file(folder, name, entries[name]))}
    for name, what in wrong.items():
        yield f"{FOLDER}/{name}.parquet {what}: {AGAIN}"
    if not sound:
        return
    try:
        with Corpus(run_dir) as corpus:
            if marker.get("made_from") != made_from(corpus.reader):
                yield f"{FOLDER} are of other shards or of another version than the run has now: {AGAIN}"
            else:
                yield from _rows(corpus, folder, STATS_TABLES.keys() - wrong)
    except (FlowatlasError, duckdb.Error) as error:
        yield f"{FOLDER} cannot be checked ({str(error).splitlines()[0]})"


def _file(folder: Path, name: str, entry: dict[str, Any]) -> str:
    path = folder / f"{name}.parquet"
    try:
        if hash_file(path) != entry["sha256"]:
            return "is not the file that was written"
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except FileNotFoundError:
        return "is missing"
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    if rows != entry.get("rows"):
        return f"has {rows} rows instead of {entry.get('rows')}"
    return "" if schema.equals(STATS_TABLES[name].schema) else "has another schema"


def _rows(corpus: Corpus, folder: Path, whole: Set[str]) -> Iterator[str]:
    """Ranges of the tables that are `whole`, then their recounts."""
    for name in ("prompts", "components", "edges"):
        corpus.execute(f"CREATE VIEW run_{name} AS SELECT * FROM {name}")
    for name, declared in STATS_TABLES.items():
        if name not in whole:
            continue
        corpus.execute(
            f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({quoted(folder / f'{name}.parquet')})"
        )
        for column in declared.columns:
            n = corpus.one(f"SELECT count(*) FROM {name} WHERE {sql}")[0] if (sql := outside(column, None)) else 0
            if n:
                yield f"{FOLDER}/{name}.parquet: {n} rows have a {column.name} outside its range: {AGAIN}"
    for recount in RECOUNTS:
        if recount.table not in whole:
            continue
        n = corpus.one(f"SELECT count(*) FROM ({recount.sql})")[0]
        if n:
            yield f"{FOLDER}/{recount.table}.parquet: {n} rows {recount.wrong}: {AGAIN}"
