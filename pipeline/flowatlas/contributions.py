"""How much each part contributes to the whole it is added into (ALTI).

Papers: Ferrando et al. 2022 (arXiv 2203.04212), as used for routes by Ferrando & Voita 2024 (arXiv 2403.00824).

    proximity(p, y) = max(0, |y|_1 - |y - p|_1)
    share(p)        = proximity(p, y) / sum of proximity over all parts of y

1. At the node after attention the parts are A[h,i,j] u[j,h] for every key j and head h, with u = v @ W_O, and resid_pre.
2. At the node after the MLP they are the MLP's output and resid_mid.
3. Beside the neurons, they are a_n W_out[n] for every neuron n, and resid_mid.
4. A parallel block has one node after it: its parts are those of attention, the MLP's output and resid_pre. Beside its
   neurons, the node minus the MLP's output stands for the residual.

Deviations: no epsilon is added to any difference, so a part of zero proximity has share exactly 0; where every proximity
is 0 the whole is the residual's. Biases are no parts, as in the papers, but the share that one would take is returned.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from flowatlas import kernels
from flowatlas.attention_kernel import Values, attention_proximity
from flowatlas.weights import NeuronBlock

DOMINANT = 10  # neurons of an MLP at a target, as many as LM-Debugger shows: there is one such list for each target


class AttentionShares(NamedTuple):
    """heads [batch, head, query, key], residual and (parallel blocks) mlp [batch, query]: they sum to 1.

    bias [batch, query] stands beside them.
    """

    heads: Tensor
    residual: Tensor
    mlp: Tensor | None
    bias: Tensor


class NeuronShares(NamedTuple):
    """neurons [n, neuron] per block of neurons and residual [node] sum to 1 at each node; bias [node] stands beside them."""

    neurons: list[Tensor]
    residual: Tensor
    bias: Tensor


class TopNeurons(NamedTuple):
    """Neurons by node, those with most of what they are ranked by (`value`) first; each [row].

    node is the place in the asked nodes; rank is 1 for the first of a node.
    """

    node: Tensor
    expert: Tensor
    neuron: Tensor
    share: Tensor
    activation: Tensor
    value: Tensor
    rank: Tensor


def proximity(part: Tensor, whole: Tensor) -> Tensor:
    """max(0, |y|_1 - |y - p|_1) over the last axis, summed coordinate by coordinate; part, whole [..., d_model]."""
    return (whole.abs() - (whole - part).abs()).sum(-1).clamp_min(0)


def attention_shares(
    whole: Tensor,
    residual: Tensor,
    pattern: Tensor,
    values: Values,
    bias: Tensor | None,
    lengths: Tensor,
    mlp_out: Tensor | None = None,
    first: int = 0,
) -> AttentionShares:
    """Shares of every (key, head), of the residual and, in a parallel block, of the MLP in the node after attention.

    whole, residual, mlp_out [batch, query, d_model]; pattern [batch, head, query, key]; values as head_values makes them;
    bias [d_model] or [batch, query, d_model]; lengths [batch]. The queries are those from position `first` on. Keys after
    the query, and all beyond a prompt's length, have share 0.
    """
    heads = attention_proximity(whole, pattern, values, lengths, first)
    rest = proximity(residual, whole)
    mlp = None if mlp_out is None else proximity(mlp_out, whole)
    total = heads.sum(3).sum(1) + (rest if mlp is None else rest + mlp)
    of_bias = _bias_share(bias, whole, total)
    divisor = torch.where(total > 0, total, 1)
    heads /= divisor[:, None, :, None]
    of_mlp = None if mlp is None else mlp / divisor
    return AttentionShares(heads, torch.where(total > 0, rest / divisor, 1), of_mlp, of_bias)


def mlp_shares(whole: Tensor, residual: Tensor, mlp_out: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of the MLP's output and of resid_mid in resid_post; all [batch, pos, d_model], returns two [batch, pos]."""
    mlp, rest = proximity(mlp_out, whole), proximity(residual, whole)
    total = mlp + rest
    divisor = torch.where(total > 0, total, 1)
    return mlp / divisor, torch.where(total > 0, rest / divisor, 1)


