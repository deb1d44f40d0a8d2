"""Small models with random weights, biases and norms, saved in the Hugging Face format as a user would have them."""

import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

GOLDEN = Path(__file__).parent / "golden"
N_TOKENS = 500  # the golden GPT-2's word-level vocabulary

_SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 64}
_GATED = {**_SIZES, "num_key_value_heads": 2, "intermediate_size": 48, "tie_word_embeddings": False}

FAMILIES = {
    "gpt2": lambda: GPT2Config(vocab_size=N_TOKENS, n_embd=32, n_layer=3, n_head=4, n_positions=64),
    "llama": lambda: LlamaConfig(vocab_size=N_TOKENS, **_GATED),
    "llama_biased": lambda: LlamaConfig(vocab_size=N_TOKENS, attention_bias=True, mlp_bias=True, **_GATED),
    "llama_odd_head": lambda: LlamaConfig(vocab_size=N_TOKENS, head_dim=12, **_GATED),
    "mistral": lambda: MistralConfig(vocab_size=N_TOKENS, sliding_window=6, **_GATED),
    "qwen2": lambda: Qwen2Config(vocab_size=N_TOKENS, **_GATED),
}


def make_model(folder: Path, family: str, seed: int = 0, scale: float = 0.15) -> Path:
    """Save a model of `family` whose every parameter is random (norm weights around 1), with a word-level tokenizer."""
    torch.manual_seed(seed)
    config = FAMILIES[family]()
    config.bos_token_id = config.eos_token_id = 0
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(torch.randn_like(parameter) * scale + (1 if is_norm else 0))
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(GOLDEN / "gpt2_tiny" / "model" / file, folder / file)
    return folder
