"""Information flow routes: which nodes and edges a prediction came through.

Paper: Ferrando & Voita 2024 (arXiv 2403.00824), section 2: start at the target's last node, keep the edges into a node
whose share exceeds tau, go on from where they come from, from the top layer down.

Instead of one walk per tau, `reach` is computed: the largest tau at which a node is still reached, the widest path from
any target, where the width of a path is its smallest share. A node is on the route at tau when reach > tau, an edge when
min(share, reach of its node) > tau. One pass from the top down therefore answers for every tau and every target at once.

`summed` compares the sum over heads with tau; `per_head`, as in the paper, each head's own share.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Reach(NamedTuple):
    """Reach of the nodes at one depth in either mode, each [batch, pos]; 0 where no path above the floor leads."""

    summed: Tensor
    per_head: Tensor


class Edges(NamedTuple):
    """Edges of one block's attention, from (b, src) to (b, dst); every field [edge].

    head is -1 and attention 0 where a share is the sum over heads.
    """

    b: Tensor
    dst: Tensor
    src: Tensor
    head: Tensor
    share: Tensor
    attention: Tensor


class Walked(NamedTuple):
    """A walk by depth of the stream (see `stream`); every tensor [batch, pos].

    stored        the nodes whose rows are kept: reached at the floor, or in a target's own column
    stored_share  sum of the shares above the floor into a reached node
    bias_share    the share that the block's bias would take there
    """

    reach: list[Reach]
    stored: list[Tensor]
    stored_share: list[Tensor]
    bias_share: list[Tensor]


def start(is_target: Tensor) -> Reach:
    """Reach at the top: 1 at every target, 0 elsewhere. is_target [batch, pos], floating point 0 or 1."""
    return Reach(is_target, is_target)


def through_mlp(reach: Reach, mlp: Tensor, residual: Tensor, floor: float) -> Reach:
    """From resid_post to resid_mid of the same block; mlp, residual [batch, pos] are the shares of the two edges."""
    widest = above(torch.maximum(mlp, residual), floor)
    return Reach(torch.minimum(reach.summed, widest), torch.minimum(reach.per_head, widest))


def through_attention(
    reach: Reach, summed: Edges, heads: Edges, residual: Tensor, floor: float, mlp: Tensor | None = None
) -> Reach:
    """From the node after attention to resid_post of the block below.

    summed, heads: the edges above the floor with their heads' shares together, and one by one; residual [batch, query]; mlp
    likewise in a parallel block, whose MLP reads resid_pre too.
    """
    past = above(residual if mlp is None else torch.maximum(residual, mlp), floor)
    down = []
    for node, edges in ((reach.summed, summed), (reach.per_head, heads)):
        width = torch.minimum(node[edges.b, edges.dst], edges.share)
        below = edges.b * node.shape[1] + edges.src
        straight = torch.minimum(node, past)
        down.append(straight.flatten().scatter_reduce(0, below, width, "amax").view_as(straight))
    return Reach(*down)


def above(share: Tensor, floor: float) -> Tensor:
    """The shares above the floor, 0 for the rest: an edge under the floor leads nowhere."""
    return torch.where(share > floor, share, 0)
