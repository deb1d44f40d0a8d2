"""Runs the extraction on token ids, without files: what the tests of the numbers share."""

import functools
from pathlib import Path

import torch

from flowatlas import activations, checkpoints, guard, models
from flowatlas.activations import Activations, Batch
from flowatlas.config import Config, DatasetConfig, ModelConfig, RoutesConfig
from flowatlas.extract import Extractor
from flowatlas.models import Model
from flowatlas.prompts import Prompt


def config_of(folder: Path, dtype: str = "float32", floor: float = 0.01) -> Config:
    return Config(
        ModelConfig(str(folder), dtype=dtype, device="cpu"), DatasetConfig(path="-"), routes=RoutesConfig(floor)
    )


@functools.lru_cache(maxsize=32)
def load(folder: Path, dtype: str = "float32") -> tuple[Model, torch.Tensor, dict[str, float]]:
    """A model, Hugging Face's logits of PROBE, and the guard's errors."""
    config = config_of(folder, dtype).model
    batch = guard.probe_batch(PROBE)
    model, reference = models.load(checkpoints.locate(config), config, lambda hf: guard.reference_logits(hf, batch))
    return model, reference, guard.check(model, batch, reference)


PROBE: list[tuple[int, ...]] = [(0, 7, 91, 23, 7, 55, 7, 91), (0, 12, 4), (0, 300, 41, 41, 9, 88)]


def prompt(ids: tuple[int, ...], targets=None, prompt_id: int = 0, answer=None, foil=None) -> Prompt:
    return Prompt(
        prompt_id, str(prompt_id), "text", None, None, None, None, ids, tuple(map(str, ids)),
        tuple(targets or (len(ids) - 1,)), None, None, answer, foil,
    )  # fmt: skip


def extract(folder: Path, prompts: list[Prompt], dtype: str = "float32", floor: float = 0.01, **sections) -> dict:
    """Tables as lists of rows (dicts), by name."""
    config = config_of(folder, dtype, floor)
    for name, section in sections.items():
        setattr(config, name, section)
    tables, rejects = Extractor(load(folder, dtype)[0], config)(prompts)
    assert not rejects
    return {name: table.to_pylist() for name, table in tables.items()}


def forward(folder: Path, prompts: list[tuple[int, ...]], dtype: str = "float32") -> tuple[Model, Activations, Batch]:
    model = load(folder, dtype)[0]
    batch = Batch.of(prompts)
    acts, _ = activations.run(model, batch)
    return model, acts, batch
