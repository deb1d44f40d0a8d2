"""Small models with random weights, biases and norms, saved in the Hugging Face format as a user would have them."""

import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig

from small_tokenizers import byte_level
from tiny_configs import CONFIGS

__all__ = ["CONFIGS", "GOLDEN", "make_model", "save_model"]

GOLDEN = Path(__file__).parent / "golden"


def make_model(folder: Path, family: str, seed: int = 0, scale: float = 0.15) -> Path:
    """Save a model of `family` (a key of CONFIGS) whose every parameter is random, with a word-level tokenizer."""
    config = CONFIGS[family]()
    config.bos_token_id = config.eos_token_id = 0
    return save_model(folder, config, seed, scale)


def save_model(folder: Path, config: PretrainedConfig, seed: int = 0, scale: float = 0.15) -> Path:
    torch.manual_seed(seed)
    kind = AutoModelForImageTextToText if "vision_config" in config.sub_configs else AutoModelForCausalLM
    model = kind.from_config(config)
    with torch.no_grad():
        for tensor in model.state_dict().values():  # with the buffers that are saved: a router's correction is one
            if tensor.is_floating_point():
                # What starts as all ones or zeros (norms, biases) is drawn around that; norms of 1 + w start at 0.
                neutral = tensor.mean().round() if tensor.ndim == 1 else 0.0
                tensor.copy_(torch.randn_like(tensor) * scale + neutral)
    model.save_pretrained(folder)
    if config.model_type == "qwen2":  # read as byte-level, whatever its files say
        byte_level().save_pretrained(folder)
        return folder
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(GOLDEN / "gpt2_tiny" / "model" / file, folder / file)
    return folder
