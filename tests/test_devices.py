"""Where the weights lie: one device, or a map of several."""

from typing import Any

import pytest
import torch

from flowatlas import checkpoints, devices
from flowatlas.config import ModelConfig
from flowatlas.errors import ConfigError, ModelError

IDS = torch.arange(1, 20)[None]


def logits(model: ModelConfig) -> torch.Tensor:
    hf, device = checkpoints.read(checkpoints.locate(model), model)
    assert device == torch.device("cpu")
    with torch.inference_mode():
        return hf(IDS).logits


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_map_of_the_main_memory_alone_is_the_same_model(models, family):
    plain = ModelConfig(str(models[family]), device="cpu")
    mapped = ModelConfig(str(models[family]), device_map="auto", max_memory={"cpu": "1GiB"})
    assert torch.equal(logits(mapped), logits(plain))


def test_what_does_not_fit_is_refused_before_it_is_loaded(models, monkeypatch):
    monkeypatch.setattr(checkpoints, "_read", None)  # would be called
    model = ModelConfig(str(models["llama"]), device_map="auto", max_memory={"cpu": "20KB"})
    with pytest.raises(ModelError, match=r"does not fit: .* would lie on disk.*model\.max_memory"):
        checkpoints.read(checkpoints.locate(model), model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device_map": "auto", "max_memory": {"77": "1GiB"}}, r"model\.max_memory names device 77"),
        ({"device": "cuda:77"}, r"model\.device=cuda:77 is not available here: torch sees cpu"),
    ],
)
def test_devices_that_are_not_there(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        devices.check(ModelConfig("a", **settings))


def test_float64_is_not_to_be_had_on_mps(monkeypatch):
    monkeypatch.setattr(devices, "pick_device", lambda name: torch.device("mps"))
    with pytest.raises(ConfigError, match="float64 is not available on mps"):
        devices.check(ModelConfig("a", dtype="float64"))


def test_without_accelerate_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install accelerate"):
        devices.check(ModelConfig("a", device_map="auto"))
