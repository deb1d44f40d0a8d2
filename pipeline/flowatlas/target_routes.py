"""Which heads and MLPs lie on the route of one target, from stored edges: the same walk as `routes`, without the model.

`components.route_tau` is the largest over all targets of a prompt. Here each prompt has a single target, and is walked down
again over its stored edges, per head: exact for every threshold from the floor on.
"""

from typing import NamedTuple

import numpy as np

from flowatlas.schema import EDGE_KINDS

_ATTN, _RESID_ATTN, _MLP, _RESID_MLP = range(len(EDGE_KINDS))

Array = np.ndarray


class StoredEdges(NamedTuple):
    """Columns of `edges`, each [edge]: `row` is the prompt's place among those asked for, `kind` a place in EDGE_KINDS."""

    row: Array
    layer: Array
    kind: Array
    dst: Array
    src: Array
    head: Array
    share: Array

    def where(self, kept: Array) -> "StoredEdges":
        """Those that are kept [edge]."""
        return StoredEdges(*(column[kept] for column in self))


class Taus(NamedTuple):
    """Largest tau at which an edge of a head [row, layer, head] or an MLP [row, layer] is on the route; 0 where none is."""

    heads: Array
    mlps: Array


def of_targets(edges: StoredEdges, targets: Array, n_layers: int, n_heads: int, parallel: bool) -> Taus:
    """Of one target in each prompt; targets [row], positions."""
    n_pos = int(max([*edges.dst, *targets], default=0)) + 1
    taus = Taus(np.zeros((len(targets), n_layers, n_heads), np.float32), np.zeros((len(targets), n_layers), np.float32))
    reach = np.zeros((len(targets), n_pos), np.float32)
    reach[np.arange(len(targets)), targets] = 1
    own = edges.where((edges.kind != _ATTN) | (edges.head >= 0))
    for l in reversed(range(n_layers)):
        of_block = own.where(own.layer == l)
        into_post = np.isin(of_block.kind, (_MLP, _RESID_MLP))
        steps = (of_block,) if parallel else (of_block.where(into_post), of_block.where(~into_post))
        for step in steps:
            reach = _down(step, reach, taus, l)
    return taus


def _down(edges: StoredEdges, reach: Array, taus: Taus, l: int) -> Array:
    """The reach of the nodes below those that the edges go into; what the edges carry is noted in `taus`."""
    width = np.minimum(edges.share, reach[edges.row, edges.dst])
    heads, mlps = edges.kind == _ATTN, edges.kind == _MLP
    np.maximum.at(taus.heads[:, l], (edges.row[heads], edges.head[heads]), width[heads])
    np.maximum.at(taus.mlps[:, l], edges.row[mlps], width[mlps])
    below = np.zeros_like(reach)
    np.maximum.at(below, (edges.row, edges.src), width)
    return below
