"""The formulas of docs/method.md written out one number at a time: slow, and meant to be read against the paper."""

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


def prompt_edges(acts, model, b: int, length: int) -> dict:
    """Every edge of one prompt per head: {(above, below, head or kind): share}; nodes are (layer, point, pos)."""
    edges = {}
    for l in range(model.n_layers):
        pre, mid, post = (x[b, :length] for x in acts.resid[2 * l : 2 * l + 3])
        weights, mlp = model.layer(l), acts.mlp_out(l)[b]
        for i in range(length):
            found = attention_shares(mid, pre, acts.pattern(l)[b], acts.v(l)[b], weights.w_o, i)
            for key, share in found.items():
                j, label = (i, "resid_attn") if key == "residual" else key
                edges[(l, "mid", i), (l - 1, "post", j), label] = share
            for kind, share in shares({"mlp": mlp[i], "resid_mlp": mid[i]}, post[i], "resid_mlp").items():
                edges[(l, "post", i), (l, "mid", i), kind] = share
    return edges


def summed(edges: dict) -> dict:
    """The same edges with the heads of an edge added up (label -1)."""
    out: dict = {}
    for (above, below, label), share in edges.items():
        key = (above, below, -1 if isinstance(label, int) else label)
        out[key] = out.get(key, 0.0) + share
    return out


def lens(final, x: Tensor) -> Tensor:
    """Logits of one node's vector [d_model], step by step."""
    centred = x - x.mean() if final.layer_norm else x
    normed = centred / torch.sqrt(centred.square().mean() + final.eps) * final.weight
    normed = normed if final.bias is None else normed + final.bias
    logits = final.w_u @ normed
    return logits if final.b_u is None else logits + final.b_u
