"""The vocabulary atlas of a model: what every neuron and every head promotes by its weights alone, and clusters of neurons.

It depends on the model and its tokenizer only, so it is made once and lies in the cache (`neuron_tokens.cache_folder`), under
the weights' hash and that of everything else it depends on; `RUN/vocab` is a copy. Tables are folders of Parquet parts, one
for each layer. `vocab.json`, written last, makes an atlas whole: one that was killed goes on with the first layer that lacks.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from flowatlas import __version__, neuron_tokens, vocab_clusters, vocab_heads
from flowatlas.checkpoints import Located
from flowatlas.config import Config, VocabConfig
from flowatlas.corpus import to_table
from flowatlas.errors import ConfigError, UnsupportedModel
from flowatlas.files import hash_file, hash_json, replacing, write_json_atomically
from flowatlas.models import Model
from flowatlas.schema_vocab import VOCAB_TABLES, VOCAB_VERSION
from flowatlas.vocab_clusters import Owner
from flowatlas.vocab_files import MARKER, marker_of, part_of, rows_of
from flowatlas.writer import conform, write_parquet

_BY_LAYER = ("heads", "head_tokens", "head_pairs", "neuron_tokens")

Columns = dict[str, Any]
Texts = Callable[[np.ndarray], list[str]]
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What an atlas is of: the weights and the tokenizer by their hashes, the dtype they are read in, and the settings."""

    weights_hash: str
    tokenizer_hash: str
    dtype: str
    settings: VocabConfig
    seed: int = 0

    @property
    def made_from(self) -> str:
        """Hash of everything that the atlas depends on."""
        settings = {key: value for key, value in dataclasses.asdict(self.settings).items() if key != "store"}
        return hash_json([VOCAB_VERSION, self.weights_hash, self.tokenizer_hash, self.dtype, settings, self.seed])

    @property
    def cache(self) -> Path:
        """Its folder in the cache."""
        return neuron_tokens.cache_folder(self.weights_hash) / f"vocab-{self.made_from[:16]}"


def wanted_of(config: Config, located: Located) -> Wanted:
    """What `vocab.ensure` is asked for a run of this config."""
    return Wanted(located.weights_hash(), located.tokenizer_hash(), config.model.dtype, config.vocab, config.run.seed)


def ensure(wanted: Wanted, load: Callable[[], tuple[Model, list[str]]], say: Say = lambda words: None) -> Path:
    """The folder of the atlas in the cache, made when it is not there; `load` gives the model and its tokens' texts.

    `say` is told of progress. Raises what `load` does; UnsupportedModel for a model of which nothing can be said; ConfigError
    for more clusters than neurons; UnfinishedError when the disk does not let it: what is done is kept.
    """
    folder = wanted.cache
    marker = marker_of(folder)
    if marker is None or marker["made_from"] != wanted.made_from:
        with torch.inference_mode():
            _make(wanted, *load(), folder, say)
    return folder


def _make(wanted: Wanted, model: Model, tokens: list[str], folder: Path, say: Say) -> None:
    began = time.perf_counter()
    owners = vocab_clusters.owners(model)
    without = [l for l in range(model.n_layers) if model.reading_weights(l) is None]
    if not owners and len(without) == model.n_layers:
        raise UnsupportedModel(
            f"model {model.located.name}: its neurons cannot be told apart, and its heads' values are no linear map of the "
            "residual stream: there is nothing to make an atlas of"
        )

    n_neurons, asked = sum(owner.n for owner in owners), wanted.settings.clusters
    if owners and asked is not None and asked > n_neurons:
        raise ConfigError(f"vocab.clusters={asked}: the model has {n_neurons:,} neurons, so no more clusters than that")

    def texts(ids: np.ndarray) -> list[str]:
        return [tokens[i] for i in ids.tolist()]

    seconds = {"layers": 0.0, "clusters": 0.0}
    for l in range(model.n_layers):
        if not all(rows_of(part_of(folder, table, l)) is not None for table in _BY_LAYER):
            _write_layer(model, wanted.settings, folder, l, owners, texts)
        say(f"layer {l + 1} of {model.n_layers}, {time.perf_counter() - began:.0f} s")
    seconds["layers"] = time.perf_counter() - began
    _write_clusters(model, wanted, folder, owners, texts)
    seconds["clusters"] = time.perf_counter() - began - seconds["layers"]
    write_json_atomically(folder / MARKER, _marker(wanted, model, folder, owners, without, seconds))


