"""A checkpoint in, a `Model` with plain weights out.

The Hugging Face model is wrapped by TransformerLens's bridge with its own, private, builder: the public boot function may
install packages by itself and redirects folders named like hub models. The wrapped model answers through the bridge's
hooks, so the logits that the guard compares with are taken before wrapping.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from flowatlas import checkpoints, experts
from flowatlas.checkpoints import Located
from flowatlas.config import ModelConfig
from flowatlas.errors import UnsupportedModel
from flowatlas.families import setting
from flowatlas.stream import Stream
from flowatlas.weights import FinalWeights, LayerWeights


class Model:
    """A loaded model: its sizes, its plain weights, and the bridge that `activations` runs.

    `dtype` is the compute dtype of the analysis: float64 for a float64 model, else float32 whatever the weights are.
    `multiplier` is what every output of attention and MLP is multiplied by before it is added to the residual; `value_clip`
    is the bound that values are cut at, or None.
    """

    def __init__(self, located: Located, bridge: Any, device: torch.device):
        config, family = located.config, located.family
        self.located, self.bridge, self.device = located, bridge, device
        self.n_layers, self.n_heads = len(bridge.blocks), int(config.num_attention_heads)
        self.d_model, self.vocab_size = (int(size) for size in bridge.W_U.shape)
        self.weights_dtype = bridge.W_U.dtype
        self.dtype = torch.float64 if self.weights_dtype == torch.float64 else torch.float32
        self.stream = Stream.of(self.n_layers, family.is_parallel(config))
        self.multiplier = self._number(family.residual_multiplier, 1.0)
        self.value_clip = self._number(family.value_clip, 0.0) or None
        self.final = self._final()
        self._hook_points: dict[str, Any] = {}

    def plain(self, tensor: Tensor | None) -> Tensor | None:
        """A weight or activation in the compute dtype on the model's first device, cut from the autograd graph."""
        return None if tensor is None else tensor.detach().to(self.device, self.dtype)

    def layer(self, l: int) -> LayerWeights:
        """Output weights of block l, made on demand: views where dtype and norms allow."""
        attn, mlp = self.bridge.blocks[l].attn, self.bridge.blocks[l].mlp
        flat = attn.o.weight if type(attn.o.original_component).__name__ == "Conv1D" else attn.o.weight.T
        after_attn, after_mlp = (self._post_norm_weight(l, name) for name in self.located.family.post_norms)
        # Cut into heads here: the bridge's own W_O refuses heads whose values have another size than their keys.
        w_o = self._scaled(flat.reshape(self.n_heads, -1, self.d_model), after_attn)
        assert w_o is not None
        return LayerWeights(
            w_o, self._scaled(attn.b_O, after_attn), self._scaled(getattr(mlp, "b_out", None), after_mlp)
        )

    def reading_weights(self, l: int) -> Tensor | None:
        """What the heads of block l read with: [head, d_model, d_head], through the weight of the block's norm, grouped heads
        expanded; of a normed residual x (see `normed`) the values are x @ this, up to a bias, before any bound on values.

        None where they are no linear map of it (a norm of their own stands before them).
        """
        block = self.bridge.blocks[l]
        projection = getattr(block.attn, "v", None)
        if projection is None:
            return None
        weight = self.plain(projection.weight.T)  # the bridge has cut fused ones into plain linear maps
        assert weight is not None
        if (norm := getattr(block, "ln1", None)) is not None:
            weight = self._norm_weight(norm)[:, None] * weight
        heads = weight.reshape(self.d_model, -1, self.layer(l).w_o.shape[1]).transpose(0, 1)
        return heads.repeat_interleave(self.n_heads // len(heads), 0)

    def normed(self, l: int, x: Tensor) -> Tensor:
        """x [..., d_model] as the norm before block l's attention makes it, without its weight and bias; x itself where there
        is no norm."""
        if getattr(self.bridge.blocks[l], "ln1", None) is None:
            return x
        centred = self.final.centred(x)  # a model's norms are of one kind
        return centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + self.final.eps)

    def embeddings(self) -> Tensor:
        """What each token puts into the residual stream by itself, without its position: [token, d_model], up to a factor."""
        norm = getattr(self.bridge, "embed_ln", None)
        embedded = self.bridge.W_E.detach()
        plain = self.plain(embedded if norm is None else norm(embedded))
        assert plain is not None
        return plain

    def is_dense(self, l: int) -> bool:
        """Whether block l has an MLP of its own, rather than a mixture of experts."""
        return hasattr(self.bridge.blocks[l].mlp, "W_out")

    def has_neurons(self, l: int) -> bool:
        """Whether the neurons of block l can be told apart."""
        return self.is_dense(l) or self.located.family.experts is not None

    def experts(self, l: int) -> list[int]:
        """What `value_vectors` takes for block l: -1 alone where it is dense, nothing where neurons cannot be told apart."""
        n = self.n_experts(l)
        return [-1] if n == 0 else list(range(n or 0))

    def n_experts(self, l: int) -> int | None:
        """How many experts block l has, the shared one included; 0 for an MLP of its own, None without neurons."""
        if self.is_dense(l):
            return 0
        places = self.located.family.experts
        return None if places is None else experts.count(self.bridge.blocks[l].mlp, places)

    def value_vectors(self, l: int, expert: int = -1) -> Tensor:
        """What the neurons of block l's MLP, or of one of its experts, write at activation 1: [neuron, d_model].

        Through the weight of the MLP's post-norm, if there is one.
        """
        norm = self._post_norm_weight(l, self.located.family.post_norms[1])
        w_out = self.w_out(l, expert)
        return w_out if norm is None else w_out * norm

    def w_out(self, l: int, expert: int = -1) -> Tensor:
        """Output weights of block l's MLP, or of one of its experts, before any norm: [neuron, d_model]."""
        mlp, places = self.bridge.blocks[l].mlp, self.located.family.experts
        w_out = self.plain(mlp.W_out if places is None or expert < 0 else experts.value_vectors(mlp, places, expert))
        assert w_out is not None
        return w_out

    def _scaled(self, weight: Tensor | None, norm: Tensor | None) -> Tensor | None:
        """A weight [..., d_model] as it reaches the residual stream, through the weight of a norm [d_model] if there is one."""
        plain = self.plain(weight)
        return plain if plain is None or norm is None else plain * norm

    def _post_norm_weight(self, l: int, name: str | None) -> Tensor | None:
        return None if name is None else self._norm_weight(getattr(self.bridge.blocks[l], name))

    def _norm_weight(self, norm: Any) -> Tensor:
        """What a norm multiplies by, [d_model]: ones where it has no weight."""
        weight, offset = self.plain(getattr(norm, "weight", None)), self.located.family.norm_offset
        if weight is None:
            return torch.ones(self.d_model, dtype=self.dtype, device=self.device)
        return weight + offset if offset else weight

    def _number(self, key: str | None, default: float) -> float:
        """A number of the config; the default where the family names no key, or the config leaves it empty."""
        value = None if key is None else setting(self.located.config, key)
        return default if value is None else float(value)

    def _final(self) -> FinalWeights:
        norm, family = self.bridge.ln_final, self.located.family
        w_u = self.plain(self.bridge.W_U)
        assert w_u is not None
        # The bridge always has a b_U; where the head has none it is zeros, and None saves adding it to every row.
        b_u = self.plain(self.bridge.b_U)
        b_u = b_u if b_u is not None and bool(b_u.any()) else None
        bias = self.plain(getattr(norm, "bias", None)) if family.layer_norm else None
        scale = self._number(family.logit_multiplier, 1.0) / self._number(family.logit_divisor, 1.0)
        cap = self._number(family.soft_cap, 0.0)
        return FinalWeights(
            family.layer_norm,
            self._norm_weight(norm),
            bias,
            self._final_eps(),
            w_u.T.contiguous(),
            b_u,
            scale,
            cap or None,
        )

    def _final_eps(self) -> float:
        """Epsilon of the final norm, from the module that computes it."""
        module, fixed = self.bridge.ln_final.original_component, self.located.family.norm_eps
        for name in ("eps", "variance_epsilon"):
            if getattr(module, name, None) is not None:
                return float(getattr(module, name))
        if fixed is None:
            raise UnsupportedModel(f"model {self.located.name}: its final norm has no epsilon")
        return fixed

    def hook_point(self, name: str) -> Any:
        """The bridge's hook of that name, or None where this model has none."""
        if name not in self._hook_points:
            try:
                self._hook_points[name] = attrgetter(name)(self.bridge)
            except AttributeError:
                self._hook_points[name] = None
        return self._hook_points[name]

    def describe(self) -> dict[str, Any]:
        """What the manifest records of the model."""
        config, adapter = self.located.config, self.located.adapter
        without = [l for l in range(self.n_layers) if not self.has_neurons(l)]
        return {
            "name": self.located.name,
            "adapter": None if adapter is None else {"name": adapter.name, "base": str(self.located.folder)},
            "family": config.model_type,
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "d_model": self.d_model,
            "d_mlp": len(self.value_vectors(0, -1 if self.is_dense(0) else 0)) if self.has_neurons(0) else None,
            "mixture": not all(self.is_dense(l) for l in range(self.n_layers)),
            "vocab_size": self.vocab_size,
            "max_tokens": self.located.max_tokens,
            "parallel": self.stream.parallel,
            "neurons": "all" if not without else "some" if len(without) < self.n_layers else "none",
            "without_neurons": without,
            "dtype": str(self.weights_dtype).removeprefix("torch."),
        }


