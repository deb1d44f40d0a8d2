"""Where the weights lie: one device, or the blocks of a large model spread over several GPUs.

`model.device_map=auto` asks accelerate which block goes to which GPU. What does not fit there it would keep in main memory
or on disk and bring in for each block's forward pass only; the analysis reads the weights between passes as well, so such
a map is refused, before any weight is loaded.
"""

import importlib.util
from pathlib import Path
from typing import Any, cast

import torch

from flowatlas.config import ModelConfig
from flowatlas.errors import ConfigError, ModelError


def pick_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises ConfigError for a device that is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:  # torch's own line names forty back ends
        seen = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        seen += ["mps"] if torch.backends.mps.is_available() else []
        raise ConfigError(f"model.device={name} is not available here: torch sees {', '.join(seen)}") from error


def check(model: ModelConfig) -> None:
    """What can be known of the device without the model. Raises ConfigError."""
    device = pick_device(model.device)
    if device.type == "mps" and model.dtype == "float64":
        raise ConfigError("model.dtype=float64 is not available on mps: give another dtype or model.device=cpu")
    if model.device_map is not None and importlib.util.find_spec("accelerate") is None:
        raise ConfigError("model.device_map=auto needs the accelerate library: pip install accelerate")
    present = {"cpu", *(str(index) for index in range(torch.cuda.device_count()))}
    for key in model.max_memory or {}:
        if key not in present:
            raise ConfigError(
                f"model.max_memory names device {key}, but there are {', '.join(sorted(present))} "
                "(GPUs by their number, and cpu)"
            )


def device_map(name: str, folder: Path, model: ModelConfig, dtype: torch.dtype) -> dict[str, Any]:
    """Which module goes where, as accelerate spreads them evenly, from the shapes alone.

    Raises ModelError when a part would have no place on a GPU (or, without GPUs, in main memory).
    """
    from accelerate import infer_auto_device_map, init_empty_weights
    from accelerate.utils import get_balanced_memory
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    with init_empty_weights():
        skeleton = cast(Any, AutoModelForCausalLM).from_config(
            config, dtype=dtype, trust_remote_code=model.trust_remote_code
        )
    skeleton.tie_weights()
    whole = list(skeleton._no_split_modules or [])
    given = {int(key) if key.isdigit() else key: value for key, value in (model.max_memory or {}).items()}
    memory = get_balanced_memory(skeleton, given or None, no_split_module_classes=whole, dtype=dtype)
    places = infer_auto_device_map(skeleton, memory, no_split_module_classes=whole, dtype=dtype)
    offloaded = [part for part, place in places.items() if place == "disk" or (place == "cpu" and _gpus(places))]
    if offloaded:
        parts = f"{len(offloaded)} of its parts, from {offloaded[0]} on," if offloaded[0] else "all of it"
        place = "on disk" if places[offloaded[0]] == "disk" else "in main memory"
        raise ModelError(
            f"model {name}: it does not fit: {parts} would lie {place}, from where it cannot be analysed; allow more with "
            "model.max_memory, take more GPUs or a smaller model.dtype"
        )
    return cast(dict[str, Any], places)


def _gpus(places: dict[str, Any]) -> bool:
    return any(place not in ("cpu", "disk") for place in places.values())
