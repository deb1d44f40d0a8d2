"""Small configurations of every model family: two or three layers, grouped queries, odd head sizes, short windows.

The key is the family's name, or name_variant where one family has several equations; the value makes its config.
"""

from collections.abc import Callable
from typing import Any

import transformers as hf
from transformers import PretrainedConfig

N_TOKENS = 500  # the golden GPT-2's word-level vocabulary
N_CONTEXT = 64

_VOCAB: dict[str, Any] = {"vocab_size": N_TOKENS}
_SIZES: dict[str, Any] = {
    **_VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": N_CONTEXT,
}
_TWO: dict[str, Any] = {**_SIZES, "num_hidden_layers": 2}
_GATED = {**_SIZES, "num_key_value_heads": 2, "intermediate_size": 48, "tie_word_embeddings": False}
_GATED_TWO = {**_GATED, "num_hidden_layers": 2}
_GPT2_NAMES = {**_VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": N_CONTEXT}
_MPT = {**_VOCAB, "d_model": 32, "n_layers": 2, "n_heads": 4, "expansion_ratio": 2, "max_seq_len": N_CONTEXT}
_SLIDING = ["sliding_attention", "full_attention"]
_EXPERTS = {**_GATED_TWO, "num_experts_per_tok": 2}


def _with(config: Callable[..., Any], *shared: dict[str, Any], **own: Any) -> Callable[[], PretrainedConfig]:
    """A maker of configs: the family's class with shared and own settings; a fresh config at every call."""
    settings = {key: value for some in (*shared, own) for key, value in some.items()}
    return lambda: config(**settings)


SEQUENTIAL = {
    "gpt2": _with(hf.GPT2Config, _GPT2_NAMES, n_layer=3),
    "gpt_neo": _with(hf.GPTNeoConfig, _VOCAB, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=64,
                     attention_types=[[["global", "local"], 1]], window_size=6, intermediate_size=48),
    "opt": _with(hf.OPTConfig, _TWO, ffn_dim=48, word_embed_proj_dim=32),
    "opt_unbiased": _with(hf.OPTConfig, _TWO, ffn_dim=48, enable_bias=False),
    "gpt_neox_sequential": _with(hf.GPTNeoXConfig, _TWO, intermediate_size=48, use_parallel_residual=False),
    "bloom": _with(hf.BloomConfig, _VOCAB, hidden_size=32, n_layer=2, n_head=4),
    "mpt": _with(hf.MptConfig, _MPT),
    "mpt_clipped": _with(hf.MptConfig, _MPT, attn_config={"clip_qkv": 0.4}),
    "gpt_bigcode": _with(hf.GPTBigCodeConfig, _GPT2_NAMES),
    "falcon_rw": _with(hf.FalconConfig, _TWO, parallel_attn=False, multi_query=False, alibi=True, bias=True),
    "llama": _with(hf.LlamaConfig, _GATED),
    "llama_biased": _with(hf.LlamaConfig, _GATED, attention_bias=True, mlp_bias=True),
    "llama_odd_head": _with(hf.LlamaConfig, _GATED, head_dim=12),
    "llama_tied": _with(hf.LlamaConfig, {**_GATED_TWO, "tie_word_embeddings": True}),
    "mistral": _with(hf.MistralConfig, _GATED, sliding_window=6),
    "qwen2": _with(hf.Qwen2Config, _GATED),
    "qwen2_sliding": _with(hf.Qwen2Config, _GATED, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen3": _with(hf.Qwen3Config, _GATED_TWO, head_dim=12),
    "gemma": _with(hf.GemmaConfig, _GATED_TWO, head_dim=12),
    "phi3": _with(hf.Phi3Config, _GATED_TWO, sliding_window=6, pad_token_id=0),
    "olmo": _with(hf.OlmoConfig, _GATED_TWO),
    "olmo_clipped": _with(hf.OlmoConfig, _GATED_TWO, clip_qkv=0.4),
    "glm": _with(hf.GlmConfig, _GATED_TWO, head_dim=12, pad_token_id=0),
    "smollm3": _with(hf.SmolLM3Config, _GATED_TWO, no_rope_layer_interval=2, pad_token_id=0),
    "stablelm": _with(hf.StableLmConfig, _GATED_TWO, use_qkv_bias=True),
    "stablelm_qk_norm": _with(hf.StableLmConfig, _GATED_TWO, qk_layernorm=True),
    "starcoder2": _with(hf.Starcoder2Config, _GATED_TWO, sliding_window=6),
    "nemotron": _with(hf.NemotronConfig, _GATED_TWO),
    "nemotron_biased": _with(hf.NemotronConfig, _GATED_TWO, attention_bias=True, mlp_bias=True),
    "xglm": _with(hf.XGLMConfig, _VOCAB, d_model=32, num_layers=2, attention_heads=4, ffn_dim=48,
                  max_position_embeddings=N_CONTEXT),
}  # fmt: skip

PARALLEL = {
    "gpt_neox": _with(hf.GPTNeoXConfig, _SIZES, intermediate_size=48),
    "gptj": _with(hf.GPTJConfig, _GPT2_NAMES, rotary_dim=4),
    "phi": _with(hf.PhiConfig, _GATED_TWO),
    "falcon": _with(hf.FalconConfig, _TWO),
    "cohere": _with(hf.CohereConfig, _GATED_TWO, logit_scale=0.25),
    "cohere_qk_norm": _with(hf.CohereConfig, _GATED_TWO, use_qk_norm=True, attention_bias=True),
    "cohere2": _with(hf.Cohere2Config, _GATED_TWO, logit_scale=0.25, sliding_window=5, layer_types=_SLIDING),
    "stablelm_parallel": _with(hf.StableLmConfig, _GATED_TWO, use_parallel_residual=True),
}

POST_NORM = {
    "gemma2": _with(hf.Gemma2Config, _GATED_TWO, head_dim=12, sliding_window=5, query_pre_attn_scalar=12,
                    final_logit_softcapping=3.0, attn_logit_softcapping=2.0),
    "gemma3_text": _with(hf.Gemma3TextConfig, _GATED_TWO, head_dim=12, sliding_window=5, layer_types=_SLIDING,
                         query_pre_attn_scalar=12),
    "gemma3_text_capped": _with(hf.Gemma3TextConfig, _GATED_TWO, head_dim=12, sliding_window=5, layer_types=_SLIDING,
                                final_logit_softcapping=3.0),
    "olmo2": _with(hf.Olmo2Config, _GATED_TWO),
    "olmo3": _with(hf.Olmo3Config, _GATED_TWO, sliding_window=5, layer_types=_SLIDING),
    "glm4": _with(hf.Glm4Config, _GATED_TWO, head_dim=12, pad_token_id=0),
    "exaone4": _with(hf.Exaone4Config, _GATED_TWO, sliding_window=5, sliding_window_pattern=2),
}  # fmt: skip

SCALED = {
    "granite": _with(hf.GraniteConfig, _GATED_TWO, embedding_multiplier=3.0, logits_scaling=4.0,
                     residual_multiplier=0.3, attention_multiplier=0.2),
    "granite_biased": _with(hf.GraniteConfig, _GATED_TWO, attention_bias=True, mlp_bias=True, residual_multiplier=0.3),
}  # fmt: skip

EXPERTS = {
    "mixtral": _with(hf.MixtralConfig, _EXPERTS, num_local_experts=4, sliding_window=6),
    "qwen2_moe": _with(hf.Qwen2MoeConfig, _EXPERTS, num_experts=4, moe_intermediate_size=24,
                       shared_expert_intermediate_size=40, mlp_only_layers=[1], num_hidden_layers=3),
    "qwen3_moe": _with(hf.Qwen3MoeConfig, _EXPERTS, num_hidden_layers=3, decoder_sparse_step=2, head_dim=12,
                       num_experts=4, moe_intermediate_size=24, norm_topk_prob=True),
    "mixtral_all": _with(hf.MixtralConfig, {**_EXPERTS, "num_experts_per_tok": 3}, num_local_experts=3),
    "olmoe": _with(hf.OlmoeConfig, _EXPERTS, num_experts=4, clip_qkv=0.4),
    "granitemoe": _with(hf.GraniteMoeConfig, _EXPERTS, num_local_experts=4, embedding_multiplier=3.0,
                        logits_scaling=4.0, residual_multiplier=0.3, attention_multiplier=0.2),
}  # fmt: skip

BLOCK_LEVEL = {
    "gpt_oss": _with(hf.GptOssConfig, _EXPERTS, head_dim=12, num_local_experts=4, sliding_window=5),
    "llama4_text": _with(hf.Llama4TextConfig, _EXPERTS, head_dim=12, intermediate_size_mlp=40, num_local_experts=4,
                         num_hidden_layers=3, num_experts_per_tok=1, interleave_moe_layer_step=2,
                         attention_chunk_size=16, no_rope_layer_interval=2),
    "deepseek_v3": _with(hf.DeepseekV3Config, {**_EXPERTS, "num_key_value_heads": 4}, moe_intermediate_size=24,
                         n_routed_experts=8, n_shared_experts=2, n_group=2, topk_group=1, num_hidden_layers=3,
                         kv_lora_rank=10, q_lora_rank=14, qk_rope_head_dim=4, qk_nope_head_dim=6, v_head_dim=12,
                         first_k_dense_replace=1, num_mtp_layers=0),
}  # fmt: skip

_EYE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14}  # fmt: skip
_IMAGE_TOKENS = {"image_token_index": 499, "boi_token_index": 498, "eoi_token_index": 497}

# Checkpoints of models that can also see: their text part is what is analysed.
MULTIMODAL = {
    "gemma3": _with(hf.Gemma3Config, _IMAGE_TOKENS, mm_tokens_per_image=4, vision_config=_EYE,
                    text_config=POST_NORM["gemma3_text"]().to_dict()),
    "llama4": _with(hf.Llama4Config, _IMAGE_TOKENS, text_config=BLOCK_LEVEL["llama4_text"]().to_dict(),
                    vision_config={**_EYE, "intermediate_size": 64, "vision_output_dim": 32,
                                   "projector_input_dim": 32, "projector_output_dim": 32}),
}  # fmt: skip

CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    **SEQUENTIAL, **PARALLEL, **POST_NORM, **SCALED, **EXPERTS, **BLOCK_LEVEL, **MULTIMODAL,
}  # fmt: skip
