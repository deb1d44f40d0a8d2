"""A checkpoint in, a `Model` with plain weights out.

The Hugging Face model is wrapped by TransformerLens's bridge with its own, private, builder: the public boot function may
install packages by itself and redirects folders named like hub models. The wrapped model answers through the bridge's
hooks, so the logits that the guard compares with are taken before wrapping.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from flowatlas import checkpoints
from flowatlas.checkpoints import Located
from flowatlas.config import ModelConfig
from flowatlas.errors import UnsupportedModel
from flowatlas.weights import FinalWeights, LayerWeights


class Model:
    """A loaded model: its sizes, its plain weights, and the bridge that `activations` runs.

    `dtype` is the compute dtype of the analysis: float64 for a float64 model, else float32 whatever the weights are.
    """

    def __init__(self, located: Located, bridge: Any, device: torch.device):
        config = located.config
        self.located, self.bridge, self.device = located, bridge, device
        self.n_layers = int(config.num_hidden_layers)
        self.n_heads = int(config.num_attention_heads)
        self.d_model = int(config.hidden_size)
        self.vocab_size = int(bridge.W_U.shape[-1])
        self.weights_dtype = bridge.W_U.dtype
        self.dtype = torch.float64 if self.weights_dtype == torch.float64 else torch.float32
        self.final = self._final()

    def plain(self, tensor: Tensor | None) -> Tensor | None:
        """A weight or activation in the compute dtype, cut from the autograd graph."""
        return None if tensor is None else tensor.detach().to(self.dtype)

    def layer(self, l: int) -> LayerWeights:
        """Output weights of block l, made on demand: a view where the dtype allows."""
        attn, mlp = self.bridge.blocks[l].attn, self.bridge.blocks[l].mlp
        w_o, w_out = self.plain(attn.W_O), self.plain(mlp.W_out)
        assert w_o is not None
        assert w_out is not None
        return LayerWeights(w_o, self.plain(attn.b_O), w_out, self.plain(mlp.b_out))

    def _final(self) -> FinalWeights:
        norm, family = self.bridge.ln_final, self.located.family
        weight, w_u = self.plain(norm.weight), self.plain(self.bridge.W_U)
        assert weight is not None
        assert w_u is not None
        # The bridge always has a b_U; where the head has none it is zeros, and None saves adding it to every row.
        b_u = self.plain(self.bridge.b_U)
        b_u = b_u if b_u is not None and bool(b_u.any()) else None
        bias = self.plain(getattr(norm, "bias", None)) if family.layer_norm else None
        return FinalWeights(family.layer_norm, weight, bias, self._final_eps(), w_u.T.contiguous(), b_u)

    def _final_eps(self) -> float:
        config = self.located.config
        for key in ("layer_norm_epsilon", "rms_norm_eps", "layer_norm_eps"):
            if getattr(config, key, None) is not None:
                return float(getattr(config, key))
        raise UnsupportedModel(f"model {self.located.name}: its config names no epsilon of the norms")

    def describe(self) -> dict[str, Any]:
        """What the manifest records of the model."""
        config = self.located.config
        mlp = self.bridge.blocks[0].mlp.W_out
        return {
            "name": self.located.name,
            "family": config.model_type,
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "d_model": self.d_model,
            "d_mlp": int(mlp.shape[0]),
            "vocab_size": self.vocab_size,
            "max_tokens": self.located.max_tokens,
            "parallel": False,
            "dtype": str(self.weights_dtype).removeprefix("torch."),
        }


def load(located: Located, model: ModelConfig, probe: Callable[[nn.Module], Any]) -> tuple[Model, Any]:
    """Load the weights and wrap them.

    `probe` is called with the untouched Hugging Face model before it is wrapped; what it returns comes back beside the
    model (the guard's reference logits). Raises ModelError when weights are missing from the files.
    """
    hf, device = checkpoints.read(located, model)
    with torch.inference_mode():
        probed = probe(hf)
    return Model(located, _wrap(hf, located), device), probed


def _wrap(hf: nn.Module, located: Located) -> Any:
    """The only place that knows the bridge's private builder."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
    from transformer_lens.model_bridge.sources._hf_format import determine_architecture_from_hf_config

    architecture = determine_architecture_from_hf_config(located.config)
    return build_bridge_from_module(hf, architecture, hf_config=located.config, model_name=located.folder.name)
