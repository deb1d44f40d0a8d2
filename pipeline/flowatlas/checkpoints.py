"""Checkpoints in the Hugging Face format: finding one, refusing what would not be exact, reading its weights."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import nn

from flowatlas import adapters, devices, weight_files
from flowatlas.adapters import Adapter
from flowatlas.config import ModelConfig
from flowatlas.devices import pick_device
from flowatlas.errors import ConfigError, ModelError, UnsupportedModel
from flowatlas.families import Family, family_of
from flowatlas.hub import model_folder
from flowatlas.weight_files import UNQUANTISED, WeightFiles

__all__ = ["Located", "default_attention", "locate", "pick_device", "read", "weights_dtype"]

_DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16")}
_STORED = {"F32": "float32", "F64": "float64", "BF16": "bfloat16", "F16": "float16"}
_NO_LANGUAGE_MODEL = ("Classification", "QuestionAnswering", "RewardModel", "MaskedLM")

_TOKENIZER_FILES = (
    "tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model", "*.tiktoken",
    "chat_template*",
)  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A model that was found and passed every check that needs no weights."""

    name: str
    folder: Path
    config: Any  # transformers.PretrainedConfig
    family: Family
    weights: WeightFiles
    adapter: Adapter | None = None
    with_code: bool = False

    @property
    def max_tokens(self) -> int:
        """The longest prompt, BOS included."""
        return self.family.max_tokens(self.config)

    @property
    def rope_switch(self) -> int | None:
        """The length above which *all* of a batch is turned by other rotary frequencies (longrope), or None."""
        rope = getattr(self.config, "rope_parameters", None) or {}
        kinds = [rope, *(value for value in rope.values() if isinstance(value, dict))]
        found = [kind.get("original_max_position_embeddings") for kind in kinds if kind.get("rope_type") == "longrope"]
        return min((int(length) for length in found if length), default=None)

    @property
    def vocab_size(self) -> int:
        return int(self.config.vocab_size)

    @property
    def tokenizer_folder(self) -> Path:
        """The adapter's own tokenizer where it was saved with one (it may have the chat template), else the model's."""
        if self.adapter is not None and (self.adapter.folder / "tokenizer_config.json").is_file():
            return self.adapter.folder
        return self.folder

    def weights_hash(self) -> str:
        """sha256 over config.json, the weight files, an adapter, and the model's own code where that is trusted."""
        files = [self.folder / "config.json", *self.weights.files]
        if self.with_code:
            files += self.folder.rglob("*.py")
        if self.adapter is None:
            return _hash(files)
        return _hash([*files, self.adapter.weights], self.adapter.identity)

    def tokenizer_hash(self) -> str:
        """The same over the tokenizer's files: with another one the same text is another prompt."""
        return _hash([file for pattern in _TOKENIZER_FILES for file in self.tokenizer_folder.glob(pattern)])


def _hash(files: list[Path], more: bytes = b"") -> str:
    """Names and bytes, in order of name."""
    digest = hashlib.sha256()
    for file in sorted({file for file in files if file.is_file()}, key=lambda file: (file.name, file)):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    digest.update(more)
    return digest.hexdigest()


def locate(model: ModelConfig) -> Located:
    """Find a model and refuse what could not be computed exactly, before any weight is read.

    Raises ModelError when it, its adapter or the adapter's base is not there or holds no safetensors; UnsupportedModel
    for another family, quantised weights, and what is no language model.
    """
    folder = _folder(model.name, model.revision, model.trust_remote_code)
    if model.adapter is not None:
        named = adapters.read(model.adapter, _folder(model.adapter, None, False))
        return _located(f"{model.name} + {model.adapter}", folder, model, named)
    if not (folder / adapters.CONFIG).is_file():
        if model.base is not None:
            raise ConfigError(f"model.base={model.base} is for adapters, and model {model.name} is none: leave it out")
        return _located(model.name, folder, model, None)
    if (folder / "config.json").is_file() and list(folder.glob("model*.safetensors")):
        raise ModelError(
            f"model {model.name}: it holds a whole model and an adapter ({adapters.CONFIG}): move the adapter's files into "
            "a folder of their own, and give that as model.adapter= if it is to be merged"
        )
    adapter = adapters.read(model.name, folder)
    return _located(model.name, _base(adapter, model), model, adapter)


def _base(adapter: Adapter, model: ModelConfig) -> Path:
    named, revision = (model.base, None) if model.base else (adapter.base, adapter.config.get("revision"))
    try:
        return _folder(named, revision, model.trust_remote_code)
    except ModelError as error:
        raise ModelError(
            f"adapter {adapter.name}: its base model is not there ({error}); give one with model.base=FOLDER_OR_ID"
        ) from error


def _folder(name: str, revision: str | None, with_code: bool) -> Path:
    path = Path(name).expanduser()
    if path.exists() and not path.is_dir():
        raise ModelError(f"model {name} is a file; give the folder that holds config.json")
    return path if path.is_dir() else model_folder(name, revision, with_code)


def _located(name: str, folder: Path, model: ModelConfig, adapter: Adapter | None) -> Located:
    if adapter is not None and (folder / adapters.CONFIG).is_file():
        raise ModelError(
            f"adapter {adapter.name}: its base {folder} holds an adapter too; give a base with model.base="
        )
    raw = _raw_config(name, folder)
    _refuse_quantised(name, raw, adapter)
    heads = [str(head) for head in raw.get("architectures") or []]
    if heads and any(kind in heads[0] for kind in _NO_LANGUAGE_MODEL):
        raise UnsupportedModel(f"model {name}: it is a {heads[0]}, which predicts no next token; give a language model")
    config = _config(name, folder, raw["model_type"], model.trust_remote_code)
    family = family_of(name, config)
    weights = weight_files.find(name, folder)
    return Located(name, folder, config.get_text_config(), family, weights, adapter, model.trust_remote_code)