def _write_layer(model: Model, settings: VocabConfig, folder: Path, l: int, owners: list[Owner], texts: Texts) -> None:
    heads = vocab_heads.rows(model, l, settings.directions, settings.top_k, settings.pairs)
    for table in vocab_heads.TABLES:
        columns = heads.get(table, {})
        for text, ids in (("token", "token_id"), ("source", "source_id"), ("to", "to_id")):
            if ids in columns:
                columns[text] = texts(columns[ids])
        _write(folder, table, l, columns)
    pieces = [
        piece
        for owner in owners
        if owner.layer == l
        for piece in neuron_tokens.compute(
            model, neuron_tokens.key_of(l, owner.expert, np.arange(owner.n)), settings.top_k
        )
    ]
    columns: dict[str, Any] = {}
    if pieces:
        columns = {
            name: np.concatenate([piece[name].to_numpy() for piece in pieces]) for name in pieces[0].column_names
        }
        columns["token"] = texts(columns["token_id"])
    _write(folder, "neuron_tokens", l, columns)


def _write_clusters(model: Model, wanted: Wanted, folder: Path, owners: list[Owner], texts: Texts) -> None:
    neurons: Columns = {}
    clusters: Columns = {}
    shared: Columns = {}
    if owners:
        neurons = vocab_clusters.find(model, owners, wanted.settings.clusters, wanted.seed)
        clusters, shared = vocab_clusters.tables(neurons, _layers(folder, model.n_layers), model.vocab_size, texts)
    for table, columns in (("neurons", neurons), ("clusters", clusters), ("cluster_tokens", shared)):
        _write(folder, table, 0, columns)


def _layers(folder: Path, n_layers: int) -> Iterator[pa.Table]:
    """The layers' `neuron_tokens` that have rows."""
    for l in range(n_layers):
        with pq.ParquetFile(part_of(folder, "neuron_tokens", l)) as file:
            if file.metadata.num_rows:
                yield file.read(["expert", "neuron", "sign", "token_id", "score"])


def _write(folder: Path, table: str, part: int, columns: Columns) -> None:
    """Write a part of a table; no columns are no rows."""
    declared = VOCAB_TABLES[table]
    rows = to_table(declared, columns) if columns else declared.empty()
    with replacing(part_of(folder, table, part)) as temporary:
        write_parquet(temporary, conform(rows, declared, ()))


def _marker(
    wanted: Wanted, model: Model, folder: Path, owners: list[Owner], without: list[int], seconds: dict[str, float]
) -> dict[str, Any]:
    """`neurons`: runs of experts of one layer with the same number of neurons, [layer, first expert, last expert, neurons]."""
    tables: dict[str, dict[str, Any]] = {}
    for table in VOCAB_TABLES:
        parts = sorted((folder / table).glob("part-*.parquet"))
        tables[table] = {
            path.name: {"rows": rows_of(path), "bytes": path.stat().st_size, "sha256": hash_file(path)}
            for path in parts
        }
    runs: list[list[int]] = []
    for layer, expert, n in owners:
        if runs and runs[-1][0] == layer and runs[-1][2] == expert - 1 and runs[-1][3] == n:
            runs[-1][2] = expert
        else:
            runs.append([layer, expert, expert, n])
    return {
        "vocab_version": VOCAB_VERSION,
        "flowatlas": __version__,
        "made_from": wanted.made_from,
        "weights_hash": wanted.weights_hash,
        "settings": {key: value for key, value in dataclasses.asdict(wanted.settings).items() if key != "store"},
        "n_neurons": sum(owner.n for owner in owners),
        "n_clusters": sum(part["rows"] for part in tables["clusters"].values()),
        "neurons": runs,
        "without_heads": without,
        "tables": tables,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }
