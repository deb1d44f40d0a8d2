"""The formulas of docs/method.md written out one number at a time: slow, and meant to be read against the paper."""

from typing import NamedTuple

import torch
from torch import Tensor


def proximity(part: Tensor, whole: Tensor) -> float:
    return max(0.0, float(whole.abs().sum() - (whole - part).abs().sum()))


def shares(parts: dict, whole: Tensor, residual) -> dict:
    """Share of every part by its key; `residual` is the key that gets all when every proximity is zero."""
    near = {key: proximity(part, whole) for key, part in parts.items()}
    total = sum(near.values())
    if total == 0:
        return {key: float(key == residual) for key in parts}
    return {key: value / total for key, value in near.items()}


def attention_parts(pattern: Tensor, v: Tensor, w_o: Tensor, i: int) -> dict:
    """What every (key, head) adds at query i of one prompt.

    pattern [head, query, key]; v [key, head, d_head]; w_o [head, d_head, d_model].
    """
    return {(j, h): pattern[h, i, j] * (v[j, h] @ w_o[h]) for j in range(i + 1) for h in range(w_o.shape[0])}


def attention_shares(whole: Tensor, residual: Tensor, pattern: Tensor, v: Tensor, w_o: Tensor, i: int) -> dict:
    """Shares at query i of one prompt, by (key, head) and "residual"; whole, residual [query, d_model]."""
    return shares({**attention_parts(pattern, v, w_o, i), "residual": residual[i]}, whole[i], "residual")


def walk(edges: dict, target: tuple, tau: float) -> tuple[set, set]:
    """Nodes and edges reached from a target node over edges with share > tau.

    edges: {(node above, node below, label): share}; returns (nodes, edge keys).
    """
    nodes, frontier, kept = {target}, [target], set()
    while frontier:
        node = frontier.pop()
        for key, share in edges.items():
            if key[0] == node and share > tau:
                kept.add(key)
                if key[1] not in nodes:
                    nodes.add(key[1])
                    frontier.append(key[1])
    return nodes, kept


class Added(NamedTuple):
    """What a block adds at one position: heads by (key, head), neurons by number or (expert, number), and the two biases.

    Where the neurons cannot be told apart there is one, "whole": all that the MLP adds.
    """

    heads: dict
    b_o: Tensor
    neurons: dict
    b_out: Tensor

    @property
    def attention(self) -> Tensor:
        return sum(self.heads.values()) + self.b_o

    @property
    def mlp(self) -> Tensor:
        return sum(self.neurons.values()) + self.b_out


def added(model, acts, l: int, b: int, i: int) -> Added:
    """Everything that block l adds at position i of a prompt, as it arrives in the residual stream.

    From the model's own weights and modules, not from what the package makes of them.
    """
    block, nothing = model.bridge.blocks[l], torch.zeros(model.d_model, dtype=model.dtype)
    neurons = neuron_parts(model, acts, l, b, i)
    heads = attention_parts(acts.pattern(l)[b], acts.v(l)[b], block.attn.W_O, i)
    b_o = nothing if block.attn.b_O is None else block.attn.b_O
    b_out = getattr(block.mlp, "b_out", None)
    b_out = nothing if b_out is None else b_out
    past_attn = frozen(model, block, "ln1_post", sum(heads.values()) + b_o)
    past_mlp = frozen(model, block, "ln2_post", sum(neurons.values()) + b_out)
    return Added(
        {key: past_attn(part) for key, part in heads.items()},
        past_attn(b_o),
        {key: past_mlp(part) for key, part in neurons.items()},
        past_mlp(b_out),
    )


def neuron_parts(model, acts, l: int, b: int, i: int) -> dict:
    """What every neuron of block l writes at a position, before a post-norm and multipliers."""
    mlp = model.bridge.blocks[l].mlp
    if not hasattr(mlp, "W_out") and model.located.family.experts is None:
        return {"whole": acts.mlp_out(l)[b, i]}
    parts = {}
    for key, activation, w_out in neurons(model, acts, l, b, i):
        parts |= {(key, n) if key >= 0 else n: activation[n] * w_out[n] for n in range(len(activation))}
    return parts


def neurons(model, acts, l: int, b: int, i: int) -> list[tuple[int, Tensor, Tensor]]:
    """Activations [neuron] and W_out [neuron, d_model] by expert that ran at a position; -1 is a dense MLP."""
    mlp = model.bridge.blocks[l].mlp
    if hasattr(mlp, "W_out"):
        return [(-1, acts._get(f"blocks.{l}.mlp.hook_post")[b, i], mlp.W_out)]
    block, x = inner(mlp), acts._get(f"blocks.{l}.mlp.hook_in")[b, i]
    router, experts = inner(getattr(block, "gate", None) or block.router), inner(block.experts)
    _, weights, chosen = router(x[None])
    found = []
    for weight, e in zip(weights[0], chosen[0].tolist(), strict=True):
        gate, up = (experts.gate_up_proj[e] @ x).chunk(2)
        found.append((e, weight * experts.act_fn(gate) * up, experts.down_proj[e].T))
    if hasattr(block, "shared_expert"):
        shared = inner(block.shared_expert)
        gate, up, down = (inner(p).weight for p in (shared.gate_proj, shared.up_proj, shared.down_proj))
        weight = torch.sigmoid(inner(block.shared_expert_gate).weight[0] @ x)
        found.append((len(experts.down_proj), weight * shared.act_fn(gate @ x) * (up @ x), down.T))
    return found


def activation(model, acts, l: int, b: int, i: int, key) -> float:
    """One neuron's activation, the router's weight included: key is its number, or (expert, number)."""
    expert, n = key if isinstance(key, tuple) else (-1, key)
    return next(float(some[n]) for e, some, _ in neurons(model, acts, l, b, i) if e == expert)


def inner(module):
    """The Hugging Face module under a bridge's component."""
    return inner(module.original_component) if hasattr(module, "original_component") else module


def frozen(model, block, name: str, output: Tensor):
    """What lies between an output [d_model] and the stream, with a norm's scale held at that output: p -> m g p / s."""
    multiplier = getattr(model.located.config, "residual_multiplier", 1.0)
    if not hasattr(block, name):
        return lambda part: multiplier * part
    norm = getattr(block, name).original_component
    eps = getattr(norm, "eps", None) or norm.variance_epsilon
    weight = norm(torch.ones_like(output)) * (1 + eps) ** 0.5
    scale = torch.sqrt(output.square().mean() + eps)
    return lambda part: multiplier * weight * part / scale


def nodes(model) -> list[tuple[int, str]]:
    """(layer, point) of every node of the stream, by depth; a parallel block has no mid."""
    points = ("post",) if model.stream.parallel else ("mid", "post")
    return [(-1, "post"), *((l, point) for l in range(model.n_layers) for point in points)]


def vectors(model, acts, b: int, pos: int) -> dict:
    """The stream at one position: {(layer, point): vector}."""
    return {node: x[b, pos] for node, x in zip(nodes(model), acts.resid, strict=True)}


def prompt_edges(acts, model, b: int, length: int) -> dict:
    """Every edge of one prompt per head: {(above, below, head or kind): share}; nodes are (layer, point, pos)."""
    edges = {}
    for l in range(model.n_layers):
        for i in range(length):
            x, parts = vectors(model, acts, b, i), added(model, acts, l, b, i)
            into_attended = {**parts.heads, "resid_attn": x[l - 1, "post"]}
            if model.stream.parallel:
                into_attended["mlp"] = parts.mlp
            attended = "post" if model.stream.parallel else "mid"
            for key, share in shares(into_attended, x[l, attended], "resid_attn").items():
                j, label = key if isinstance(key, tuple) else (i, key)
                edges[(l, attended, i), (l - 1, "post", j), label] = share
            if not model.stream.parallel:
                into_post = {"mlp": parts.mlp, "resid_mlp": x[l, "mid"]}
                for kind, share in shares(into_post, x[l, "post"], "resid_mlp").items():
                    edges[(l, "post", i), (l, "mid", i), kind] = share
    return edges


def bias_share(model, acts, l: int, point: str, b: int, i: int) -> float:
    """The share that the bias would take as one more part: b_O at mid, b_out beside the neurons, both in a parallel block."""
    x, parts = vectors(model, acts, b, i), added(model, acts, l, b, i)
    if model.stream.parallel:
        whole = {**parts.heads, "mlp": parts.mlp, "residual": x[l - 1, "post"], "bias": parts.b_o + parts.b_out}
    elif point == "mid":
        whole = {**parts.heads, "residual": x[l - 1, "post"], "bias": parts.b_o}
    else:
        whole = {**parts.neurons, "residual": x[l, "mid"], "bias": parts.b_out}
    return shares(whole, x[l, point], "residual")["bias"]


def summed(edges: dict) -> dict:
    """The same edges with the heads of an edge added up (label -1)."""
    out: dict = {}
    for (above, below, label), share in edges.items():
        key = (above, below, -1 if isinstance(label, int) else label)
        out[key] = out.get(key, 0.0) + share
    return out


def write(final, w: Tensor, node: Tensor) -> Tensor:
    """What a vector [d_model] adds to every token's z under the final norm's scale at a node; z of the node if it is that."""
    centred, x = (v - v.mean() if final.layer_norm else v for v in (w, node))
    return final.logit_scale * (final.w_u @ (centred / torch.sqrt(x.square().mean() + final.eps) * final.weight))


def lens(final, x: Tensor) -> Tensor:
    """Logits of one node's vector [d_model], step by step."""
    logits = write(final, x, x)
    if final.bias is not None:
        logits = logits + final.logit_scale * (final.w_u @ final.bias)
    if final.b_u is not None:
        logits = logits + final.logit_scale * final.b_u
    return logits if final.soft_cap is None else final.soft_cap * torch.tanh(logits / final.soft_cap)
