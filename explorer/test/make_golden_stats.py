"""Makes the statistics that the explorer's tests read: `python explorer/test/make_golden_stats.py`, from 40 prompts of the demo.

Beside them the run's audit, and what was knocked out of its prompts.
"""

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
        settings = ("model=demo", "dataset=demo", "run.limit=40", "neurons.top_k=2", "knockouts.store=true", f"run.dir={run}")
        subprocess.run([sys.executable, "-m", "flowatlas.cli", "run", *settings], check=True)
        shutil.rmtree(STATS, ignore_errors=True)
        STATS.mkdir(parents=True)
        for table in STATS_TABLES:
            shutil.copyfile(run / "stats" / f"{table}.parquet", STATS / f"{table}.parquet")
        audit = ("audit", str(run), "--prompts", "30", "--draws", "2")
        subprocess.run([sys.executable, "-m", "flowatlas.cli", *audit], check=True)
        shutil.copyfile(run / "audit" / "curves.parquet", STATS.parent / "audit_curves.parquet")
        for table in ("knockouts", "components"):
            shutil.copyfile(run / table / "part-00000.parquet", STATS.parent / f"{table}.parquet")


if __name__ == "__main__":
    main()
