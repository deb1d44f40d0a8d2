"""Neurons whose value vectors point alike: k-means in small batches (Sculley 2010, *Web-scale k-means clustering*).

A neuron stands for its value vector through the final norm's weight, as its tokens are made, of unit length; so the squared
distance of two of them is twice one less their cosine. Memory is one number of 32 bits for each neuron and dimension;
wide models are projected at random to fewer dimensions first, which keeps cosines but for a few hundredths (Johnson &
Lindenstrauss 1984).
"""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

Array = np.ndarray
MEMBERS, MOST = 64, 2000  # neurons in a cluster on average, and clusters at most, where no number is asked for
DIMENSIONS = 1024
BATCH = 4096


class Clusters(NamedTuple):
    """By neuron: cluster [neuron], 0 the largest, and the cosine with its mean [neuron]."""

    cluster: Array
    cosine: Array


def number(n_neurons: int, asked: int | None) -> int:
    """How many clusters to look for: as asked, or one for every MEMBERS neurons."""
    return asked or max(1, min(MOST, round(n_neurons / MEMBERS)))


def projection(d_model: int, seed: int) -> Array | None:
    """A random map [d_model, DIMENSIONS] for wide models; None where none is needed."""
    if d_model <= DIMENSIONS:
        return None
    return np.random.default_rng([seed, d_model]).normal(size=(d_model, DIMENSIONS)).astype(np.float32)


def find(vectors: Array, k: int, seed: int) -> Clusters:
    """Clusters of vectors [neuron, dimension] of unit length (or 0); deterministic, on any number of cores."""
    with threadpool_limits(1):  # sums in one order
        means = MiniBatchKMeans(
            k, batch_size=BATCH, n_init=1, random_state=seed, max_no_improvement=20  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        labels = means.fit_predict(vectors)
    order = np.argsort(-np.bincount(labels, minlength=k), kind="stable")
    cluster = np.argsort(order)[labels].astype(np.int32)
    return Clusters(cluster, _cosines(vectors, cluster))


def _cosines(vectors: Array, cluster: Array) -> Array:
    """Of each vector with the mean of its cluster; 0 where either is 0."""
    sums = np.zeros((cluster.max() + 1, vectors.shape[1]), np.float64)
    for first in range(0, len(vectors), BATCH):
        np.add.at(sums, cluster[first : first + BATCH], vectors[first : first + BATCH])
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    centres = (sums / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    cosines = np.concatenate(
        [
            np.einsum("nd,nd->n", vectors[first : first + BATCH], centres[cluster[first : first + BATCH]])
            for first in range(0, len(vectors), BATCH)
        ]
    )
    return np.clip(cosines, -1, 1)
