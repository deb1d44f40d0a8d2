"""How much each part contributes to the whole it is added into (ALTI).

Papers: Ferrando et al. 2022 (arXiv 2203.04212), as used for routes by Ferrando & Voita 2024 (arXiv 2403.00824).

    proximity(p, y) = max(0, |y|_1 - |y - p|_1)
    share(p)        = proximity(p, y) / sum of proximity over all parts of y

1. At the node after attention the parts are A[h,i,j] u[j,h] for every key j and head h, with u = v @ W_O, and resid_pre.
2. At the node after the MLP they are the MLP's output and resid_mid.
3. Beside the neurons, they are a_n W_out[n] for every neuron n, and resid_mid.

Deviations: no epsilon is added to any difference, so a part of zero proximity has share exactly 0; where every proximity
is 0 the whole is the residual's. Biases are no parts, as in the papers, but the share that one would take is returned.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from flowatlas import kernels


class AttentionShares(NamedTuple):
    """heads [batch, query, key, head], residual [batch, query]: they sum to 1; bias [batch, query] stands beside them."""

    heads: Tensor
    residual: Tensor
    bias: Tensor


class NeuronShares(NamedTuple):
    """neurons [node, neuron], residual [node]: they sum to 1; bias [node] stands beside them."""

    neurons: Tensor
    residual: Tensor
    bias: Tensor


def proximity(part: Tensor, whole: Tensor) -> Tensor:
    """max(0, |y|_1 - |y - p|_1) over the last axis, summed coordinate by coordinate; part, whole [..., d_model]."""
    return (whole.abs() - (whole - part).abs()).sum(-1).clamp_min(0)


def head_values(v: Tensor, w_o: Tensor) -> Tensor:
    """u = v @ W_O: what each head would write if it attended to one key alone.

    v [batch, key, head, d_head], w_o [head, d_head, d_model]; returns [head, batch, key, d_model].
    """
    batch, n_key, n_head, d_head = v.shape
    flat = v.permute(2, 0, 1, 3).reshape(n_head, batch * n_key, d_head)
    return torch.bmm(flat, w_o).view(n_head, batch, n_key, -1)


def attention_shares(
    whole: Tensor, residual: Tensor, pattern: Tensor, values: Tensor, bias: Tensor | None, lengths: Tensor
) -> AttentionShares:
    """Shares of every (key, head) and of the residual in the node after attention.

    whole, residual [batch, query, d_model]; pattern [batch, head, query, key]; values [head, batch, key, d_model];
    bias [d_model] or None; lengths [batch]. Keys after the query, and all beyond a prompt's length, have share 0.
    """
    heads = kernels.attention_proximity(whole, pattern, values, lengths)
    rest = proximity(residual, whole)
    total = heads.sum((2, 3)) + rest
    of_bias = _bias_share(bias, whole, total)
    divisor = torch.where(total > 0, total, 1)
    heads /= divisor[..., None, None]
    return AttentionShares(heads, torch.where(total > 0, rest / divisor, 1), of_bias)


def mlp_shares(whole: Tensor, residual: Tensor, mlp_out: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of the MLP's output and of resid_mid in resid_post; all [batch, pos, d_model], returns two [batch, pos]."""
    mlp, rest = proximity(mlp_out, whole), proximity(residual, whole)
    total = mlp + rest
    divisor = torch.where(total > 0, total, 1)
    return mlp / divisor, torch.where(total > 0, rest / divisor, 1)


def neuron_shares(
    whole: Tensor, residual: Tensor, activation: Tensor, w_out: Tensor, bias: Tensor | None
) -> NeuronShares:
    """Shares of every neuron and of resid_mid in resid_post.

    whole, residual [node, d_model]; activation [node, neuron]; w_out [neuron, d_model]; bias [d_model] or None.
    """
    neurons = kernels.neuron_proximity(whole, activation, w_out)
    rest = proximity(residual, whole)
    total = neurons.sum(-1) + rest
    of_bias = _bias_share(bias, whole, total)
    divisor = torch.where(total > 0, total, 1)
    neurons /= divisor[:, None]
    return NeuronShares(neurons, torch.where(total > 0, rest / divisor, 1), of_bias)


def _bias_share(bias: Tensor | None, whole: Tensor, total: Tensor) -> Tensor:
    """The share that the bias would take as one more part: p(b) / (total + p(b))."""
    if bias is None:
        return torch.zeros_like(total)
    of_bias = proximity(bias, whole)
    return of_bias / torch.where(of_bias > 0, total + of_bias, 1)
