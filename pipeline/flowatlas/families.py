"""The one table of model families: what their equations are, as far as the analysis must know.

Each entry is data; one code path reads it (`models`, `activations`, `guard`) and nothing else asks for a model by name.
The equations themselves stand in docs/method.md; whatever a family does otherwise than its entry says, the guard finds.
"""

from dataclasses import dataclass
from typing import Any, Literal

from flowatlas.errors import UnsupportedModel


@dataclass(frozen=True)
class Family:
    """What the one code path must know about an architecture.

    layer_norm           the final norm is a LayerNorm (centred), else an RMSNorm
    norm_offset          norms multiply by this + their weight (Gemma: 1)
    norm_eps             epsilon of the final norm where its module carries none
    parallel             attention and MLP read the same node and are added together; or the config key that decides
    post_norms           norms between a block's output and the residual, as the bridge names them: after attention, after the
                         MLP; None where there is none
    residual_multiplier  config key of what every output is multiplied by before it is added to the residual
    logit_multiplier     config key of what the logits are multiplied by
    logit_divisor        config key of what they are divided by
    soft_cap             config key of c in logits = c tanh(logits / c)
    experts              name of the layout in which `experts` finds the neurons of a mixture; None where every MLP is dense
    level                "block" where the neurons of a mixture (of every MLP, if there is none) cannot be told apart
    fixed                config values without which its equations differ from this entry
    """

    layer_norm: bool
    norm_offset: float = 0.0
    norm_eps: float | None = None
    parallel: bool | str = False
    post_norms: tuple[str | None, str | None] = (None, None)
    residual_multiplier: str | None = None
    logit_multiplier: str | None = None
    logit_divisor: str | None = None
    soft_cap: str | None = None
    experts: str | None = None
    level: Literal["neuron", "block"] = "neuron"
    fixed: tuple[tuple[str, Any], ...] = ()

    def is_parallel(self, config: Any) -> bool:
        """Whether the blocks of a model of this config are parallel."""
        return bool(getattr(config, self.parallel)) if isinstance(self.parallel, str) else self.parallel


_POST_NORMS = ("ln1_post", "ln2_post")

FAMILIES: dict[str, Family] = {
    "gpt2": Family(layer_norm=True, fixed=(("add_cross_attention", False),)),
    "llama": Family(layer_norm=False),
    "mistral": Family(layer_norm=False),
    "qwen2": Family(layer_norm=False),
    "gpt_neox": Family(layer_norm=True, parallel="use_parallel_residual"),
    "gemma2": Family(layer_norm=False, norm_offset=1.0, post_norms=_POST_NORMS, soft_cap="final_logit_softcapping"),
    "granite": Family(layer_norm=False, residual_multiplier="residual_multiplier", logit_divisor="logits_scaling"),
    "cohere": Family(layer_norm=True, parallel=True, logit_multiplier="logit_scale"),
}

# Families that are known not to be exact, and why; an unknown one is refused all the same, without a reason.
REFUSED: dict[str, str] = {}


def family_of(name: str, config: Any) -> Family:
    """The family of a Hugging Face config. Raises UnsupportedModel where its equations would not be exact."""
    kind = config.model_type
    if kind in REFUSED:
        raise UnsupportedModel(f"model {name}: family {kind} is not supported: {REFUSED[kind]}")
    family = FAMILIES.get(kind)
    if family is None:
        raise UnsupportedModel(f"model {name}: family {kind} is not supported; supported: {', '.join(FAMILIES)}")
    if getattr(config, "quantization_config", None) is not None:
        raise UnsupportedModel(f"model {name}: quantised weights are not supported; give the original checkpoint")
    for key, value in family.fixed:
        if getattr(config, key, value) != value:
            raise UnsupportedModel(f"model {name}: {kind} with {key}={getattr(config, key)} is not supported")
    return family
