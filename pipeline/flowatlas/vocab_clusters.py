"""The neurons of a model, their clusters, and what the neurons of a cluster have in common, as rows.

Neurons are numbered through: by layer, expert and neuron, as `neuron_tokens` lists them. One block of vectors is in memory
at a time beside the vectors that are clustered.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from flowatlas import neuron_clusters
from flowatlas.models import Model

Columns = dict[str, Any]
SHARED = 20  # tokens of each sign that are kept of a cluster
NAMED = 6  # of these, those that stand for it in a list


class Owner(NamedTuple):
    """An MLP, or an expert of one, with its number of neurons."""

    layer: int
    expert: int
    n: int


def owners(model: Model) -> list[Owner]:
    """Everything that has neurons, in order."""
    return [
        Owner(l, expert, len(model.value_vectors(l, expert)))
        for l in range(model.n_layers)
        for expert in model.experts(l)
    ]


def find(model: Model, of: list[Owner], asked: int | None, seed: int) -> Columns:
    """The columns of `neurons`; `asked` is how many clusters are wanted."""
    n = sum(owner.n for owner in of)
    random = neuron_clusters.projection(model.d_model, seed)
    vectors = np.zeros((n, model.d_model if random is None else random.shape[1]), np.float32)
    norms, at = np.zeros(n, np.float32), 0
    for owner in of:
        values = model.value_vectors(owner.layer, owner.expert)
        norms[at : at + owner.n] = values.norm(dim=1).float().cpu().numpy()
        vectors[at : at + owner.n] = _unit(model, values, random)
        at += owner.n
    clusters = neuron_clusters.find(vectors, neuron_clusters.number(n, asked), seed)
    return {
        "layer": np.repeat([owner.layer for owner in of], [owner.n for owner in of]),
        "expert": np.repeat([owner.expert for owner in of], [owner.n for owner in of]),
        "neuron": np.concatenate([np.arange(owner.n) for owner in of]),
        "norm": norms,
        "cluster": clusters.cluster,
        "cosine": clusters.cosine,
    }


def _unit(model: Model, values: Tensor, random: np.ndarray | None) -> np.ndarray:
    """Value vectors [neuron, d_model] as they are clustered: [neuron, dimension], of unit length or 0."""
    seen = model.final.centred(values) * model.final.weight
    if random is not None:
        seen = seen @ torch.from_numpy(random).to(seen)
    return torch.nn.functional.normalize(seen, dim=1).float().cpu().numpy()


def tables(
    columns: Columns, tokens: Iterator[pa.Table], vocab_size: int, texts: Callable[[np.ndarray], list[str]]
) -> tuple[Columns, Columns]:
    """The columns of `clusters` and of `cluster_tokens`.

    columns: of `neurons`; tokens: the tables of `neuron_tokens`, in order, the same number of rows for every neuron.
    """
    cluster, layer = columns["cluster"], columns["layer"]
    size = np.bincount(cluster)
    shared = _shared(cluster, tokens, vocab_size, size)
    shared["token"] = texts(shared["token_id"])
    order = np.argsort(cluster, kind="stable")
    starts = np.r_[0, np.cumsum(size)[:-1]]
    found = {
        "cluster": np.arange(len(size)),
        "n": size,
        "layer_least": np.minimum.reduceat(layer[order], starts),
        "layer_most": np.maximum.reduceat(layer[order], starts),
        "cosine": np.bincount(cluster, columns["cosine"]) / size,
        "promoted": _named(shared, 1, len(size)),
        "suppressed": _named(shared, -1, len(size)),
    }
    return found, shared


def _shared(cluster: np.ndarray, tokens: Iterator[pa.Table], vocab_size: int, size: np.ndarray) -> Columns:
    """Tokens of the neurons of a cluster by how many of them have it: two at least, but of a cluster of one."""
    keys, counts, sums, at = [], [], [], 0
    for table in tokens:
        neurons = _numbered(table)
        sign = table["sign"].to_numpy() < 0
        key = (cluster[at + neurons].astype(np.int64) * 2 + sign) * vocab_size + table["token_id"].to_numpy()
        found, place = np.unique(key, return_inverse=True)
        keys.append(found)
        counts.append(np.bincount(place))
        sums.append(np.bincount(place, table["score"].to_numpy()))
        at += int(neurons[-1]) + 1
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    n, total = np.bincount(place, np.concatenate(counts)).astype(np.int64), np.bincount(place, np.concatenate(sums))
    owner, token = np.divmod(key, vocab_size)
    kept = n >= np.minimum(2, size[owner // 2])
    owner, token, n, score = owner[kept], token[kept], n[kept], (total / n)[kept]
    order = np.lexsort([token, -np.abs(score), -n, owner])
    owner, token, n, score = owner[order], token[order], n[order], score[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    few = rank <= SHARED
    return {
        "cluster": (owner // 2)[few],
        "sign": np.where(owner % 2, -1, 1)[few],
        "rank": rank[few],
        "token_id": token[few],
        "n": n[few],
        "score": score[few],
    }


def _numbered(table: pa.Table) -> np.ndarray:
    """Which neuron of the table each row is of, counted from 0."""
    expert, neuron = table["expert"].to_numpy().astype(np.int64), table["neuron"].to_numpy()
    new = np.r_[True, (np.diff(expert) != 0) | (np.diff(neuron) != 0)]
    return np.cumsum(new) - 1


def _named(shared: Columns, sign: int, n: int) -> list[list[str]]:
    """The first tokens of a sign, by cluster."""
    named: list[list[str]] = [[] for _ in range(n)]
    chosen = (shared["sign"] == sign) & (shared["rank"] <= NAMED)
    for cluster, token in zip(shared["cluster"][chosen], np.array(shared["token"], object)[chosen], strict=True):
        named[cluster].append(token)
    return named
