"""Makes the statistics and the vocabulary that the explorer's tests read, from 40 prompts of the demo.

Beside them the run's audit, what was knocked out of its prompts, and an intervention as a site has it.

Run it as `python explorer/test/make_golden_stats.py`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from flowatlas.schema_stats import STATS_TABLES
from flowatlas.site_data import RunReader, encode
from flowatlas.site_interventions import SiteInterventions
from flowatlas.site_run import write
from flowatlas.site_vocab import write_vocab

DEMO = Path(__file__).parent / "golden" / "site" / "data" / "demo"
STATS, VOCAB = DEMO / "stats", DEMO / "vocab"
ATLAS = ("vocab.store=true", "vocab.top_k=4", "vocab.directions=3", "vocab.pairs=5")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "demo"
        settings = ("neurons.top_k=2", "knockouts.store=true", *ATLAS, f"run.dir={run}")
        settings = ("model=demo", "dataset=demo", "run.limit=40", *settings)
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
        shutil.rmtree(VOCAB, ignore_errors=True)
        entry = write_vocab(RunReader(run), DEMO)
        (VOCAB / "index.json").write_text(json.dumps(entry, indent=1) + "\n")
        edits = ("L1H1=off", "L2N5=on", "--name", "golden", "--generate", "5")
        subprocess.run([sys.executable, "-m", "flowatlas.cli", "intervene", str(run), *edits], check=True)
        _write_buckets(SiteInterventions(RunReader(run), n=20), STATS.parent)


def _write_buckets(interventions: SiteInterventions, folder: Path) -> None:
    interventions.write_whole(folder)
    for k in range(2):
        for place, table in interventions.bucket(k).items():
            write(folder / place / f"bucket-{k}.parquet", encode(table))


if __name__ == "__main__":
    main()
