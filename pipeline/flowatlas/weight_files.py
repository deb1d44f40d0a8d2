"""Which files hold a checkpoint's weights, and are they whole? Read from their headers alone, before any weight is.

A safetensors file begins with the length of a JSON header (8 bytes, little endian), then that header: each tensor's dtype,
shape and place. So a download that was cut off, a shard that is missing, quantised tensors and adapters that were never
merged are told before minutes of loading.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowatlas.errors import ModelError, UnsupportedModel

WEIGHTS, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MAX_HEADER = 100_000_000  # the format's own limit
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class WeightFiles:
    """Files in order of name; `tensors` maps each tensor's name to its dtype as the format spells it (F32, BF16, ...)."""

    files: tuple[Path, ...]
    tensors: dict[str, str]

    @property
    def dtype(self) -> str:
        """The dtype of most tensors."""
        return Counter(self.tensors.values()).most_common(1)[0][0]


def find(name: str, folder: Path) -> WeightFiles:
    """The weights that Hugging Face would load from `folder`: one file, or the shards of an index.

    Raises ModelError for none, pickled ones, a missing or damaged file; UnsupportedModel for what is no plain weights.
    """
    if (folder / WEIGHTS).is_file():
        files = [folder / WEIGHTS]
    elif (folder / INDEX).is_file():
        files = _shards(name, folder / INDEX)
    else:
        raise ModelError(f"model {name}: {_why_none(folder)}")
    found = read_headers(name, files)
    for tensor, dtype in found.tensors.items():
        if dtype.startswith(("F8", "F6", "F4")):
            raise UnsupportedModel(f"model {name}: its weights are quantised ({tensor} is {dtype}); {UNQUANTISED}")
        if ".lora_A." in tensor:
            raise UnsupportedModel(
                f"model {name}: it holds LoRA weights that were not merged ({tensor}); save the merged model, or the "
                "adapter alone in peft's format"
            )
    return found


UNQUANTISED = "routes are computed from the weights themselves: give the float32, bfloat16 or float16 checkpoint"


def read_headers(name: str, files: list[Path]) -> WeightFiles:
    """Raises ModelError for a file that is not whole."""
    tensors: dict[str, str] = {}
    for file in files:
        tensors |= _header(name, file)
    if not tensors:
        raise ModelError(f"model {name}: {files[0].name} holds no tensor")
    return WeightFiles(tuple(sorted(files)), tensors)


def _shards(name: str, index: Path) -> list[Path]:
    try:
        content: Any = json.loads(index.read_text())
        files = sorted({str(file) for file in content["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model {name}: {index.name} cannot be read; is the download complete?") from error
    missing = [file for file in files if not (index.parent / file).is_file()]
    if missing or not files:
        what = f"{missing[0]} is missing" if missing else f"{index.name} names no file"
        more = f" (and {len(missing) - 1} more of {len(files)} shards)" if len(missing) > 1 else ""
        raise ModelError(f"model {name}: {what}{more} in {index.parent}; is the download complete?")
    return [index.parent / file for file in files]


def _why_none(folder: Path) -> str:
    """What is there instead, and how to mend it."""
    none = f"no weights ({WEIGHTS}) in {folder}"
    if pickled := sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern)):
        return (
            f"{none}, but pickled ones ({pickled[0]}); pickled weights are not read, because loading them runs whatever "
            "they contain: where you trust them, load and save them with transformers (save_pretrained)"
        )
    if quantised := sorted(folder.glob("*.gguf")):
        return f"{none}, but GGUF ({quantised[0].name}); {UNQUANTISED}"
    if (folder / ADAPTER).is_file():
        return f"{none}, only an adapter; is its adapter_config.json there?"
    if others := sorted(file.name for file in folder.glob("*.safetensors")):
        return f"{none}, but {others[0]}; a model of several shards needs its {INDEX}: is the download complete?"
    return f"{none}; give a folder that holds weights as safetensors, or a hub id"


def _header(name: str, file: Path) -> dict[str, str]:
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(len(_LFS))
            length = int.from_bytes(start[:8], "little")
            if start == _LFS:
                raise ModelError(f"model {name}: {file.name} is a Git LFS pointer, no weights: `git lfs pull` there")
            if size < 8 or length > min(size - 8, _MAX_HEADER):
                raise ValueError("the header is cut off")
            stream.seek(8)
            header = json.loads(stream.read(length))
        tensors = {key: value for key, value in header.items() if key != "__metadata__"}
        end = max((int(value["data_offsets"][1]) for value in tensors.values()), default=0)
        if size < 8 + length + end:
            raise ValueError(f"{size} of {8 + length + end} bytes are there")
        return {key: str(value["dtype"]) for key, value in tensors.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(
            f"model {name}: its weights cannot be read ({file.name}: {error}); is the download complete?"
        ) from error
