"""The one table of model families: what their equations are, as far as the analysis must know.

Each entry is data; one code path reads it (`models`, `activations`, `guard`) and nothing else asks for a model by name.
The equations themselves stand in docs/method.md; whatever a family does otherwise than its entry says, the guard finds.
"""

from dataclasses import dataclass
from typing import Any, Literal

from flowatlas.errors import UnsupportedModel


@dataclass(frozen=True)
class Experts:
    """Where a mixture keeps its experts: names inside the block's Hugging Face module, and hooks of its router.

    routed       holds every routed expert's `gate_up_proj` and `down_proj`
    shared       the expert that every token goes through, or None
    shared_gate  what it is multiplied by, before a sigmoid, or None
    weights      hook of the router's weights [token, expert] or [token, rank]
    indices      hook of the experts that it chose [token, rank]
    """

    routed: str = "experts"
    shared: str | None = None
    shared_gate: str | None = None
    weights: str = "mlp.gate.hook_expert_weights"
    indices: str = "mlp.gate.hook_expert_indices"


@dataclass(frozen=True)
class SameAs:
    """The value that another key of the same config has."""

    key: str


@dataclass(frozen=True)
class Fixed:
    """A config key that must be absent or have this value, and what is wrong otherwise. `a.b` is key b of section a."""

    key: str
    value: Any
    reason: str

    def refuses(self, config: Any) -> bool:
        wanted = setting(config, self.value.key) if isinstance(self.value, SameAs) else self.value
        return setting(config, self.key) not in (None, wanted)


def setting(config: Any, key: str) -> Any:
    """A config's value by its dotted key; None where it is absent."""
    for name in key.split("."):
        config = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
    return config


@dataclass(frozen=True)
class Family:
    """What the one code path must know about an architecture.

    known_as             models of this family, for people
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
    value_clip           config key of the bound that values are cut at after their projection (queries and keys too)
    values_by_head       the values' hook has the heads before the positions
    doubled_bias         argument of its blocks that eager attention adds to the scores although the mask holds it already
    experts              where a mixture keeps its experts; None where every MLP is dense or they cannot be told apart
    level                "block" where the neurons of a mixture (of every MLP, if there is none) cannot be told apart
    context              config key of the longest prompt, and the length where a config lacks it
    fixed                config values without which its equations differ from this entry
    """

    known_as: str
    layer_norm: bool
    norm_offset: float = 0.0
    norm_eps: float | None = None
    parallel: bool | str = False
    post_norms: tuple[str | None, str | None] = (None, None)
    residual_multiplier: str | None = None
    logit_multiplier: str | None = None
    logit_divisor: str | None = None
    soft_cap: str | None = None
    value_clip: str | None = None
    values_by_head: bool = False
    doubled_bias: str | None = None
    experts: Experts | None = None
    level: Literal["neuron", "block"] = "neuron"
    context: tuple[str, int] = ("max_position_embeddings", 2048)
    fixed: tuple[Fixed, ...] = ()

    def is_parallel(self, config: Any) -> bool:
        """Whether the blocks of a model of this config are parallel."""
        return bool(getattr(config, self.parallel)) if isinstance(self.parallel, str) else self.parallel

    def max_tokens(self, config: Any) -> int:
        """The longest prompt that a model of this config takes."""
        key, fallback = self.context
        return int(setting(config, key) or fallback)


_POST_NORMS = ("ln1_post", "ln2_post")
_NO_CROSS = Fixed("add_cross_attention", False, "its blocks would have a second attention, to an encoder")
_SCALED = Fixed(
    "scale_attn_weights", True, "the bridge divides attention scores by the root of the head size all the same"
)
_CAUSAL = Fixed(
    "use_bidirectional_attention", False, "tokens would see the future; routes are walked from later to earlier"
)
_GRANITE: dict[str, Any] = {"residual_multiplier": "residual_multiplier", "logit_divisor": "logits_scaling"}

