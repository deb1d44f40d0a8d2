"""Check of a run folder: are the files those that were written, and do their rows agree with each other?

Files are checked against the markers (size, content hash, rows, schema), then each shard's rows against the rules of
`check_rules`, by DuckDB, which streams the files and spills what does not fit in memory. All rows of a prompt are in one
shard, so shards are checked one by one, and a run of any size needs the memory of one.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from flowatlas import audit_store, intervention_store
from flowatlas.check_rules import INTO, PARALLEL_RULES, outside, shard_rules
from flowatlas.check_stats import check_stats
from flowatlas.check_vocab import check_vocab
from flowatlas.files import hash_file
from flowatlas.manifest import find_manifest, read_plan, summary
from flowatlas.names_file import read_names
from flowatlas.plan import Plan
from flowatlas.schema import LATER_TABLES, MODEL_TABLES, TABLES
from flowatlas.schema_audit import MEANS
from flowatlas.shards import Ledger, part_name, part_path
from flowatlas.site_data import RunReader
from flowatlas.vocab_files import clustering_of


def check(run_dir: Path) -> list[str]:
    """What is wrong with a run, one line each; empty when all is right. Raises RunError when it is no run folder."""
    plan, ledger = read_plan(run_dir), Ledger(run_dir)
    markers = {shard: ledger.marker(shard) for shard in range(len(plan.shards))}
    manifest = find_manifest(run_dir, plan)
    problems = list(_strays(run_dir, plan))
    sound = []
    for shard, marker in markers.items():
        found = list(_files(run_dir, plan, shard, marker))
        problems += found
        sound += [] if found else [shard]
    with tempfile.TemporaryDirectory() as spill:
        connection = duckdb.connect(config={"temp_directory": spill})
        model = (manifest or {}).get("model", {}) | clustering_of(run_dir)
        for shard in sound:
            problems += _rows(connection, run_dir, plan, shard, model)
        problems += _vocabulary(connection, run_dir, sound)
        connection.close()
    problems += read_names(run_dir, model)[1]
    problems += _means(run_dir, [marker for marker in markers.values() if marker])
    reader = RunReader(run_dir) if len(sound) == len(markers) else None  # what is made of damaged shards is no news
    problems += [
        *check_stats(run_dir, manifest, reader is not None),
        *_audit(run_dir, reader),
        *intervention_store.problems(run_dir, reader),
        *check_vocab(run_dir),
    ]
    present = [marker for shard, marker in markers.items() if marker and shard in set(sound)]
    return problems + list(_manifest(run_dir, plan, manifest, present))


def _strays(run_dir: Path, plan: Plan) -> Iterator[str]:
    """Files that `<table>/*.parquet` would read although no shard of the plan names them."""
    named = {f"{part_name(shard)}.parquet" for shard in range(len(plan.shards))}
    for table in TABLES:
        for path in sorted((run_dir / table).glob("*.parquet")):
            if path.name not in named:
                yield f"{table}/{path.name} belongs to no shard of this run: remove it"


def _files(run_dir: Path, plan: Plan, shard: int, marker: dict[str, Any] | None) -> Iterator[str]:
    """A shard's marker against the plan, and its files against the marker."""
    name, rows = f"shards/{part_name(shard)}.json", plan.shards[shard]
    if marker is None:
        state = "damaged" if Ledger(run_dir).path(shard).exists() else "missing"
        yield f"{name} is {state}: shard {shard} (rows {rows.start} to {rows.stop - 1}) is not done, run again"
        return
    again = f"remove {name} and run again"
    expected = {
        "config_hash": plan.config_hash,
        "rows_hash": plan.shard_hashes[shard],
        "shard": shard,
        "first_row": rows.start,
        "n_rows": len(rows),
    }
    for key, value in expected.items():
        if marker.get(key) != value:
            yield f"{name} has {key} {marker.get(key)}, but the plan has {value}: {again}"
    for table in TABLES:
        entry = (marker.get("tables") or {}).get(table)
        if entry is None and table in LATER_TABLES:
            continue
        if not isinstance(entry, dict):
            yield f"{name} does not name table {table}: {again}"
        elif problem := _file(part_path(run_dir, table, shard), table, entry):
            yield f"{table}/{part_name(shard)}.parquet {problem}: {again}"


def _file(path: Path, table: str, entry: dict[str, Any]) -> str:
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            return f"has {size} bytes instead of {entry['bytes']}"
        if hash_file(path) != entry["sha256"]:
            return "is damaged (its content hash is another)"
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except FileNotFoundError:
        return "is missing"
    except (OSError, pa.ArrowException, KeyError) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    if rows != entry["rows"]:
        return f"has {rows} rows instead of {entry['rows']}"
    declared = {**TABLES, **MODEL_TABLES}[table].schema
    if not schema.equals(declared):
        wrong = [f.name for f in declared if f.name not in schema.names or not schema.field(f.name).equals(f)]
        return f"has another schema (column {wrong[0] if wrong else schema.names[-1]})"
    return ""


def _rows(
    connection: duckdb.DuckDBPyConnection, run_dir: Path, plan: Plan, shard: int, model: dict[str, Any]
) -> Iterator[str]:
    """The rows of one shard against the rules; `model` is the manifest's, empty while there is none."""
    try:
        for table, declared in TABLES.items():
            path = part_path(run_dir, table, shard)
            missing = table in LATER_TABLES and not path.exists()
            connection.register(table, declared.empty() if missing else pyarrow.dataset.dataset(path, format="parquet"))
        yield from _whole(connection, plan.shards[shard], shard)
        yield from _values(connection, shard, model.get("n_layers"))
        any_mid = _first(connection, "SELECT count(*) FROM nodes WHERE point = 'mid'")[0]
        parallel = bool(model.get("parallel", not any_mid))
        connection.execute(INTO.format(parallel=parallel))
        for rule in (*shard_rules(), *(PARALLEL_RULES if parallel else ())):
            n, prompt = _first(connection, f"SELECT count(*), min(prompt_id) FROM ({rule.sql})")
            if n:
                yield f"{rule.table}/{part_name(shard)}.parquet: {n} rows {rule.wrong} (the first: prompt_id {prompt})"
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        yield f"shard {shard} cannot be read ({str(error).splitlines()[0]})"


