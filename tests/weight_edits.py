"""A Hugging Face model with some of its output weights taken away: what an ablation must equal, by another way."""

import copy
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from flowatlas.component_names import Component

# The projections back to the residual stream, as the families name them inside a block.
_ATTENTION = re.compile(
    r"\b(\d+)\.(?:\w+\.)*(?:attn|attention|self_attn|self_attention)\.(?:o_proj|c_proj|dense|out_proj)$"
)
_MLP = re.compile(r"\b(\d+)\.(?:(?:mlp|ffn|feed_forward|self_attn)\.)?(?:c_proj|down_proj|dense_4h_to_h|fc2|fc_out)$")


def hugging_face(folder: Path) -> Any:
    """The checkpoint as Hugging Face runs it, in float32 with its own choice of attention (eager Falcon adds alibi twice).

    To be changed at will: the next call's is another.
    """
    return copy.deepcopy(_read(folder))


@lru_cache(maxsize=1)
def _read(folder: Path) -> Any:
    for kind in (AutoModelForCausalLM, AutoModelForImageTextToText):
        try:
            return kind.from_pretrained(folder, dtype=torch.float32).eval()
        except ValueError:  # a checkpoint of a model that can also see has no causal model of its own
            continue
    raise AssertionError(folder)


def logits(hf: Any, ids: tuple[int, ...]) -> Tensor:
    """At every position of one prompt, [pos, token]."""
    with torch.inference_mode():
        return hf(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def take_away(hf: Any, component: Component, n_heads: int) -> None:
    """Zero what the component writes with: a head's rows of W_O, a neuron's of W_out, all of an MLP's and its bias."""
    with torch.no_grad():
        if component.kind == "head":
            rows = _rows(_module(hf, _ATTENTION, component.layer))
            rows.view(n_heads, -1, rows.shape[1])[component.index] = 0
        elif component.kind == "mlp":
            for parameter in _mlp_outputs(hf, component.layer):
                parameter.zero_()
        elif component.expert < 0:
            _rows(_module(hf, _MLP, component.layer))[component.index] = 0
        else:
            _expert_rows(hf, component)[component.index] = 0


def _module(hf: Any, pattern: re.Pattern[str], layer: int) -> nn.Module:
    found = [
        (len(name), module)
        for name, module in hf.named_modules()
        if "vision" not in name and (match := pattern.search(name)) and int(match[1]) == layer
    ]
    return min(found, key=lambda pair: pair[0])[1]


def _mlp_outputs(hf: Any, layer: int) -> list[Tensor]:
    """Weights and bias of an MLP's output, or those of a mixture's experts."""
    layers = getattr(getattr(hf, "model", None), "layers", None)
    experts = None if layers is None else getattr(getattr(layers[layer], "mlp", None), "experts", None)
    if experts is not None:
        return [experts.down_proj]
    return list(_module(hf, _MLP, layer).parameters())


def _rows(module: nn.Module) -> Tensor:
    """A projection's weights as [input, output], a view of the parameter."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight if type(module).__name__ == "Conv1D" else weight.T


def _expert_rows(hf: Any, component: Component) -> Tensor:
    """Output weights of an expert, [neuron, d_model], a view of the parameter; the shared one is numbered last."""
    block = hf.model.layers[component.layer]
    mlp = getattr(block, "mlp", None) or block.block_sparse_moe
    down = mlp.experts.down_proj
    return down[component.expert].T if component.expert < len(down) else mlp.shared_expert.down_proj.weight.T