def neuron_shares(whole: Tensor, residual: Tensor, blocks: list[NeuronBlock], bias: Tensor | None) -> NeuronShares:
    """Shares of every neuron and of the residual in resid_post, at some nodes.

    whole, residual [node, d_model]; bias [d_model] or [node, d_model]. A node's neurons are those of all blocks it is in.
    """
    neurons = [kernels.neuron_proximity(whole[block.node], block.activation, block.w_out) for block in blocks]
    rest = proximity(residual, whole)
    total = rest.clone()
    for block, near in zip(blocks, neurons, strict=True):
        total[block.node] += near.sum(-1)  # a node is in a block once
    of_bias = _bias_share(bias, whole, total)
    divisor = torch.where(total > 0, total, 1)
    for block, near in zip(blocks, neurons, strict=True):
        near /= divisor[block.node, None]
    return NeuronShares(neurons, torch.where(total > 0, rest / divisor, 1), of_bias)


def top_neurons(blocks: list[NeuronBlock], shares: list[Tensor], wanted: Tensor, k: int) -> TopNeurons:
    """The k neurons of largest share at each wanted node, over all its blocks; wanted [node] of bool, shares per block."""
    return _top(blocks, shares, wanted, k, lambda block, share, row: share[row])


def dominant_neurons(blocks: list[NeuronBlock], shares: list[Tensor], wanted: Tensor, k: int) -> TopNeurons:
    """The k (DOMINANT at most) neurons that write most by length, |activation| x |value vector|; else as `top_neurons`."""

    def lengths(block: NeuronBlock, share: Tensor, row: Tensor) -> Tensor:
        return block.activation[row].abs() * block.w_out.norm(dim=1)

    return _top(blocks, shares, wanted, min(k, DOMINANT), lengths)


def _top(
    blocks: list[NeuronBlock],
    shares: list[Tensor],
    wanted: Tensor,
    k: int,
    value_of: Callable[[NeuronBlock, Tensor, Tensor], Tensor],
) -> TopNeurons:
    """By the values [n, neuron] that `value_of` gives a block's neurons in its wanted rows [n]; only what is above 0."""
    found = []
    for block, share in zip(blocks, shares, strict=True):
        row = wanted[block.node].nonzero(as_tuple=True)[0]
        found.append(_top_of_block(block, share, row, value_of(block, share, row), k))
    if not found:
        none, nothing = wanted.new_zeros(0, dtype=torch.long), wanted.new_zeros(0, dtype=torch.double)
        return TopNeurons(none, none, none, nothing, nothing, nothing, none)
    node, expert, neuron, share, activation, value = (torch.cat(column) for column in zip(*found, strict=True))
    order = value.argsort(descending=True, stable=True)
    order = order[node[order].argsort(stable=True)]
    ordered = node[order].contiguous()
    rank = torch.arange(len(order), device=order.device) - torch.searchsorted(ordered, ordered)
    kept = (rank < k) & (value[order] > 0)
    at = order[kept]
    return TopNeurons(node[at], expert[at], neuron[at], share[at], activation[at], value[at], 1 + rank[kept])


def _top_of_block(
    block: NeuronBlock, share: Tensor, row: Tensor, value: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The columns of `TopNeurons` but the rank."""
    top, neuron = value.topk(min(k, value.shape[1]), -1)
    row, neuron = row[:, None].expand_as(neuron).flatten(), neuron.flatten()
    node = block.node[row]
    expert = torch.full_like(node, block.expert)
    return node, expert, neuron, share[row, neuron], block.activation[row, neuron], top.flatten()


def _bias_share(bias: Tensor | None, whole: Tensor, total: Tensor) -> Tensor:
    """The share that the bias would take as one more part: p(b) / (total + p(b))."""
    if bias is None:
        return torch.zeros_like(total)
    of_bias = proximity(bias, whole)
    return of_bias / torch.where(of_bias > 0, total + of_bias, 1)
