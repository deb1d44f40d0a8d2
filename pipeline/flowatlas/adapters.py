"""LoRA adapters in peft's format: finding one, refusing what cannot be merged, merging it into its base at load.

Merging is peft's own work (an optional extra), so that every kind of LoRA that it writes (rank patterns, DoRA, modules saved
whole, experts' parameters) means what it meant in training. After it the model is one of its family like any other: the
routes are those of the merged weights, in `model.dtype`.
"""

import contextlib
import importlib.util
import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from flowatlas import weight_files
from flowatlas.errors import ModelError, UnsupportedModel
from flowatlas.weight_files import ADAPTER

CONFIG = "adapter_config.json"
_PLACE = ("base_model_name_or_path", "revision")  # where the base is to be found: says nothing about the adapter itself


@dataclass(frozen=True)
class Adapter:
    """An adapter that passed every check that needs no base model."""

    name: str
    folder: Path
    config: dict[str, Any]

    @property
    def base(self) -> str:
        """The base model that its config names: a folder (also beside the adapter) or a hub id. Raises ModelError."""
        named = self.config.get("base_model_name_or_path")
        if not named:
            raise ModelError(f"adapter {self.name}: its {CONFIG} names no base model: give it with model.base=")
        beside = self.folder / str(named)
        return str(beside) if not Path(str(named)).exists() and beside.is_dir() else str(named)

    @property
    def identity(self) -> bytes:
        """Its config without the place of the base, which may lie elsewhere on another machine."""
        kept = {key: value for key, value in self.config.items() if key not in _PLACE}
        return json.dumps(kept, sort_keys=True).encode()

    @property
    def weights(self) -> Path:
        return self.folder / ADAPTER


def read(name: str, folder: Path) -> Adapter:
    """Raises ModelError for files that are missing, pickled or damaged, or when peft is not installed;
    UnsupportedModel for an adapter that is no LoRA of a language model."""
    try:
        config = json.loads((folder / CONFIG).read_text())
        kind, task = config["peft_type"], config.get("task_type")
    except FileNotFoundError as error:
        raise ModelError(f"adapter {name}: no {CONFIG} in {folder}; give a folder that peft has saved") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"adapter {name}: its {CONFIG} cannot be read; is the download complete?") from error
    if kind != "LORA" or config.get("alora_invocation_tokens"):
        what = "an activated LoRA" if kind == "LORA" else f"of the kind {kind}"
        raise UnsupportedModel(f"adapter {name}: it is {what}, which cannot be merged into weights; LORA can")
    if task not in (None, "CAUSAL_LM"):
        raise UnsupportedModel(f"adapter {name}: it was trained for {task}; only CAUSAL_LM predicts a next token")
    if not (folder / ADAPTER).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        but = ", but adapter_model.bin: pickled weights are not read" if pickled else ""
        raise ModelError(f"adapter {name}: no {ADAPTER} in {folder}{but}; save it with a newer peft")
    weight_files.read_headers(name, [folder / ADAPTER])
    if importlib.util.find_spec("peft") is None:
        raise ModelError(f"adapter {name}: merging it needs the peft library: pip install 'flowatlas[lora]'")
    return Adapter(name, folder, config)


def merge(hf: nn.Module, adapter: Adapter) -> nn.Module:
    """The base model with the adapter in its weights. Raises ModelError when the two do not go together."""
    from peft import PeftConfig, get_peft_model

    _untie(hf, adapter)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # what they warn of is refused below, or is about training
        try:
            config = PeftConfig.from_pretrained(str(adapter.folder))
            config.inference_mode = True
            wrapped: Any = get_peft_model(cast(Any, hf), config)
            loaded = wrapped.load_adapter(str(adapter.folder), "default", torch_device=_device(hf))
            strange = [*loaded.missing_keys, *loaded.unexpected_keys]
            if not strange:
                return wrapped.merge_and_unload(safe_merge=True)
        except (RuntimeError, ValueError, TypeError, KeyError, NotImplementedError) as error:
            why = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error))
            raise _unfit(adapter, " ".join(why.split())) from error
    raise _unfit(adapter, f"{len(strange)} of its tensors and the base's modules do not match, such as {strange[0]}")


def _unfit(adapter: Adapter, why: str) -> ModelError:
    return ModelError(
        f"adapter {adapter.name}: it does not fit its base model ({why}); give the one it was trained on with model.base="
    )


def _untie(hf: Any, adapter: Adapter) -> None:
    """Where embedding and head are one tensor, an adapter of one of them would be merged into both."""
    head: Any = hf.get_output_embeddings()
    if head.weight is hf.get_input_embeddings().weight and not adapter.config.get("ensure_weight_tying"):
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)


def _device(hf: nn.Module) -> str:
    return str(next(hf.parameters()).device)
