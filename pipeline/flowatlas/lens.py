"""From the residual stream to the vocabulary: the lens of a node, the writes of a component, its direct logit effect.

    z(x)      = logit_scale * W_U (g * x / s_x)          s_x the final norm's scale at x, x centred for LayerNorm
    logits(x) = cap(z(x) + c)                            c = logit_scale * (W_U beta + b_U), once per model
    write(w)  = logit_scale * W_U (g * w / s_node)       the scale of the node written into, before bias and cap

The lens is nostalgebraist's logit lens (2020) with the final norm applied, so that the last node's lens is the model's
prediction. Writes are linear: those of a block follow from two neighbouring nodes without an unembedding of their own,
write(attention block) = z(mid) - z(pre) * s_pre / s_mid, and with frozen scales all writes add up to z. (Passing each
part through the norm by itself, as is sometimes done, does not add up.)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from flowatlas import kernels
from flowatlas.weights import FinalWeights

_LOGITS = 7 << 20  # in float32 a block of memory that is kept (see memory.KEPT)


class Lens(NamedTuple):
    """Statistics of logit rows: logsumexp, entropy [row] in nats; top_values, top_ids [row, k], largest first."""

    logsumexp: Tensor
    entropy: Tensor
    top_values: Tensor
    top_ids: Tensor


def project(final: FinalWeights, x: Tensor, scale: Tensor) -> Tensor:
    """z of x [row, d_model] under a given scale [row, 1]; returns [row, token], without constant and cap."""
    return kernels.product(final.centred(x) * (final.weight / scale * final.logit_scale), final.w_u)


def project_raw(final: FinalWeights, x: Tensor) -> Tensor:
    """x [row, d_model] through the unembedding without the final norm; returns logits [row, token]."""
    scores = kernels.product(x, final.w_u)
    return _cap(final, (scores if final.b_u is None else scores + final.b_u) * final.logit_scale)


def constant(final: FinalWeights) -> Tensor | None:
    """c [token], what the two biases add to every prompt's logits; None where the model has neither."""
    if final.bias is None and final.b_u is None:
        return None
    from_norm = final.w_u @ final.bias if final.bias is not None else torch.zeros_like(final.w_u[:, 0])
    return final.logit_scale * (from_norm if final.b_u is None else from_norm + final.b_u)


def logits(final: FinalWeights, z: Tensor, c: Tensor | None) -> Tensor:
    """cap(z + c); z [row, token]. Returns z itself where the model has neither."""
    return _cap(final, z if c is None else z + c)


def of_nodes(final: FinalWeights, x: Tensor, c: Tensor | None) -> Tensor:
    """The model's logits [row, token] at last nodes x [row, d_model], each under the norm of its own; c as in `constant`."""
    return logits(final, project(final, x, final.scale(x)), c)


def rows_at_once(final: FinalWeights) -> int:
    """How many rows of logits over the whole vocabulary are held at once."""
    return max(1, _LOGITS // len(final.w_u))


def _cap(final: FinalWeights, scores: Tensor) -> Tensor:
    cap = final.soft_cap
    return scores if cap is None else cap * torch.tanh(scores / cap)


def read(rows: Tensor, k: int) -> Lens:
    """Statistics and top tokens of logit rows [row, token]; k is cut to the vocabulary."""
    highest = rows.amax(-1, keepdim=True)
    weight = (rows - highest).exp_()
    total = weight.sum(-1)
    logsumexp = highest[:, 0] + total.log()
    entropy = (logsumexp - torch.linalg.vecdot(weight, rows) / total).clamp_min(0)
    values, ids = kernels.top_tokens(rows, min(k, rows.shape[1]))
    return Lens(logsumexp, entropy, values[:, 0], ids[:, 0])


def ranks(rows: Tensor, row: Tensor, ids: Tensor) -> Tensor:
    """Rank of tokens in given rows: 1 + how many logits are strictly larger.

    rows [row, token]; row [query]; ids [query, k]; returns int64 [query, k].
    """
    return 1 + kernels.count_above(rows, row, rows[row[:, None], ids])


def answer_direction(final: FinalWeights, ids: Tensor, scale: Tensor) -> Tensor:
    """The direction whose dot product with a component's output is its direct effect on a token's logit.

    ids [target] tokens, scale [target, 1] of the last node; returns [target, d_model].
    """
    direction = final.w_u[ids] * (final.weight / scale * final.logit_scale)
    return final.centred(direction)  # centring is symmetric: (Px) . d = x . (Pd)


def static_scores(final: FinalWeights, w_out: Tensor) -> Tensor:
    """What output rows [neuron, d_model] score for every token when scale and activation are 1; [neuron, token]."""
    return kernels.product(final.centred(w_out) * final.weight, final.w_u)


def write_scale(final: FinalWeights, activation: Tensor, scale: Tensor) -> Tensor:
    """Takes static scores to a prompt's write: activation * logit_scale / s_node; all [...]."""
    return activation * final.logit_scale / scale
