"""What heads and MLPs put out on average: what takes their place when they are removed but for the part that never varies.

A component that is set to zero takes its constant part with it, which the rest of the model has learned to expect; its mean
over the dataset leaves that part there (*mean ablation*, as in Wang et al. 2022, arXiv 2211.00593, section 3.2). Means are over
all positions of the prompts alike, the first one included.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from flowatlas import activations
from flowatlas.activations import Batch
from flowatlas.models import Model


@dataclass(frozen=True)
class Means:
    """heads [layer, head, d_head]: of what each head passes to w_o, before any factor; mlps [layer, d_model]: of what each MLP
    adds to the stream. In the model's compute dtype, on its device. `n_prompts` and `n_positions` are behind them."""

    heads: Tensor
    mlps: Tensor
    n_prompts: int = 0
    n_positions: int = 0

    def fits(self, model: Model) -> bool:
        """Whether they have the shape of a model's."""
        heads, mlps = (model.n_layers, model.n_heads), (model.n_layers, model.d_model)
        return tuple(self.heads.shape[:2]) == heads and tuple(self.mlps.shape) == mlps


class _Sums(NamedTuple):
    heads: Tensor  # [layer, head, d_head]
    mlps: Tensor  # [layer, d_model]
    n_prompts: int
    n_positions: int

    def plus(self, other: "_Sums") -> "_Sums":
        heads, mlps = self.heads + other.heads, self.mlps + other.mlps
        return _Sums(heads, mlps, self.n_prompts + other.n_prompts, self.n_positions + other.n_positions)


def measure(model: Model, batches: Iterable[list[tuple[int, ...]]]) -> Means | None:
    """Means over batches of prompts, given as token ids; None where there is no prompt.

    A prompt whose residual stream is not finite does not count.
    """
    found = None
    for prompts in batches:
        sums = _sums(model, Batch.of(prompts, model.device))
        found = sums if found is None else found.plus(sums)
    if found is None or not found.n_positions:
        return None
    n = found.n_positions
    heads, mlps = (total.div(n).to(model.device, model.dtype) for total in (found.heads, found.mlps))
    return Means(heads, mlps, found.n_prompts, n)


def zeros(model: Model) -> Means:
    """Means of the right shape that are all 0: where only the cost of a removal is asked for."""
    d_head = model.layer(0).w_o.shape[1]
    heads = torch.zeros(model.n_layers, model.n_heads, d_head, dtype=model.dtype, device=model.device)
    return Means(heads, torch.zeros(model.n_layers, model.d_model, dtype=model.dtype, device=model.device))


def _sums(model: Model, batch: Batch) -> _Sums:
    """Over the positions of the finite prompts of a batch."""
    acts, _ = activations.run(model, batch, lambda l, acts: acts.forget_attention(l))
    kept = batch.mask.bool()
    kept[list(acts.not_finite(batch.mask))] = False
    heads = [_sum(acts.z_of_heads(l), kept) for l in range(model.n_layers)]
    mlps = [_sum(acts.mlp_out(l), kept) for l in range(model.n_layers)]
    return _Sums(torch.stack(heads), torch.stack(mlps), int(kept.any(1).sum()), int(kept.sum()))


def _sum(values: Tensor, kept: Tensor) -> Tensor:
    """values [batch, pos, ...] over the kept positions [batch, pos]; added up further where there is float64."""
    return values[kept].sum(0).cpu().double()
