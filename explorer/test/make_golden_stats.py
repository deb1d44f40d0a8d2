"""Makes the statistics that the explorer's tests read: `python explorer/test/make_golden_stats.py`, from 40 prompts of the demo."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from flowatlas.schema_stats import STATS_TABLES

STATS = Path(__file__).parent / "golden" / "site" / "data" / "demo" / "stats"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "demo"
        settings = ("model=demo", "dataset=demo", "run.limit=40", "neurons.top_k=2", f"run.dir={run}")
        subprocess.run([sys.executable, "-m", "flowatlas.cli", "run", *settings], check=True)
        shutil.rmtree(STATS, ignore_errors=True)
        STATS.mkdir(parents=True)
        for table in STATS_TABLES:
            shutil.copyfile(run / "stats" / f"{table}.parquet", STATS / f"{table}.parquet")


if __name__ == "__main__":
    main()