_SEQUENTIAL = {
    "gpt2": Family("GPT-2", layer_norm=True, fixed=(_NO_CROSS, _SCALED)),
    "gpt_neo": Family("GPT-Neo", layer_norm=True),
    "gpt_bigcode": Family(
        "SantaCoder, StarCoder",
        layer_norm=True,
        fixed=(
            _NO_CROSS,
            _SCALED,
            Fixed("multi_query", True, "the bridge knows one key and value head for all, not one for each"),
        ),
    ),
    "opt": Family(
        "OPT",
        layer_norm=True,
        fixed=(
            Fixed("do_layer_norm_before", True, "its norms stand on the residual stream itself, which then is no sum"),
            Fixed("word_embed_proj_dim", SameAs("hidden_size"), "it projects the residual stream before unembedding"),
            Fixed("_remove_final_layer_norm", False, "it unembeds without a final norm"),
        ),
    ),
    "xglm": Family("XGLM", layer_norm=True, fixed=(_NO_CROSS,)),
    "bloom": Family(
        "BLOOM, BLOOMZ",
        layer_norm=True,
        context=("seq_length", 2048),
        fixed=(
            Fixed(
                "apply_residual_connection_post_layernorm",
                False,
                "a norm stands on the residual stream, which is no sum",
            ),
            Fixed("slow_but_exact", False, "the bridge computes its output projections otherwise"),
        ),
    ),
    "mpt": Family("MPT", layer_norm=True, context=("max_seq_len", 2048), value_clip="attn_config.clip_qkv"),
    "llama": Family("Llama 1 to 3, TinyLlama, SmolLM", layer_norm=False),
    "mistral": Family("Mistral", layer_norm=False),
    "qwen2": Family("Qwen 1.5, 2 and 2.5", layer_norm=False),
    "qwen3": Family("Qwen 3", layer_norm=False),
    "phi3": Family("Phi-3, Phi-4", layer_norm=False),
    "smollm3": Family("SmolLM 3", layer_norm=False),
    "glm": Family("GLM-4 9B", layer_norm=False),
    "starcoder2": Family("StarCoder 2", layer_norm=True),
    "gemma": Family("Gemma", layer_norm=False, norm_offset=1.0, fixed=(_CAUSAL,)),
    "nemotron": Family("Nemotron, Minitron", layer_norm=True, norm_offset=1.0),
    "olmo": Family("OLMo", layer_norm=True, norm_eps=1e-5, value_clip="clip_qkv"),
    "granite": Family("Granite 3", layer_norm=False, **_GRANITE),
}

_PARALLEL = {
    "gpt_neox": Family(
        "Pythia, GPT-NeoX",
        layer_norm=True,
        parallel="use_parallel_residual",
        fixed=(Fixed("attention_bias", True, "the bridge takes its fused projection apart together with its bias"),),
    ),
    "gptj": Family("GPT-J", layer_norm=True, parallel=True),
    "phi": Family(
        "Phi-1, 1.5 and 2",
        layer_norm=True,
        parallel=True,
        fixed=(Fixed("qk_layernorm", False, "the bridge leaves the norms of queries and keys out"),),
    ),
    "falcon": Family(
        "Falcon 7B, Falcon RW",
        layer_norm=True,
        parallel="parallel_attn",
        doubled_bias="alibi",
        fixed=(
            Fixed(
                "new_decoder_architecture", False, "the bridge takes its fused projection apart wrongly: logits are off"
            ),
            Fixed("num_ln_in_parallel_attn", 1, "attention and MLP read different norms, which the bridge mixes up"),
        ),
    ),
    "stablelm": Family("StableLM", layer_norm=True, parallel="use_parallel_residual"),
    "cohere": Family("Command R", layer_norm=True, parallel=True, logit_multiplier="logit_scale"),
    "cohere2": Family("Command R7B, Command A", layer_norm=True, parallel=True, logit_multiplier="logit_scale"),
}

