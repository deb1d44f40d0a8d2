"""Finding, checking and loading a model: a folder or hub id in, a `Model` with plain weights out.

The Hugging Face model is loaded by transformers and wrapped by TransformerLens's bridge with its own, private, builder:
the public boot function may install packages by itself and redirects folders named like hub models. The wrapped model
answers through the bridge's hooks, so the logits that the guard compares with are taken before wrapping.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from flowatlas.config import ModelConfig
from flowatlas.errors import ConfigError, ModelError, UnsupportedModel
from flowatlas.weights import FinalWeights, LayerWeights


@dataclass(frozen=True)
class Family:
    """What the one code path must know about an architecture.

    `layer_norm` tells LayerNorm (centred) from RMSNorm; `fixed` are config values without which its equations differ.
    """

    layer_norm: bool
    fixed: tuple[tuple[str, Any], ...] = ()


# Sequential pre-norm blocks: resid_mid = resid_pre + attention, resid_post = resid_mid + MLP.
FAMILIES: dict[str, Family] = {
    "gpt2": Family(layer_norm=True, fixed=(("add_cross_attention", False),)),
    "llama": Family(layer_norm=False),
    "mistral": Family(layer_norm=False),
    "qwen2": Family(layer_norm=False),
}

_DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16")}


_TOKENIZER_FILES = (
    "tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model", "*.tiktoken",
)  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A model that was found and passed every check that needs no weights."""

    name: str
    folder: Path
    config: Any  # transformers.PretrainedConfig
    family: Family

    @property
    def max_tokens(self) -> int:
        return int(self.config.max_position_embeddings)

    @property
    def vocab_size(self) -> int:
        return int(self.config.vocab_size)

    def weights_hash(self) -> str:
        """sha256 over config.json and the weight files: names and bytes, in order of name."""
        return _hash([self.folder / "config.json", *self.folder.glob("*.safetensors")])

    def tokenizer_hash(self) -> str:
        """The same over the tokenizer's files: with another one the same text is another prompt."""
        return _hash([file for pattern in _TOKENIZER_FILES for file in self.folder.glob(pattern)])


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(set(files)):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def locate(model: ModelConfig) -> Located:
    """Find a model and refuse what could not be computed exactly, before any weight is read.

    Raises ModelError when it is not there or holds no safetensors, UnsupportedModel for another family.
    """
    folder = _folder(model)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model {model.name}: no config.json in {folder}; give a Hugging Face model folder or a hub id"
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"model {model.name}: no weights (*.safetensors) in {folder}; pickled weights are not read")
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, TypeError, OSError, KeyError, StrictDataclassError) as error:
        raise ModelError(f"model {model.name}: its config.json cannot be read: {_first_line(error)}") from error
    return Located(model.name, folder, config, _family(model.name, config))


def _folder(model: ModelConfig) -> Path:
    if Path(model.name).is_dir():
        return Path(model.name)
    if Path(model.name).exists():
        raise ModelError(f"model {model.name} is a file; give the folder that holds config.json")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(model.name, revision=model.revision, allow_patterns=wanted))
    except HFValidationError as error:
        raise ModelError(f"model {model.name}: no such folder, and no valid hub id (owner/name)") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        offline = isinstance(error, LocalEntryNotFoundError) or "offline" in str(error).lower()
        reason = "the hub cannot be reached and its cache has no copy" if offline else _first_line(error)
        raise ModelError(
            f"model {model.name}: no such folder, and {reason}; "
            "check the name, or download it where there is a network and give the folder"
        ) from error


def _family(name: str, config: Any) -> Family:
    family = FAMILIES.get(config.model_type)
    known = ", ".join(FAMILIES)
    if family is None:
        raise UnsupportedModel(f"model {name}: family {config.model_type} is not supported; supported: {known}")
    if getattr(config, "quantization_config", None) is not None:
        raise UnsupportedModel(f"model {name}: quantised weights are not supported; give the original checkpoint")
    for key, value in family.fixed:
        if getattr(config, key, value) != value:
            raise UnsupportedModel(
                f"model {name}: {config.model_type} with {key}={getattr(config, key)} is not supported"
            )
    return family


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
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    device, auto = pick_device(model.device), cast(Any, AutoModelForCausalLM)
    transformers_logging.disable_progress_bar()
    try:
        hf, info = auto.from_pretrained(
            located.folder,
            dtype=_DTYPES[model.dtype],
            attn_implementation="eager",  # the pattern is an output only here
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are told below, and by name
        )
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"model {model.name}: its weights cannot be read ({_first_line(error)}); is the download complete?"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"model {model.name}: its config and weights do not go together: {_first_line(error)}"
        ) from error
    for key, fault in (("missing_keys", "are missing from its files"), ("mismatched_keys", "do not fit its config")):
        if info[key]:
            some = ", ".join(sorted(str(k[0] if isinstance(k, tuple) else k) for k in info[key])[:3])
            raise ModelError(f"model {model.name}: weights {fault} ({some}); it would answer at random")
    hf = hf.to(device).eval().requires_grad_(False)
    with torch.inference_mode():
        probed = probe(hf)
    return Model(located, _wrap(hf, located), device), probed


def _wrap(hf: nn.Module, located: Located) -> Any:
    """The only place that knows the bridge's private builder."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
    from transformer_lens.model_bridge.sources._hf_format import determine_architecture_from_hf_config

    architecture = determine_architecture_from_hf_config(located.config)
    return build_bridge_from_module(hf, architecture, hf_config=located.config, model_name=located.folder.name)


def pick_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises ConfigError for a device that is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"model.device={name} is not available here: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
