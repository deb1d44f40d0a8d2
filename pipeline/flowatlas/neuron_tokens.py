"""What every stored neuron promotes and suppresses, and the vocabulary it does so in: the tables of `RUN/model`.

A neuron writes a scalar times a fixed direction, so its ranking of tokens is the same in every prompt up to sign. It is
computed once per model: a cache keyed by the weights' hash lies outside the runs (FLOWATLAS_CACHE, else ~/.cache), and a
run gets a copy of the rows of the neurons that it stored.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from flowatlas import lens
from flowatlas.errors import UnfinishedError
from flowatlas.files import remove_stale, replacing
from flowatlas.kernels import top_tokens
from flowatlas.models import Model
from flowatlas.schema import MODEL_TABLES
from flowatlas.writer import write_model_table, write_parquet

_TABLE = MODEL_TABLES["neuron_tokens"]
KEY = ("layer", "expert", "neuron")
NAMING = ("neurons", "dominant_neurons")  # tables whose neurons' tokens are wanted
_CHUNK = 128  # neurons at once: always this many, so that the cache's content cannot change a score's last bits


def write_vocab(run_dir: Path, model: Model, tokens: list[str], special: set[int]) -> None:
    """`model/vocab.parquet`: every token's text, and the constant that the biases add to its logit."""
    constant = lens.constant(model.final)
    bias = np.zeros(model.vocab_size, np.float32) if constant is None else constant.float().cpu().numpy()
    ids = range(model.vocab_size)
    columns = {
        "token_id": list(ids),
        "token": [tokens[i] if i < len(tokens) else f"<{i}>" for i in ids],  # padded rows of the embedding
        "special": [i in special for i in ids],
        "logit_bias": bias,
    }
    write_model_table(run_dir, "vocab", MODEL_TABLES["vocab"].from_columns(columns))


def write_neuron_tokens(run_dir: Path, model: Model, weights_hash: str, k: int) -> None:
    """`model/neuron_tokens.parquet` for the neurons that the run's shards name, from the cache where it has them."""
    wanted = _stored_neurons(run_dir)
    cache = _cache_path(weights_hash, _dtype(model), k)
    known = _read_cache(cache)
    missing = np.setdiff1d(wanted, _keys(known))
    if len(missing):
        known = pa.concat_tables([known, *compute(model, missing, k)])
        known = known.sort_by([(name, "ascending") for name in KEY])
        _write_cache(cache, known)
    write_model_table(run_dir, "neuron_tokens", _select(known, wanted))


def seconds(model: Model, weights_hash: str, k: int, stored: pa.Table, factor: float) -> float:
    """About how long write_neuron_tokens will take, from the rows of NAMING (`KEY` alone) that a part of the run stored.

    The whole run is `factor` times that part and names as many more neurons, but no more than there are.
    """
    keys = np.unique(_keys(stored))
    if not len(keys):
        return 0.0
    known = _keys(_read_cache(_cache_path(weights_hash, _dtype(model), k)))
    missing = np.setdiff1d(keys, known)
    if not len(missing):
        return 0.0
    began = time.perf_counter()
    for _ in compute(model, missing[: 4 * _CHUNK], k):
        pass
    a_neuron = (time.perf_counter() - began) / min(len(missing), 4 * _CHUNK)
    per_block = {int(owner): model.value_vectors(int(owner >> 16), int(owner & 0xFFFF) - 1) for owner in keys >> 31}
    everything = sum(len(block) for block in per_block.values())
    return a_neuron * len(missing) / len(keys) * min(len(keys) * factor, everything)


def _dtype(model: Model) -> str:
    return str(model.weights_dtype).removeprefix("torch.")


def _stored_neurons(run_dir: Path) -> np.ndarray:
    """Every (layer, expert, neuron) that the run's tables name, in order, as keys."""
    keys = np.array([], np.int64)
    for part in (part for table in NAMING for part in sorted((run_dir / table).glob("*.parquet"))):
        with pq.ParquetFile(part) as file:
            keys = np.union1d(keys, _keys(file.read(list(KEY))))
    return keys


