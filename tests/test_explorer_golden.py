"""The statistics that the explorer's own tests read have the columns that this version writes."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flowatlas.schema_stats import STATS_TABLES

STATS = Path(__file__).parents[1] / "explorer" / "test" / "golden" / "site" / "data" / "demo" / "stats"


@pytest.mark.parametrize("name", STATS_TABLES)
def test_golden_statistics_have_the_declared_columns(name):
    stored = pq.read_schema(STATS / f"{name}.parquet")
    assert stored.equals(STATS_TABLES[name].schema), "make them anew: python explorer/test/make_golden_stats.py"
