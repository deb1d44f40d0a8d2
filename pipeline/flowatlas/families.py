"""The one table of model families: what their equations are, as far as the analysis must know."""

from dataclasses import dataclass
from typing import Any

from flowatlas.errors import UnsupportedModel


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


def family_of(name: str, config: Any) -> Family:
    """The family of a Hugging Face config. Raises UnsupportedModel where its equations would not be exact."""
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
