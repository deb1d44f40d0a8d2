"""Audit of a run's vocabulary atlas: is it of the run's model, and are its files those that were written, and whole?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.check_rules import outside
from flowatlas.corpus import quoted
from flowatlas.files import hash_file, read_json
from flowatlas.manifest import read_plan
from flowatlas.schema_vocab import VOCAB_TABLES, VOCAB_VERSION
from flowatlas.vocab_files import FOLDER, MARKER

AGAIN = "remove the folder vocab and give `flowatlas vocab` with the run"

# Queries for what cannot be, by what is then wrong.
RULES = {
    "neurons have no tokens": """
        SELECT layer, expert, neuron FROM neurons EXCEPT SELECT layer, expert, neuron FROM neuron_tokens
    """,
    "tokens have a lower score than one of a higher rank": """
        SELECT 1 FROM (
            SELECT score * sign AS strength, lead(score * sign) OVER (
                PARTITION BY layer, expert, neuron, sign ORDER BY rank
            ) AS next FROM neuron_tokens
        ) WHERE next > strength
    """,
    "clusters have another size than their neurons say": """
        SELECT cluster, n FROM clusters EXCEPT SELECT cluster, count(*) FROM neurons GROUP BY cluster
    """,
}


def check_vocab(run_dir: Path) -> Iterator[str]:
    """What is wrong with `RUN/vocab`, one line each; nothing when there is none."""
    folder = run_dir / FOLDER
    if not folder.exists():
        return
    try:
        marker = read_json(folder / MARKER)
        entries = {table: dict(marker["tables"][table]) for table in VOCAB_TABLES}
        of = marker["vocab_version"], marker["weights_hash"]
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{FOLDER}/{MARKER} is missing or damaged: {AGAIN}"
        return
    if of != (VOCAB_VERSION, read_plan(run_dir).weights_hash):
        yield f"{FOLDER} is of other weights or of another version than the run: {AGAIN}"
        return
    parts = [(table, part, entry) for table, listed in entries.items() for part, entry in listed.items()]
    wrong = [
        f"{FOLDER}/{table}/{part} {what}: {AGAIN}"
        for table, part, entry in parts
        if (what := _part(folder / table / part, table, entry))
    ]
    yield from wrong
    if not wrong:
        yield from _rows(folder)


def _part(path: Path, table: str, entry: dict[str, Any]) -> str:
    try:
        if hash_file(path) != entry["sha256"]:
            return "is not the file that was written"
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
    except FileNotFoundError:
        return "is missing"
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return "" if schema.equals(VOCAB_TABLES[table].schema) else "has another schema"


def _rows(folder: Path) -> Iterator[str]:
    """Values in their declared ranges; neurons, their tokens and their clusters agree."""
    with duckdb.connect() as connection:

        def count(sql: str) -> int:
            return connection.execute(f"SELECT count(*) FROM ({sql})").fetchall()[0][0]

        for table, declared in VOCAB_TABLES.items():
            connection.execute(
                f"CREATE VIEW {table} AS SELECT * FROM read_parquet({quoted(folder / table / '*.parquet')})"
            )
            for column in declared.columns:
                n = count(f"SELECT 1 FROM {table} WHERE {sql}") if (sql := outside(column, None)) else 0
                if n:
                    yield f"{FOLDER}/{table}: {n} rows have a {column.name} outside its range: {AGAIN}"
        for wrong, sql in RULES.items():
            if n := count(sql):
                yield f"{FOLDER}: {n} {wrong}: {AGAIN}"
