"""Checkpoints in the Hugging Face format: finding one, refusing what would not be exact, reading its weights."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from flowatlas.config import ModelConfig
from flowatlas.errors import ConfigError, ModelError
from flowatlas.families import Family, family_of

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
        return self.family.max_tokens(self.config)

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
    family = family_of(model.name, config)
    return Located(model.name, folder, config.get_text_config(), family)


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


def read(located: Located, model: ModelConfig) -> tuple[nn.Module, torch.device]:
    """The Hugging Face model with its weights, frozen, on its device. Raises ModelError when weights are missing."""
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
    return hf.to(device).eval().requires_grad_(False), device


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
