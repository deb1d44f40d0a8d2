"""One forward pass: a padded batch of token ids in, the residual stream and what was added to it out."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flowatlas.errors import GuardError
from flowatlas.models import Model


@dataclass(frozen=True)
class Batch:
    """Prompts padded on the right to one length.

    ids, mask [batch, pos]; lengths [batch]. With causal attention nothing before the padding can see it; the mask is
    given all the same, because some families derive positions from it.
    """

    ids: Tensor
    mask: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, prompts: list[tuple[int, ...]], device: torch.device | str = "cpu") -> "Batch":
        lengths = torch.tensor([len(ids) for ids in prompts])
        ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
        for row, tokens in enumerate(prompts):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        return cls(ids.to(device), mask.to(device), lengths.to(device))


class Activations:
    """What one forward pass left behind, in the compute dtype, layer by layer.

    `resid` is the residual stream by depth: 0 the embedding, 2l + 1 resid_mid and 2l + 2 resid_post of block l, each
    [batch, pos, d_model].
    """

    def __init__(self, model: Model, cache: dict[str, Tensor]):
        self._model, self._cache = model, cache
        names = ["blocks.0.hook_resid_pre"]
        for l in range(model.n_layers):
            names += [f"blocks.{l}.hook_resid_mid", f"blocks.{l}.hook_resid_post"]
        self.resid = [self._get(name) for name in names]

    def _get(self, name: str) -> Tensor:
        return self._cache[name].to(self._model.dtype)

    def pattern(self, l: int) -> Tensor:
        """Attention weights A [batch, head, query, key]."""
        return self._get(f"blocks.{l}.attn.hook_pattern")

    def v(self, l: int) -> Tensor:
        """Values [batch, key, head, d_head], bias included, grouped heads expanded."""
        v = self._get(f"blocks.{l}.attn.hook_v")
        return v.repeat_interleave(self._model.n_heads // v.shape[2], 2)

    def z(self, l: int) -> Tensor:
        """What each head passes to W_O: sum over keys of A v, [batch, query, head, d_head]."""
        return self._get(f"blocks.{l}.attn.hook_z")

    def neurons(self, l: int) -> Tensor:
        """What each row of W_out is multiplied by, [batch, pos, neuron]."""
        return self._get(f"blocks.{l}.mlp.hook_post")

    def mlp_out(self, l: int) -> Tensor:
        """The MLP's output with its bias, [batch, pos, d_model]."""
        return self._get(f"blocks.{l}.hook_mlp_out")


_PER_LAYER = (
    "hook_resid_mid",
    "hook_resid_post",
    "attn.hook_pattern",
    "attn.hook_v",
    "attn.hook_z",
    "mlp.hook_post",
    "hook_mlp_out",
)


def run(model: Model, batch: Batch) -> tuple[Activations, Tensor]:
    """Run the model once; returns its activations and the bridge's own logits at the last column [batch, 1, token].

    Raises GuardError when a hook that the family must have does not fire.
    """
    wanted = ["blocks.0.hook_resid_pre"]
    wanted += [f"blocks.{l}.{name}" for l in range(model.n_layers) for name in _PER_LAYER]
    keep: dict[str, Any] = {"logits_to_keep": 1, "use_cache": False, "output_attentions": False}
    with torch.inference_mode():
        logits, cache = model.bridge.run_with_cache(
            batch.ids, attention_mask=batch.mask, names_filter=wanted, return_cache_object=False, **keep
        )
    missing = [name for name in wanted if name not in cache]
    if missing:
        raise GuardError(
            f"model {model.located.name}: its blocks are not built as its family's are ({missing[0]} never came by); "
            "its numbers could not be trusted, so nothing was written"
        )
    return Activations(model, cache), logits
