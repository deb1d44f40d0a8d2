"""Neurons of a mixture of experts, rebuilt from what its block was given and from its router's weights.

    out = sum_e r_e W_out[e]^T (act(W_gate[e] x) * (W_in[e] x))  +  the shared expert, times its own gate if it has one

A neuron is (expert, neuron); its activation includes the router's weight r_e. The block itself hands out its sum only, so
the neurons are computed again from its input, in the weights' own dtype as the model did; each expert for the nodes that
were routed to it and no others, so that a dense [node, expert, neuron] product never exists. The shared expert is
numbered after the routed ones.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowatlas.families import Experts


def routing(weights: Tensor, indices: Tensor, n_experts: int) -> Tensor:
    """Router weights [node, expert], zero where a node is not routed to an expert.

    weights [node, expert] already, or [node, rank] in the order of indices [node, rank].
    """
    if weights.shape != indices.shape:
        return weights
    empty = torch.zeros(weights.shape[0], n_experts, dtype=weights.dtype, device=weights.device)
    return empty.scatter(1, indices.long(), weights)


def activations(
    mlp: Any, places: Experts, x: Tensor, weights: Tensor, indices: Tensor
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """By expert that ran: its number, the nodes that it ran for [n], and its neurons' activations there [n, neuron].

    mlp: the bridge's; x [node, d_model] its input; weights, indices: what its router answered (see `routing`).
    """
    experts = _inner(getattr(_inner(mlp), places.routed))
    routed = routing(weights, indices, len(experts.down_proj))
    for e in routed.any(0).nonzero()[:, 0].tolist():
        node = routed[:, e].nonzero()[:, 0]
        gate, up = F.linear(x[node], experts.gate_up_proj[e]).chunk(2, -1)
        yield e, node, experts.act_fn(gate) * up * routed[node, e, None]
    if places.shared is not None:
        shared = _inner(getattr(_inner(mlp), places.shared))
        activation = shared.act_fn(_linear(x, shared.gate_proj)) * _linear(x, shared.up_proj)
        if places.shared_gate is not None:
            activation = activation * _linear(x, getattr(_inner(mlp), places.shared_gate)).sigmoid()
        yield len(experts.down_proj), torch.arange(len(x), device=x.device), activation


def count(mlp: Any, places: Experts) -> int:
    """How many experts an MLP has, the shared one included."""
    return len(_inner(getattr(_inner(mlp), places.routed)).down_proj) + (places.shared is not None)


def value_vectors(mlp: Any, places: Experts, expert: int) -> Tensor:
    """What the neurons of one expert write at activation 1, [neuron, d_model]."""
    down = _inner(getattr(_inner(mlp), places.routed)).down_proj  # [expert, d_model, neuron]
    if expert < len(down):
        return down[expert].T
    return _inner(_inner(getattr(_inner(mlp), places.shared or "")).down_proj).weight.T


def _linear(x: Tensor, projection: Any) -> Tensor:
    return F.linear(x, _inner(projection).weight)


def _inner(module: Any) -> Any:
    """The Hugging Face module that a bridge's component wraps, or the module itself."""
    while isinstance(inner := getattr(module, "original_component", None), nn.Module):
        module = inner
    return module
