"""The model that a run was made with, loaded again: what asks a finished run a new question needs the very same weights."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from flowatlas import checkpoints, guard, models
from flowatlas.checkpoints import Located
from flowatlas.config import ModelConfig
from flowatlas.devices import pick_device
from flowatlas.errors import RunConflict
from flowatlas.models import Model
from flowatlas.plan import Plan


def locate(plan: Plan, name: str | None = None, device: str | None = None) -> tuple[Located, ModelConfig]:
    """The run's model; from `name`, a folder or a hub id, where it lies elsewhere now.

    Raises ModelError when it cannot be found, RunConflict when its weights are not those of the run.
    """
    known = {field.name for field in dataclasses.fields(ModelConfig)}
    config = ModelConfig(**{key: value for key, value in plan.config["model"].items() if key in known})
    given: dict[str, Any] = {} if name is None else {"name": name}
    if device is not None:
        given |= {"device": device, "device_map": None, "max_memory": None}
    config = dataclasses.replace(config, **given)
    located = checkpoints.locate(config)
    if located.weights_hash() != plan.weights_hash:
        raise RunConflict(f"model {located.name} has other weights than the run: give the one that it was made with")
    return located, config


def load(located: Located, config: ModelConfig, prompts: Sequence[tuple[int, ...]]) -> Model:
    """Load it and check it on some of the run's prompts, as the run did. Raises ModelError, GuardError."""
    probe = guard.probe_batch(list(prompts), pick_device(config.device))
    model, reference = models.load(located, config, lambda hf: guard.reference_logits(hf, probe))
    guard.check(model, probe, reference)
    return model
