"""Reading a run from Python: `flowatlas.open(RUN)` gives its tables as DuckDB relations, Arrow or pandas."""

import re
from pathlib import Path
from types import TracebackType

import duckdb

from flowatlas import intervention_store
from flowatlas.corpus import quoted, views
from flowatlas.errors import RunError
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.schema_interventions import INTERVENTION_TABLES
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.schema_vocab import VOCAB_TABLES
from flowatlas.site_data import RunReader
from flowatlas.stats import ensure

_ASKS_STATISTICS = re.compile(r'\bstats"?\s*\.', re.IGNORECASE)


class Atlas:
    """A run's tables under their names, the model's under `model.`, the statistics under `stats.` (made when missing or stale),
    an audit's, where there is one, under `audit.`, those of all interventions together under `interventions.`, and the
    vocabulary atlas, where there is one, under `vocab.`.

    Nothing is read before it is asked for. Raises RunError when made from what is no run with a done shard.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        self._reader = RunReader(self.run_dir)
        self.connection = duckdb.connect()
        views(self.connection, self._reader)
        self._statistics = False
        self.connection.execute("CREATE SCHEMA model; CREATE SCHEMA audit; CREATE SCHEMA interventions")
        for name in MODEL_TABLES:
            if (path := self.run_dir / "model" / f"{name}.parquet").exists():
                self.connection.execute(f"CREATE VIEW model.{name} AS SELECT * FROM read_parquet({quoted(path)})")
        for name in AUDIT_TABLES:
            if (path := self.run_dir / "audit" / f"{name}.parquet").exists():
                self.connection.execute(f"CREATE VIEW audit.{name} AS SELECT * FROM read_parquet({quoted(path)})")
        self.connection.execute("CREATE SCHEMA vocab")
        self._vocab = [name for name in VOCAB_TABLES if (self.run_dir / "vocab" / name).is_dir()]
        for name in self._vocab:
            parts = quoted(self.run_dir / "vocab" / name / "*.parquet")
            self.connection.execute(f"CREATE VIEW vocab.{name} AS SELECT * FROM read_parquet({parts})")
        edited = list(intervention_store.stored(self._reader))
        for name in INTERVENTION_TABLES if edited else ():
            paths = ", ".join(quoted(path) for one in edited for path in one.files(name))
            self.connection.execute(f"CREATE VIEW interventions.{name} AS SELECT * FROM read_parquet([{paths}])")

    @property
    def manifest(self) -> dict:
        """Model, config, counts and versions of the run."""
        return self._reader.manifest

    @property
    def tables(self) -> list[str]:
        """Names for `table` and SQL."""
        schemas = {
            "model": MODEL_TABLES,
            "stats": STATS_TABLES,
            "vocab": self._vocab,
            "audit": AUDIT_TABLES,
            "interventions": INTERVENTION_TABLES,
        }
        return [*TABLES, *(f"{schema}.{name}" for schema, tables in schemas.items() for name in tables)]

    def table(self, name: str) -> duckdb.DuckDBPyRelation:
        """A table as a relation: `.df()` is pandas, `.arrow()` Arrow. Raises RunError for a name that is none."""
        schema, _, table = name.rpartition(".")
        if schema == "vocab" and table in VOCAB_TABLES and not self._vocab:
            raise RunError(f"{self.run_dir} has no atlas of a vocabulary: `flowatlas vocab {self.run_dir}` makes it")
        if name not in self.tables:
            raise RunError(f"a run has no table {name}: it has {', '.join(self.tables)}")
        return self.sql(f"SELECT * FROM {name}")

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Any SQL over the tables, as a relation."""
        if _ASKS_STATISTICS.search(query) and not self._statistics:
            self._open_statistics()
        return self.connection.sql(query)

    def _open_statistics(self) -> None:
        folder = ensure(self.run_dir).folder
        self.connection.execute("CREATE SCHEMA IF NOT EXISTS stats")
        for name in STATS_TABLES:
            path = quoted(folder / f"{name}.parquet")
            self.connection.execute(f"CREATE OR REPLACE VIEW stats.{name} AS SELECT * FROM read_parquet({path})")
        self._statistics = True

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> "Atlas":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
