"""Neurons of a mixture of experts, rebuilt from what its block was given and from its router's weights.

    out = sum_e r_e * W_out[e]^T (act(W_gate[e] x) * (W_in[e] x))  +  shared experts, times their own gate where there is one

A neuron is (expert, neuron); its activation includes the router's weight r_e. The block itself hands out its sum only, so
the neurons are computed again from `mlp.hook_in` in the weights' own dtype, each expert for the nodes routed to it and no
others: a dense [node, expert, neuron] product never exists. Shared experts are numbered after the routed ones.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowatlas.families import Experts
from flowatlas.weights import NeuronBlock


def routing(weights: Tensor, indices: Tensor, n_experts: int) -> Tensor:
    """Router weights [node, expert], zero where a node is not routed to an expert.

    weights [node, expert] or, where every expert is chosen, [node, rank] in the order of indices [node, rank].
    """
    if weights.shape != indices.shape:
        return weights
    return torch.zeros(weights.shape[0], n_experts, dtype=weights.dtype, device=weights.device).scatter(
        1, indices.long(), weights
    )


def blocks(mlp: Any, places: Experts, x: Tensor, routed: Tensor, dtype: torch.dtype) -> list[NeuronBlock]:
    """The neurons that wrote at some nodes, by expert; w_out is a view of the weights where `dtype` is theirs.

    mlp: the bridge's MLP; x [node, d_model] its input; routed [node, expert]. Activations are in `dtype`.
    """
    experts = _inner(getattr(_inner(mlp), places.routed))
    found = []
    for e in routed.any(0).nonzero()[:, 0].tolist():
        node = routed[:, e].nonzero()[:, 0]
        gate, up = F.linear(x[node], experts.gate_up_proj[e]).chunk(2, -1)
        activation = (experts.act_fn(gate) * up).to(dtype) * routed[node, e, None].to(dtype)
        found.append(NeuronBlock(e, node, activation, experts.down_proj[e].T.detach().to(dtype)))
    if places.shared is not None:
        found.append(_shared(mlp, places, x, experts.gate_up_proj.shape[0], dtype))
    return found


def _shared(mlp: Any, places: Experts, x: Tensor, number: int, dtype: torch.dtype) -> NeuronBlock:
    """The expert that every node goes through, as expert `number`."""
    block = _inner(mlp)
    shared = _inner(getattr(block, places.shared or ""))
    gate, up, down = (_inner(getattr(shared, name)).weight for name in ("gate_proj", "up_proj", "down_proj"))
    activation = (shared.act_fn(F.linear(x, gate)) * F.linear(x, up)).to(dtype)
    if places.shared_gate is not None:
        weight = _inner(getattr(block, places.shared_gate)).weight
        activation = activation * F.linear(x, weight).sigmoid().to(dtype)
    node = torch.arange(x.shape[0], device=x.device)
    return NeuronBlock(number, node, activation, down.T.detach().to(dtype))


def _inner(module: Any) -> Any:
    """The Hugging Face module that a bridge's component wraps, or the module itself."""
    while isinstance(inner := getattr(module, "original_component", None), nn.Module):
        module = inner
    return module