def load(located: Located, model: ModelConfig, probe: Callable[[nn.Module], Any]) -> tuple[Model, Any]:
    """Load the weights and wrap them.

    `probe` is called with the untouched Hugging Face model before it is wrapped; what it returns comes back beside the
    model (the guard's reference logits). Raises ModelError when weights are missing from the files.
    """
    hf, device = checkpoints.read(located, model)
    with torch.inference_mode(), checkpoints.default_attention(hf):
        probed = probe(hf)
    return Model(located, _wrap(hf, located), device), probed


def _wrap(hf: Any, located: Located) -> Any:
    """The only place that knows the bridge's private builder."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
    from transformer_lens.model_bridge.sources._hf_format import determine_architecture_from_hf_config

    config = hf.config  # a text part's own, where the checkpoint is of a model that can also see
    config.architectures = [type(hf).__name__]  # what was loaded, whatever the file calls it
    architecture = determine_architecture_from_hf_config(config)
    bridge = build_bridge_from_module(hf, architecture, hf_config=config, model_name=located.folder.name)
    _round_rotations(bridge)
    return bridge


def _round_rotations(bridge: Any) -> None:
    """Rotated queries and keys in the weights' dtype, as Hugging Face has them.

    Where a family keeps its rotary tables in float32 (OLMo), the bridge would go on in float32 and stumble over the values.
    """
    dtype = bridge.W_U.dtype

    def rounded(rotated: Tensor, hook: Any) -> Tensor:
        return rotated.to(dtype)

    for block in bridge.blocks:
        for name in ("hook_rot_q", "hook_rot_k"):
            point = getattr(block.attn, name, None)
            if point is not None:
                point.add_perma_hook(rounded)
