"""A map of prompts: those that use the same components lie together.

A prompt is the vector of its heads' and MLPs' `mean_share`, each component standardised over prompts. Principal
components come first (linear, with axes that mean something); t-SNE (van der Maaten & Hinton 2008) and k-means with the
number of clusters of the best silhouette (Rousseeuw 1987) work on those. Both are fitted to a seeded sample in large
runs; every other prompt goes to the place of its nearest neighbours in it.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsRegressor
from threadpoolctl import threadpool_limits

from flowatlas.corpus import Corpus

Array = np.ndarray
FITTED, AXES, NEIGHBOURS = 1000, 20, 3
VECTORS = 5000  # prompts whose vectors are written: enough for a group of one's own choice, small enough for a page
MOST_CLUSTERS = 12
CHUNK = 20_000  # prompts in memory at a time
STEPS = 500


def tables(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of `prompt_map` and `prompt_vectors`, as (table, columns)."""
    with threadpool_limits(
        1
    ):  # sums in one order, so the same map on any number of cores; and small steps gain nothing
        yield "prompt_map", _map(corpus)
    yield "prompt_vectors", _listed(corpus)


def _map(corpus: Corpus) -> dict[str, Any]:
    ids = corpus.arrays("SELECT prompt_id FROM units ORDER BY prompt_id")["prompt_id"].astype(np.int32)
    seed = int(corpus.rng("map").integers(2**31))
    chosen = _sample(corpus, len(ids), FITTED)
    project = _Projection(_vectors(corpus, ids[chosen]), seed)
    place, cluster = _tsne(project.fitted, seed), _Clusters(project.fitted, seed)
    neighbours = KNeighborsRegressor(n_neighbors=min(NEIGHBOURS, len(chosen))).fit(project.fitted, place)
    pieces = []
    for first in range(0, len(ids), CHUNK):
        axes = project(_vectors(corpus, ids[first : first + CHUNK]))
        pieces.append((axes[:, :2], neighbours.predict(axes), cluster(axes)))
    axes, places, clusters = (np.concatenate(column) for column in zip(*pieces, strict=True))
    placed = np.ones(len(ids), bool)
    placed[chosen], places[chosen] = False, place
    order = np.argsort(-np.bincount(clusters), kind="stable")
    columns = {"prompt_id": ids, "x": places[:, 0], "y": places[:, 1], "pc1": axes[:, 0], "pc2": axes[:, 1]}
    return {**columns, "cluster": np.argsort(order)[clusters], "placed": placed}


def _sample(corpus: Corpus, n: int, size: int) -> Array:
    """Places of at most `size` of n prompts, ascending; a smaller sample is part of a larger one."""
    return np.sort(corpus.rng("map", "sample").permutation(n)[:size])


def _listed(corpus: Corpus) -> dict[str, Any]:
    ids = corpus.arrays("SELECT prompt_id FROM units ORDER BY prompt_id")["prompt_id"].astype(np.int32)
    ids = ids[_sample(corpus, len(ids), VECTORS)]
    return {"prompt_id": ids, "mean_share": list(_vectors(corpus, ids))}


def _vectors(corpus: Corpus, ids: Array) -> Array:
    """mean_share of heads and MLPs: float32 [prompt, part], in the order of ids (ascending)."""
    layers, heads = corpus.shape
    found = corpus.arrays(
        "SELECT prompt_id, c, mean_share FROM blocks_values WHERE prompt_id BETWEEN ? AND ? AND c < ?",
        [int(ids[0]), int(ids[-1]), layers * (heads + 1)],
    )
    row = np.searchsorted(ids, found["prompt_id"])
    mine = ids[np.minimum(row, len(ids) - 1)] == found["prompt_id"]
    vectors = np.zeros((len(ids), layers * (heads + 1)), np.float32)
    vectors[row[mine], found["c"][mine]] = found["mean_share"][mine]
    return vectors


class _Projection:
    """Standardises and takes principal components [prompt, axis]; at least two axes, padded with zeros."""

    def __init__(self, vectors: Array, seed: int) -> None:
        self.mean, spread = vectors.mean(0), vectors.std(0)
        self.spread = np.where(spread > 1e-9, spread, 1)
        n_axes = min(AXES, *vectors.shape)
        with np.errstate(invalid="ignore"):  # prompts that are all alike have no variance to share out
            self.pca = (
                PCA(n_axes, svd_solver="full", random_state=seed).fit((vectors - self.mean) / self.spread)
                if len(vectors) > 1
                else None
            )
        self.fitted = self(vectors)

    def __call__(self, vectors: Array) -> Array:
        if self.pca is None:
            return np.zeros((len(vectors), 2))
        axes = self.pca.transform((vectors - self.mean) / self.spread)
        return np.pad(axes, ((0, 0), (0, max(0, 2 - axes.shape[1]))))


def _tsne(axes: Array, seed: int) -> Array:
    """Places [prompt, 2]; of too few (or equal) prompts the principal components themselves."""
    n = len(axes)
    if n < 8 or np.ptp(axes) == 0:
        return axes[:, :2]
    start = axes[:, :2] / max(axes[:, 0].std(), 1e-12) * 1e-4  # the usual start from principal components
    perplexity = min(30, (n - 1) / 3)
    return TSNE(init=start, perplexity=perplexity, max_iter=STEPS, random_state=seed).fit_transform(axes)


class _Clusters:
    """k-means with the k of the best silhouette; one cluster where prompts are too few or alike."""

    def __init__(self, axes: Array, seed: int) -> None:
        self.means: KMeans | None = None
        best, distinct = 0.0, len(np.unique(axes.round(6), axis=0))
        for k in range(2, min(MOST_CLUSTERS, distinct - 1) + 1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # that there are fewer: asked below
                means = KMeans(k, n_init=3, random_state=seed).fit(axes)  # pyright: ignore[reportArgumentType]
            labels = np.asarray(means.labels_)
            if len(np.unique(labels)) < k:  # prompts that differ by rounding alone
                break
            score = float(silhouette_score(axes, labels))
            if score > best:
                best, self.means = score, means

    def __call__(self, axes: Array) -> Array:
        return np.zeros(len(axes), int) if self.means is None else np.asarray(self.means.predict(axes), int)
