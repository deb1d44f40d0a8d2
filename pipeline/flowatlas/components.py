"""What a head, an MLP or a residual step contributes to a prompt as a whole.

mean_share    its share averaged over the prompt's positions, without any threshold
target_share  its share at the last target (in a run that generates, where the text as given ends)
route_tau     the largest tau at which one of its edges is on the per-head route (0 when none is stored)
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Component(NamedTuple):
    """Three numbers per prompt and index, each [batch, index]; index is the head, or a single 0."""

    mean_share: Tensor
    target_share: Tensor
    route_tau: Tensor


def of_heads(
    by_head: Tensor, widest: Tensor, reach: Tensor, mask: Tensor, last_target: Tensor, floor: float
) -> Component:
    """by_head, widest [batch, query, head]: shares of a head summed over its keys, and its largest share of a key.

    reach [batch, query] of the nodes after attention, per-head mode; mask [batch, query] marks the prompt's own positions;
    last_target [batch].
    """
    return _component(by_head, widest, reach, mask, last_target, floor)


def of_step(share: Tensor, reach: Tensor, mask: Tensor, last_target: Tensor, floor: float) -> Component:
    """The same for an MLP or a residual step, whose node has a single such edge; share [batch, pos]."""
    return _component(share[..., None], share[..., None], reach, mask, last_target, floor)


def _component(
    share: Tensor, widest: Tensor, reach: Tensor, mask: Tensor, last_target: Tensor, floor: float
) -> Component:
    valid = mask[..., None].bool()
    # Padding may hold anything, NaN too: it must not be multiplied by zero.
    mean = torch.where(valid, share, 0).sum(1) / valid.sum(1)
    at_target = share[torch.arange(len(share), device=share.device), last_target]
    tau = torch.where(valid, torch.minimum(widest, reach[..., None]), 0).amax(1)
    return Component(mean, at_target, torch.where(tau > floor, tau, 0))
