"""How long the statistics of a run will take, from those of a part of it, made in a folder that goes away."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from flowatlas import neuron_tokens
from flowatlas.config import as_dict
from flowatlas.files import write_json_atomically
from flowatlas.job import Job
from flowatlas.manifest import Plan, write_manifest
from flowatlas.models import Model
from flowatlas.plan import now
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger
from flowatlas.tokens import special_ids, token_texts
from flowatlas.writer import write_shard

_FEW = 2  # prompts whose statistics cost next to nothing but what every run's do

Tables = dict[str, pa.Table]


def statistics_seconds(job: Job, model: Model, tables: Tables, factor: float) -> float:
    """About how long the statistics of a run take that has `factor` times the prompts of these tables (`rejects` missing).

    What does not grow with the prompts is measured on two of them.
    """
    began = time.perf_counter()
    from flowatlas import stats  # with its libraries, which take a second to load

    loading = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="flowatlas-") as folder:

        def made(name: str, part: Tables) -> float:
            run_dir = Path(folder) / name
            _write_run(run_dir, job, model, part)
            began = time.perf_counter()
            stats.make(run_dir)
            return time.perf_counter() - began

        fixed = made("few", _of_few(tables))
        return loading + fixed + factor * max(0.0, made("all", tables) - fixed)


def _of_few(tables: Tables) -> Tables:
    few = tables["prompts"]["prompt_id"].to_numpy()[:_FEW]
    return {name: table.filter(pa.array(np.isin(table["prompt_id"], few))) for name, table in tables.items()}


def _write_run(run_dir: Path, job: Job, model: Model, tables: Tables) -> None:
    """A complete run of one shard, as far as its statistics are concerned."""
    n_rows = job.fingerprint.rows
    plan = Plan({}, "", "", as_dict(job.config), job.dataset.name, n_rows, ("",), n_rows, job.batch_tokens, now())
    run_dir.mkdir()
    write_json_atomically(run_dir / "plan.json", plan.to_json())
    info = {"first_row": 0, "n_rows": n_rows, "rows_hash": "", "config_hash": ""}
    write_shard(run_dir, 0, {**tables, "rejects": TABLES["rejects"].empty()}, info)
    neuron_tokens.write_vocab(run_dir, model, token_texts(job.tokenizer, model.vocab_size), special_ids(job.tokenizer))
    write_manifest(run_dir, plan, Ledger(run_dir), {"model": model.describe(), "input": job.encoder.describe()})