def _raw_config(name: str, folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        within = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = f"its folder {within[0]} has one" if within else "give a Hugging Face model folder or a hub id"
        raise ModelError(f"model {name}: no config.json in {folder}; {hint}")
    try:
        raw = json.loads(path.read_text())
        if not isinstance(raw["model_type"], str):
            raise TypeError("model_type is no word")
    except KeyError as error:
        raise ModelError(
            f"model {name}: its config.json names no {error.args[0]}; is it a language model's?"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"model {name}: its config.json cannot be read: {_first_line(error)}") from error
    return raw


def _refuse_quantised(name: str, raw: dict[str, Any], adapter: Adapter | None) -> None:
    quantisation = raw.get("quantization_config") or raw.get("compression_config")
    if not quantisation:
        return
    method = "compressed-tensors"
    if isinstance(quantisation, dict):
        bits = any(quantisation.get(key) for key in ("load_in_4bit", "load_in_8bit"))
        method = quantisation.get("quant_method") or ("bitsandbytes" if bits else "an unknown method")
    mend = f"{UNQUANTISED}{'' if adapter is None else ' with model.base='}"
    raise UnsupportedModel(f"model {name}: its weights are quantised ({method}); {mend}")


def _config(name: str, folder: Path, kind: str, with_code: bool) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING, AutoConfig

    if kind not in CONFIG_MAPPING:  # transformers would say so in ten lines: refused by name, like others
        family_of(name, SimpleNamespace(model_type=kind))
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=with_code)
    except (ValueError, TypeError, OSError, KeyError, ImportError, StrictDataclassError) as error:
        raise ModelError(f"model {name}: its config.json cannot be read: {_first_line(error)}") from error


def weights_dtype(located: Located, asked: str) -> str:
    """The dtype by name; `auto` is the checkpoint's own: what its config says, else that of most of its tensors."""
    if asked != "auto":
        return asked
    named = str(getattr(located.config, "dtype", None)).removeprefix("torch.")
    return named if named in _DTYPES else _STORED.get(located.weights.dtype, "float32")


def read(located: Located, model: ModelConfig) -> tuple[nn.Module, torch.device]:
    """The Hugging Face model with its weights, adapter merged, frozen, and the device of its input.

    Raises ModelError when weights are missing, do not fit together, or would not fit the devices.
    """
    dtype = _DTYPES[weights_dtype(located, model.dtype)]
    if model.device_map is None:
        device = pick_device(model.device)
        hf = _read(located, dtype, {})
        hf = hf.to(device)
    else:
        places = devices.device_map(located.name, located.folder, model, dtype)
        hf = _read(located, dtype, {"device_map": places})
        device = cast(Any, hf).get_input_embeddings().weight.device
    if located.adapter is not None:
        hf = adapters.merge(hf, located.adapter)
    if located.family.doubled_bias is not None:
        _once(hf, located.family.doubled_bias)
    return hf.eval().requires_grad_(False), device


def _once(hf: nn.Module, argument: str) -> None:
    """Take a position bias out of the blocks' arguments: eager attention would add it to what the mask holds."""

    def without(
        block: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if given.get(argument) is not None and cast(Any, hf).config._attn_implementation == "eager":
            given[argument] = torch.zeros_like(given[argument])
        return args, given

    for module in hf.modules():
        if isinstance(module, nn.ModuleList):
            for block in module:
                block.register_forward_pre_hook(without, with_kwargs=True)


@contextmanager
def default_attention(hf: Any) -> Iterator[None]:
    """Inside, the model attends as transformers does unless asked otherwise: what "the same as Hugging Face" means.

    Not in half precision, where the two round differently and a router may choose other experts for it.
    """
    changed = hf.dtype not in (torch.float16, torch.bfloat16) and attend_by_default(hf)
    try:
        yield
    finally:
        if changed:
            _attend(hf, "eager")


def attend_by_default(hf: Any) -> bool:
    """Let the model attend as transformers does unless asked otherwise, as it was not loaded; returns whether it can."""
    can = bool(getattr(hf, "_supports_sdpa", False))
    if can:
        _attend(hf, "sdpa")
    return can


def _attend(hf: nn.Module, how: str) -> None:
    for config in {id(module.config): module.config for module in hf.modules() if hasattr(module, "config")}.values():
        cast(Any, config)._attn_implementation = how


def _read(located: Located, dtype: torch.dtype, places: dict[str, Any]) -> nn.Module:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        hf, info = cast(Any, AutoModelForCausalLM).from_pretrained(
            located.folder,
            dtype=dtype,
            attn_implementation="eager",  # the pattern is an output only here
            use_safetensors=True,
            trust_remote_code=located.with_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are told below, and by name
            **places,
        )
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"model {located.name}: its weights cannot be read ({_first_line(error)}); is the download complete?"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"model {located.name}: its config and weights do not go together: {_first_line(error)}"
        ) from error
    for key, fault in (("missing_keys", "are missing from its files"), ("mismatched_keys", "do not fit its config")):
        if info[key]:
            some = ", ".join(sorted(str(k[0] if isinstance(k, tuple) else k) for k in info[key])[:3])
            raise ModelError(f"model {located.name}: weights {fault} ({some}); it would answer at random")
    return hf


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