_POST_NORM = {
    "gemma2": Family(
        "Gemma 2",
        layer_norm=False,
        norm_offset=1.0,
        post_norms=_POST_NORMS,
        soft_cap="final_logit_softcapping",
        fixed=(_CAUSAL,),
    ),
    "gemma3_text": Family(
        "Gemma 3",
        layer_norm=False,
        norm_offset=1.0,
        post_norms=_POST_NORMS,
        soft_cap="final_logit_softcapping",
        fixed=(_CAUSAL, Fixed("attn_logit_softcapping", None, "the bridge caps scores that Hugging Face does not")),
    ),
    "olmo2": Family("OLMo 2", layer_norm=False, post_norms=_POST_NORMS),
    "olmo3": Family("OLMo 3", layer_norm=False, post_norms=_POST_NORMS),
    "glm4": Family("GLM-4 0414", layer_norm=False, post_norms=_POST_NORMS),
    "exaone4": Family("EXAONE 4", layer_norm=False, post_norms=_POST_NORMS),
}

_MIXTURES = {
    "mixtral": Family("Mixtral", layer_norm=False, experts=Experts()),
    "qwen2_moe": Family(
        "Qwen 1.5 and 2 MoE",
        layer_norm=False,
        experts=Experts(shared="shared_expert", shared_gate="shared_expert_gate"),
    ),
    "qwen3_moe": Family("Qwen 3 MoE", layer_norm=False, experts=Experts()),
    "olmoe": Family("OLMoE", layer_norm=False, experts=Experts(), value_clip="clip_qkv"),
    # The bridge takes this router's answer in another order than it is given: the choice comes by as its output.
    "granitemoe": Family(
        "Granite 3 MoE, PowerMoE", layer_norm=False, experts=Experts(indices="mlp.gate.hook_out"), **_GRANITE
    ),
    "gpt_oss": Family("gpt-oss", layer_norm=False, level="block"),
    "llama4_text": Family("Llama 4", layer_norm=False, level="block"),
    "deepseek_v3": Family("DeepSeek V3, R1", layer_norm=False, level="block", values_by_head=True),
}

FAMILIES: dict[str, Family] = {**_SEQUENTIAL, **_PARALLEL, **_POST_NORM, **_MIXTURES}

# Checkpoints that can also see: their text part, a model of a family of its own, is what is analysed.
TEXT_PARTS = {"gemma3": "gemma3_text", "llama4": "llama4_text"}

_STATE = "its layers keep a recurrent state: there are no attention weights to take apart"
_MIXED = "some of its layers keep a recurrent state or attend linearly: there are no attention weights to take apart"
_SIDE = "its layers also add gated embeddings of their own and rescale the residual stream, which is no plain sum"

# Families that are known not to be exact, and why; an unknown one is refused all the same, without a reason.
REFUSED: dict[str, str] = {
    **dict.fromkeys(("gemma4", "gemma4_text", "gemma4_unified", "gemma4_unified_text", "gemma3n", "gemma3n_text"), _SIDE),
    **dict.fromkeys(("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm"), _STATE),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "kimi_linear", "minimax",
         "bailing_hybrid", "jamba", "bamba", "zamba", "zamba2", "nemotron_h", "granitemoehybrid", "falcon_h1",
         "recurrent_gemma", "lfm2", "lfm2_moe", "olmo_hybrid"),
        _MIXED,
    ),
    **dict.fromkeys(("t5", "bart", "mbart", "marian", "pegasus"), "it has an encoder, and attends to it"),
    **dict.fromkeys(("bert", "roberta", "electra", "modernbert"), "it does not predict the next token"),
}  # fmt: skip


def family_of(name: str, config: Any) -> Family:
    """The family of a Hugging Face config. Raises UnsupportedModel where its equations would not be exact."""
    kind: str = config.model_type
    if kind in REFUSED:
        raise UnsupportedModel(f"model {name}: family {kind} is not supported: {REFUSED[kind]}")
    family = FAMILIES.get(TEXT_PARTS.get(kind, kind))
    if family is None:
        raise UnsupportedModel(f"model {name}: family {kind} is not supported; supported: {', '.join(FAMILIES)}")
    text = config.get_text_config() if kind in TEXT_PARTS else config
    for fixed in family.fixed:
        if fixed.refuses(text):
            is_ = f"{fixed.key}={setting(text, fixed.key)}"
            raise UnsupportedModel(f"model {name}: {kind} with {is_} is not supported: {fixed.reason}")
    return family
