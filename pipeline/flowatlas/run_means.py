"""The means of a run: made once, of prompts drawn by `run.seed`, and the same for everything that removes a component.

They lie in `RUN/model/means.parquet`. Whichever process needs them first makes them; of several at once the first one's
are kept and read back by the others. A dataset that has grown keeps those it has.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from flowatlas.checkpoints import Located
from flowatlas.errors import DatasetError, RunError
from flowatlas.files import create_exclusively, hash_file
from flowatlas.job import Job, make_batches
from flowatlas.means import Means, measure
from flowatlas.models import Model
from flowatlas.plan import Plan
from flowatlas.rows import Prompt
from flowatlas.schema_audit import MEANS
from flowatlas.site_data import RunReader
from flowatlas.writer import conform, write_parquet

DRAWN = 256  # rows of the dataset at most

Batches = list[list[tuple[int, ...]]]


def means_path(run_dir: Path) -> Path:
    return run_dir / "model" / f"{MEANS.name}.parquet"


def ensure(run_dir: Path, model: Model, batches: Callable[[], Batches]) -> Means:
    """The means of a run, made when they are not there, of the batches of token ids that are then asked for.

    Raises RunError when they cannot be read, DatasetError when none of the rows drawn is a prompt, UnfinishedError (disk).
    """
    path = means_path(run_dir)
    if not path.exists():
        found = measure(model, batches())
        if found is None:
            raise DatasetError(f"{run_dir}: of the {DRAWN} rows drawn for the means of heads and MLPs none is a prompt")
        create_exclusively(path, _bytes(found))
    return _read(path, model)


def means_hash(run_dir: Path) -> str:
    """sha256 of the file."""
    return hash_file(means_path(run_dir))


def of_job(job: Job, plan: Plan) -> Batches:
    """Batches of the prompts drawn, read from the dataset: for a run whose shards are still to be made."""
    wanted = drawn(plan)
    rows = (row for row in job.dataset.rows() if row.prompt_id in wanted)
    encoded = map(job.encoder.encode, rows)
    prompts = [item for item in encoded if isinstance(item, Prompt)]
    batches = make_batches(prompts, plan.batch_tokens, job.located.rope_switch)
    return [[prompt.token_ids for prompt in batch] for batch in batches]


def of_run(reader: RunReader, located: Located) -> Batches:
    """The same from the shards of a run, its rows drawn alike; of a run in progress those that are done."""
    wanted, prompts = drawn(reader.plan), []
    for shard in reader.shards:
        table = reader.shard("prompts", shard)
        for prompt_id, token_ids in zip(table["prompt_id"].to_pylist(), table["token_ids"].to_pylist(), strict=True):
            prompts += [_Tokens(prompt_id, tuple(token_ids))] if prompt_id in wanted else []
    batches = make_batches(prompts, reader.plan.batch_tokens, located.rope_switch)
    return [[prompt.token_ids for prompt in batch] for batch in batches]


class _Tokens(NamedTuple):
    prompt_id: int
    token_ids: tuple[int, ...]


def drawn(plan: Plan) -> frozenset[int]:
    """The rows that the means are made of, by number."""
    order = np.random.default_rng([seed_of(plan), *b"means"]).permutation(plan.n_rows)
    return frozenset(order[:DRAWN].tolist())


def seed_of(plan: Plan) -> int:
    """The seed that the run began with, whatever a later command says: its draws then stay what they were."""
    return int(plan.config.get("run", {}).get("seed") or 0)


def _bytes(means: Means) -> bytes:
    columns: dict[str, list[Any]] = {name: [] for name in MEANS.schema.names}
    for component, vectors in (("head", means.heads), ("mlp", means.mlps[:, None])):
        for layer, of_layer in enumerate(vectors.float().cpu().tolist()):
            for index, mean in enumerate(of_layer):
                row = (layer, component, index, mean, means.n_prompts, means.n_positions)
                for name, value in zip(columns, row, strict=True):
                    columns[name].append(value)
    buffer = BytesIO()
    write_parquet(buffer, conform(MEANS.from_columns(columns), MEANS))
    return buffer.getvalue()


def _read(path: Path, model: Model) -> Means:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        n_prompts, n_positions = (table[name][0].as_py() for name in ("n_prompts", "n_positions"))
        heads, mlps = (_vectors(table, component, model) for component in ("head", "mlp"))
        found = Means(heads, mlps[:, 0], n_prompts, n_positions)
    except (OSError, pa.ArrowException, KeyError, ValueError, RuntimeError) as error:
        raise RunError(f"{path} cannot be read: remove it, and it is made again") from error
    if not found.fits(model):
        raise RunError(f"{path} is of a model of another shape: remove it, and it is made again")
    return found


def _vectors(table: pa.Table, component: str, model: Model) -> torch.Tensor:
    """[layer, index, width], by the order of the file: by component, layer, index."""
    mine = table.filter(pa.array([name == component for name in table["component"].to_pylist()]))
    vectors = np.array(mine["mean"].to_pylist(), np.float32)
    return torch.from_numpy(vectors).to(model.device, model.dtype).unflatten(0, (model.n_layers, -1))
