"""The weights that the analysis reads, as plain tensors: what a model looks like to everything above `models`."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayerWeights:
    """Output weights of one block as they reach the residual stream: in the compute dtype, through a post-norm's weight.

    w_o    [head, d_head, d_model]
    b_o    [d_model] or None
    b_out  [d_model] or None, the bias of the MLP
    """

    w_o: Tensor
    b_o: Tensor | None
    b_out: Tensor | None


@dataclass(frozen=True)
class NeuronBlock:
    """Neurons of one MLP, or of one expert, at those of the asked nodes that it ran for.

    expert      -1 in a dense MLP; routed experts first, shared ones numbered after them
    node        [n], places in the list of asked nodes
    activation  [n, neuron], what each row of w_out is multiplied by: with the router's weight, the residual multiplier and
                a post-norm's 1/s
    w_out       [neuron, d_model], through a post-norm's weight
    """

    expert: int
    node: Tensor
    activation: Tensor
    w_out: Tensor


@dataclass(frozen=True)
class FinalWeights:
    """Final norm and unembedding: logits = cap(logit_scale * (W_U (g * x / s + beta) + b_U)), x centred for LayerNorm.

    weight [d_model] (g), bias [d_model] or None (beta), w_u [token, d_model], b_u [token] or None, eps of the norm.
    """

    layer_norm: bool
    weight: Tensor
    bias: Tensor | None
    eps: float
    w_u: Tensor
    b_u: Tensor | None
    logit_scale: float = 1.0
    soft_cap: float | None = None

    def centred(self, x: Tensor) -> Tensor:
        """x [..., d_model] as the norm sees it before dividing: mean removed for LayerNorm, as it is for RMSNorm."""
        return x - x.mean(-1, keepdim=True) if self.layer_norm else x

    def scale(self, x: Tensor) -> Tensor:
        """The norm's divisor s at x [..., d_model]; returns [..., 1]."""
        return torch.sqrt(self.centred(x).square().mean(-1, keepdim=True) + self.eps)