def _whole(connection: duckdb.DuckDBPyConnection, rows: range, shard: int) -> Iterator[str]:
    """Every row of the dataset is a prompt or a reject."""
    both = "(SELECT prompt_id FROM prompts UNION ALL SELECT prompt_id FROM rejects)"
    sql = f"SELECT count(DISTINCT prompt_id), count_if(prompt_id < ? OR prompt_id >= ?) FROM {both}"
    n, strangers = connection.execute(sql, [rows.start, rows.stop]).fetchall()[0]
    if n != len(rows):
        yield f"shard {shard} has {n} prompts and rejects for {len(rows)} rows of the dataset"
    if strangers:
        yield f"shard {shard} has {strangers} prompts or rejects outside of its rows {rows.start} to {rows.stop - 1}"


def _values(connection: duckdb.DuckDBPyConnection, shard: int, n_layers: int | None) -> Iterator[str]:
    """Every value within the range that schema.py declares for its column; one pass per table."""
    for table, declared in TABLES.items():
        conditions = {c: sql for c in declared.columns if (sql := outside(c, n_layers))}
        counts = ", ".join(f"count_if({sql}), min(CASE WHEN {sql} THEN prompt_id END)" for sql in conditions.values())
        found = _first(connection, f"SELECT {counts} FROM {table}")
        for column, n, prompt in zip(conditions, found[::2], found[1::2], strict=True):
            if n:
                range_ = column.range or ", ".join(column.categories)
                what = f"outside {range_}" if range_ else "that is no number"
                yield (
                    f"{table}/{part_name(shard)}.parquet: {n} rows have a {column.name} {what} "
                    f"(the first: prompt_id {prompt})"
                )


def _vocabulary(connection: duckdb.DuckDBPyConnection, run_dir: Path, shards: list[int]) -> Iterator[str]:
    """Every token id that a sound shard mentions is an entry of `model/vocab.parquet`, where that is there."""
    path = run_dir / "model" / "vocab.parquet"
    if not path.exists():
        return
    try:
        connection.register("vocab", pyarrow.dataset.dataset(path, format="parquet"))
        for table in ("lens", "writes") if shards else ():
            parts = [str(part_path(run_dir, table, shard)) for shard in shards]
            connection.register("mentions", pyarrow.dataset.dataset(parts, format="parquet"))
            n = _first(connection, "SELECT count(DISTINCT token_id) FROM mentions ANTI JOIN vocab USING (token_id)")[0]
            if n:
                yield f"{table} mentions {n} token ids that model/vocab.parquet lacks"
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        yield f"model/vocab.parquet cannot be read ({str(error).splitlines()[0]})"


def _means(run_dir: Path, markers: list[dict[str, Any]]) -> Iterator[str]:
    """Knock-outs of all shards used the means that are there."""
    used, path = (
        {marker["means"] for marker in markers if "means" in marker},
        run_dir / "model" / f"{MEANS.name}.parquet",
    )
    if used and not (path.exists() and used == {hash_file(path)}):
        yield f"model/{path.name} is missing, or not what the knock-outs of every shard used: make the run again"


def _audit(run_dir: Path, reader: RunReader | None) -> Iterator[str]:
    """The tables of an audit, where there is one, are those that were written, and of the shards there are (`reader`)."""
    folder = run_dir / audit_store.FOLDER
    if not folder.exists():
        return
    audit = audit_store.whole(run_dir)
    if audit is None or (reader and audit.marker.get("made_from") != audit_store.made_from(reader)):
        yield f"{folder.name} is damaged, or of other shards than the run has now: `flowatlas audit` makes it anew"
        return
    for table, entry in audit.marker["tables"].items():
        path = folder / f"{table}.parquet"
        if hash_file(path) != entry["sha256"]:
            yield f"{folder.name}/{path.name} is not the file that was written: `flowatlas audit` makes it anew"


def _first(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return connection.execute(sql).fetchall()[0]


def _manifest(run_dir: Path, plan: Plan, manifest: dict[str, Any] | None, markers: list[dict]) -> Iterator[str]:
    """The manifest against the markers (which are known to agree with the files) and the model's tables."""
    if manifest is None:
        yield "manifest.json is missing: the run is not complete, run again"
        return
    for table in MODEL_TABLES:
        entry = manifest.get("model_tables", {}).get(table)
        path = run_dir / "model" / f"{table}.parquet"
        if entry is None:
            yield f"manifest.json does not name model/{table}.parquet: remove manifest.json and run again"
        elif not path.exists():
            yield f"model/{table}.parquet is missing: remove manifest.json and run again"
        elif hash_file(path) != entry["sha256"]:
            yield f"model/{table}.parquet is damaged (its content hash is another): remove manifest.json and run again"
    if len(markers) < len(plan.shards):
        return  # what is wrong with the shards has been said
    found = summary(run_dir, plan, markers)
    for key in ("counts", "tables", "shards", "config_hash", "weights_hash", "dataset", "shard_size"):
        if manifest.get(key) != found[key]:
            yield f"manifest.json has other {key} than the shards: remove it and run again"
