"""LoRA adapters: folders that peft itself has written, merged at load."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from flowatlas import adapters, checkpoints
from flowatlas.config import ModelConfig
from flowatlas.errors import ConfigError, ModelError, UnsupportedModel
from runs import Done, one_line
from tiny import make_model

IDS = torch.arange(1, 20)[None]


def make_adapter(base: Path, folder: Path, seed: int = 0, **settings: Any) -> torch.Tensor:
    """Save a random adapter of `base`; returns the logits of base and adapter side by side, before any merging."""
    targets = {"c_attn", "c_proj"} if "gpt2" in base.name else {"q_proj", "down_proj"}
    settings = {"r": 4, "lora_alpha": 16, "target_modules": targets, "task_type": "CAUSAL_LM"} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
        model.save_pretrained(str(folder))
    with torch.inference_mode():
        return model.eval()(IDS).logits


def logits(model: ModelConfig) -> torch.Tensor:
    hf, _ = checkpoints.read(checkpoints.locate(model), model)
    assert not any("lora" in name for name, _ in hf.named_modules())
    with torch.inference_mode():
        return hf(IDS).logits


def change(folder: Path, **changes: object) -> None:
    file = folder / adapters.CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gpt2", {}),
        ("gpt2", {"target_modules": ["lm_head", "wte"]}),  # one tensor there: a naive merge would change both
        ("llama", {"use_dora": True}),
        ("llama", {"use_rslora": True, "target_modules": ["v_proj", "embed_tokens"]}),
        ("llama", {"modules_to_save": ["lm_head"], "rank_pattern": {"q_proj": 2}, "bias": "all"}),
    ],
)
def test_merged_is_as_side_by_side(tmp_path, models, family, settings):
    wanted = make_adapter(models[family], tmp_path / "adapter", **settings)
    merged = logits(ModelConfig(str(tmp_path / "adapter")))
    assert torch.allclose(merged, wanted, atol=2e-5)
    assert (merged - logits(ModelConfig(str(models[family])))).abs().max() > 0.5  # and it is not nothing


@pytest.mark.parametrize("family", ["gpt_neox", "gemma2", "falcon", "mixtral"])
def test_merged_is_as_side_by_side_in_other_families(tmp_path, family):
    wanted = make_adapter(make_model(tmp_path / family, family), tmp_path / "adapter", target_modules="all-linear")
    assert torch.allclose(logits(ModelConfig(str(tmp_path / "adapter"))), wanted, atol=2e-5)


def test_an_adapter_may_be_the_model_or_be_given_beside_it(tmp_path, models):
    make_adapter(models["llama"], tmp_path / "adapter")
    alone = ModelConfig(str(tmp_path / "adapter"))
    beside = ModelConfig(str(models["llama"]), adapter=str(tmp_path / "adapter"))
    assert torch.equal(logits(alone), logits(beside))
    located = checkpoints.locate(beside)
    assert located.name == f"{models['llama']} + {tmp_path / 'adapter'}"
    assert located.weights_hash() == checkpoints.locate(alone).weights_hash()


def test_the_adapter_is_part_of_the_weights_hash_and_its_bases_place_is_not(tmp_path, models):
    def hash_of(**more: Any) -> str:
        return checkpoints.locate(ModelConfig(str(tmp_path / "adapter"), **more)).weights_hash()

    make_adapter(models["llama"], tmp_path / "adapter")
    first = hash_of()
    assert first != checkpoints.locate(ModelConfig(str(models["llama"]))).weights_hash()
    moved = shutil.copytree(models["llama"], tmp_path / "elsewhere")
    assert hash_of(base=str(moved)) == first
    change(tmp_path / "adapter", base_model_name_or_path=str(moved))
    assert hash_of() == first
    change(tmp_path / "adapter", lora_alpha=8)
    assert hash_of() != first
    change(tmp_path / "adapter", lora_alpha=16)
    assert hash_of() == first
    make_adapter(models["llama"], tmp_path / "adapter", seed=1)
    assert hash_of() != first


def test_a_base_beside_its_adapter_is_found(tmp_path, models):
    make_adapter(models["llama"], tmp_path / "adapter")
    shutil.copytree(models["llama"], tmp_path / "adapter" / "base")
    change(tmp_path / "adapter", base_model_name_or_path="base")
    assert checkpoints.locate(ModelConfig(str(tmp_path / "adapter"))).folder == tmp_path / "adapter" / "base"


def test_its_own_tokenizer_is_taken_where_it_has_one(tmp_path, models):
    make_adapter(models["llama"], tmp_path / "adapter")
    located = checkpoints.locate(ModelConfig(str(tmp_path / "adapter")))
    assert located.tokenizer_folder == models["llama"]
    for file in models["llama"].glob("*token*"):
        shutil.copy(file, tmp_path / "adapter")
    assert located.tokenizer_folder == tmp_path / "adapter"


def test_a_run_of_an_adapter(run: Callable[..., Done], tmp_path: Path, models: dict[str, Path]) -> None:
    for seed in (0, 1):
        make_adapter(models["gpt2"], tmp_path / f"adapter{seed}", seed, target_modules=["c_attn", "lm_head"])
    assert run("model=./adapter0").code == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["model"]["name"] == "./adapter0"
    assert manifest["config"]["model"]["adapter"] is None
    done = run(f"model={models['gpt2']}", "model.adapter=./adapter0")
    assert (done.code, done.err) == (0, "")  # the same weights: the same run
    done = run("model=./adapter1")
    assert done.code == 2
    assert "weights hash" in done.err


# -- what is refused ---------------------------------------------------------------------------------------------------


def no_base(folder: Path) -> None:
    change(folder, base_model_name_or_path="nobody/nothing")


def unnamed_base(folder: Path) -> None:
    change(folder, base_model_name_or_path=None)


def prefix(folder: Path) -> None:
    change(folder, peft_type="PREFIX_TUNING")


def activated(folder: Path) -> None:
    change(folder, alora_invocation_tokens=[1, 2])


def classifier(folder: Path) -> None:
    change(folder, task_type="SEQ_CLS")


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


def no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def truncated(folder: Path) -> None:
    data = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(data[:-10])


def damaged(folder: Path) -> None:
    (folder / adapters.CONFIG).write_text("{")


def missing_tensor(folder: Path) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, folder / "adapter_model.safetensors")


def strange_tensor(folder: Path) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    weights["base_model.model.strange.lora_A.weight"] = torch.zeros(2, 2)
    save_file(weights, folder / "adapter_model.safetensors")


def other_shape(folder: Path) -> None:
    change(folder, r=2)


def other_modules(folder: Path) -> None:
    change(folder, target_modules=["nothing_like_it"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_base, "its base model is not there (model nobody/nothing: no such folder"),
        (unnamed_base, "names no base model: give it with model.base="),
        (prefix, "of the kind PREFIX_TUNING"),
        (activated, "an activated LoRA"),
        (classifier, "it was trained for SEQ_CLS"),
        (pickled, "pickled weights are not read"),
        (no_weights, "no adapter_model.safetensors in"),
        (truncated, "adapter_model.safetensors: "),
        (damaged, "its adapter_config.json cannot be read"),
        (missing_tensor, "it does not fit its base model (1 of its tensors"),
        (strange_tensor, "it does not fit its base model (1 of its tensors"),
        (other_shape, "it does not fit its base model (size mismatch"),
        (other_modules, "it does not fit its base model (Target modules"),
    ],
)
def test_an_adapter_that_will_not_do_is_one_line_and_leaves_nothing(
    run: Callable[..., Done], tmp_path: Path, models: dict[str, Path], spoil: Callable[[Path], None], message: str
) -> None:
    make_adapter(models["gpt2"], tmp_path / "adapter")
    spoil(tmp_path / "adapter")
    done = run("model=./adapter")
    assert done.code == 2
    assert one_line(done.err)
    assert message in done.err
    assert not (tmp_path / "run").exists()


def test_an_adapter_of_another_model(tmp_path, models):
    make_adapter(models["gpt2"], tmp_path / "adapter")
    with pytest.raises(ModelError, match="does not fit its base model"):
        logits(ModelConfig(str(models["llama"]), adapter=str(tmp_path / "adapter")))


def test_what_is_no_adapter_or_more_than_one(tmp_path, models):
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        checkpoints.locate(ModelConfig(str(models["gpt2"]), adapter=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"model\.base=.* is for adapters"):
        checkpoints.locate(ModelConfig(str(models["gpt2"]), base=str(models["gpt2"])))
    both = shutil.copytree(models["gpt2"], tmp_path / "both")
    make_adapter(models["gpt2"], both)
    with pytest.raises(ModelError, match="holds a whole model and an adapter"):
        checkpoints.locate(ModelConfig(str(both)))
    with pytest.raises(ModelError, match=r"its base .* holds an adapter too"):
        checkpoints.locate(ModelConfig(str(both), adapter=str(both)))


def test_a_quantised_base_is_refused_with_the_way_out(tmp_path, models):
    base = shutil.copytree(models["llama"], tmp_path / "base")
    make_adapter(base, tmp_path / "adapter")
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"load_in_4bit": True, "quant_method": "bitsandbytes"}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModel, match=r"\(bitsandbytes\).* with model\.base="):
        checkpoints.locate(ModelConfig(str(tmp_path / "adapter")))


def test_without_peft_the_line_says_what_to_install(tmp_path, models, monkeypatch):
    make_adapter(models["gpt2"], tmp_path / "adapter")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'flowatlas\[lora\]'"):
        checkpoints.locate(ModelConfig(str(tmp_path / "adapter")))