def _keys(table: pa.Table) -> np.ndarray:
    """`key_of` each row: 16 bits, 16 bits (the dense -1 as 0), 31 bits."""
    return key_of(*(table[name].to_numpy().astype(np.int64) for name in KEY))


def key_of(layer: np.ndarray | int, expert: np.ndarray | int, neuron: np.ndarray) -> np.ndarray:
    """Neurons as whole numbers of 64 bits that sort as (layer, expert, neuron) do."""
    return layer << 47 | (expert + 1) << 31 | neuron


def _select(table: pa.Table, wanted: np.ndarray) -> pa.Table:
    return table.filter(pa.array(np.isin(_keys(table), wanted)))


def compute(model: Model, keys: np.ndarray, k: int) -> Iterator[pa.Table]:
    """Rows of the neurons of these keys (see `key_of`; in order), a block of an MLP's or an expert's at a time."""
    owners, neurons = keys >> 31, keys & 0x7FFFFFFF
    with torch.inference_mode():
        for owner in np.unique(owners):
            layer, expert = int(owner >> 16), int(owner & 0xFFFF) - 1
            w_out = model.value_vectors(layer, expert)
            for chunk in torch.tensor(neurons[owners == owner], device=w_out.device).split(_CHUNK):
                directions = w_out.new_zeros(_CHUNK, model.d_model)
                directions[: len(chunk)] = w_out[chunk]
                scores = lens.static_scores(model.final, directions)[: len(chunk)].contiguous()
                values, tokens = top_tokens(scores, min(k, model.vocab_size), both_ends=True)
                yield _rows(layer, expert, chunk.cpu(), values.float().cpu(), tokens.cpu())


def _rows(layer: int, expert: int, neurons: Tensor, values: Tensor, tokens: Tensor) -> pa.Table:
    """values, tokens [neuron, end, rank]: end 0 promoted, end 1 suppressed."""
    n, ends, k = values.shape
    columns = {
        "layer": np.full(n * ends * k, layer),
        "expert": np.full(n * ends * k, expert),
        "neuron": neurons.repeat_interleave(ends * k).numpy(),
        "sign": torch.tensor([1, -1]).repeat_interleave(k).repeat(n).numpy(),
        "rank": torch.arange(1, k + 1).repeat(n * ends).numpy(),
        "token_id": tokens.flatten().numpy(),
        "score": values.flatten().numpy(),
    }
    return _TABLE.from_columns({c.name: columns[c.name].astype(c.type.to_pandas_dtype()) for c in _TABLE.columns})


def _cache_path(weights_hash: str, dtype: str, k: int) -> Path:
    return cache_folder(weights_hash) / f"neuron_tokens-{dtype}-top{k}.parquet"


def cache_folder(weights_hash: str) -> Path:
    """Where things lie that are made once per model: below FLOWATLAS_CACHE, else ~/.cache/flowatlas."""
    root = Path(os.environ.get("FLOWATLAS_CACHE") or os.path.expanduser("~/.cache/flowatlas"))
    return root / weights_hash


def _read_cache(path: Path) -> pa.Table:
    """The cached rows; none when there is no cache, or it is damaged or of another schema (it is then made anew)."""
    try:
        table = pq.read_table(path, schema=_TABLE.schema)
    except (OSError, pa.ArrowException):
        return _TABLE.empty()
    return table if table.schema.equals(_TABLE.schema) else _TABLE.empty()


def _write_cache(path: Path, table: pa.Table) -> None:
    remove_stale(path.parent)
    try:
        with replacing(path) as temporary:
            write_parquet(temporary, table)
    except UnfinishedError:
        return  # a cache that cannot be written costs time at the next run, and nothing else
