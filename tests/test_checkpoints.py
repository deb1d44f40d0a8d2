"""Checkpoints in every form that is loaded, and every form that is refused, before any weight is read."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from flowatlas import checkpoints
from flowatlas.checkpoints import Located
from flowatlas.config import ModelConfig
from flowatlas.errors import ModelError, UnsupportedModel
from flowatlas.families import FAMILIES

IDS = torch.arange(1, 20)[None]


def logits(folder: Path, **more: Any) -> torch.Tensor:
    model = ModelConfig(str(folder), **more)
    hf, _ = checkpoints.read(checkpoints.locate(model), model)
    with torch.inference_mode():
        return hf(IDS).logits


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def rewrite(folder: Path, edit) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def copy(tmp_path, models):
    """A copy of a tiny model, to be spoilt."""
    return lambda family="gpt2": shutil.copytree(models[family], tmp_path / f"{family}-copy")


@pytest.fixture
def sharded(tmp_path, models):
    """The Llama in several files with an index, as large models come."""
    folder = shutil.copytree(models["llama"], tmp_path / "sharded")
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(models["llama"]).save_pretrained(folder, max_shard_size="60KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


# -- what is loaded ----------------------------------------------------------------------------------------------------


def test_shards_are_the_same_model(sharded, models):
    assert torch.equal(logits(sharded), logits(models["llama"]))
    located = checkpoints.locate(ModelConfig(str(sharded)))
    assert len(located.weights.files) == len(list(sharded.glob("*.safetensors")))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_heads_tied_and_untied(tmp_path, models, family, tied):
    config = AutoConfig.from_pretrained(models[family], tie_word_embeddings=tied)
    hf = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    hf.save_pretrained(tmp_path)
    names = checkpoints.locate(ModelConfig(str(tmp_path))).weights.tensors
    assert ("lm_head.weight" in names) == (not tied)
    with torch.inference_mode():
        wanted = hf(IDS).logits
    assert torch.equal(logits(tmp_path), wanted)
    if not tied:  # a head of its own wins over a config that says it is tied, as with transformers
        change_config(tmp_path, tie_word_embeddings=True)
        assert torch.equal(logits(tmp_path), wanted)


def test_only_the_files_that_are_read_are_hashed(copy):
    folder = copy()
    before = checkpoints.locate(ModelConfig(str(folder))).weights_hash()
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert checkpoints.locate(ModelConfig(str(folder))).weights_hash() == before
    rewrite(folder, lambda weights: weights["transformer.wpe.weight"].add_(1))
    assert checkpoints.locate(ModelConfig(str(folder))).weights_hash() != before


@pytest.mark.parametrize(
    ("named", "stored", "expected"),
    [
        ("bfloat16", torch.float32, "bfloat16"),  # what the config says, as transformers has it
        (None, torch.float16, "float16"),
        (None, torch.float32, "float32"),
    ],
)
def test_dtype_auto_is_the_checkpoints_own(copy, named, stored, expected):
    folder = copy()
    rewrite(folder, lambda weights: weights.update({key: value.to(stored) for key, value in weights.items()}))
    change_config(folder, dtype=named, torch_dtype=None)
    located = checkpoints.locate(ModelConfig(str(folder)))
    assert checkpoints.weights_dtype(located, "auto") == expected
    hf, _ = checkpoints.read(located, ModelConfig(str(folder), dtype="auto"))
    assert next(hf.parameters()).dtype == getattr(torch, expected)
    assert checkpoints.weights_dtype(located, "float64") == "float64"


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        (None, None),
        ({"rope_type": "yarn", "original_max_position_embeddings": 32}, None),  # fixed factors: nothing switches
        ({"rope_type": "longrope", "original_max_position_embeddings": 4096}, 4096),
        ({"full_attention": {"rope_type": "longrope", "original_max_position_embeddings": 128}}, 128),
    ],
)
def test_the_length_at_which_rotary_frequencies_switch(rope, expected):
    assert of({"rope_parameters": rope}).rope_switch == expected


def of(config: dict[str, Any]) -> Located:
    nothing = cast(Any, None)
    return Located("a", Path(), SimpleNamespace(**config), nothing, nothing)


def test_a_models_own_code_runs_only_where_it_is_trusted(copy, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder, mark = copy(), tmp_path / "it ran"
    change_config(folder, auto_map={"AutoModelForCausalLM": "modeling_mine.Mine"})
    (folder / "modeling_mine.py").write_text(
        f"from pathlib import Path\nfrom transformers import GPT2LMHeadModel\nPath({str(mark)!r}).touch()\n"
        "class Mine(GPT2LMHeadModel):\n    pass\n"
    )
    plain = logits(folder)
    assert not mark.exists()
    assert torch.equal(logits(folder, trust_remote_code=True), plain)
    assert mark.exists()
    hashes = [checkpoints.locate(ModelConfig(str(folder), trust_remote_code=t)).weights_hash() for t in (False, True)]
    assert hashes[0] != hashes[1]  # trusted code is part of what the numbers come from


# -- what is refused ---------------------------------------------------------------------------------------------------


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        checkpoints.locate(ModelConfig(str(folder)))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_shard_is_named(sharded):
    first, second, *_ = sorted(sharded.glob("model-*.safetensors"))
    second.unlink()
    assert f"{second.name} is missing in {sharded}; is the download complete?" in refused(sharded)
    first.unlink()
    assert f"{first.name} is missing (and 1 more of" in refused(sharded)


def test_a_shard_that_was_cut_off(sharded):
    last = max(sharded.glob("model-*.safetensors"))
    last.write_bytes(last.read_bytes()[:-1])
    assert f"({last.name}: " in refused(sharded)
    last.write_bytes(b"\x10")
    assert "the header is cut off" in refused(sharded)
    last.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "Git LFS pointer" in refused(sharded)


def test_shards_without_their_index(sharded):
    index = sharded / "model.safetensors.index.json"
    for content in ("{", "{}", '{"weight_map": []}'):
        index.write_text(content)
        assert f"{index.name} cannot be read" in refused(sharded)
    index.write_text('{"weight_map": {}}')
    assert f"{index.name} names no file" in refused(sharded)
    index.unlink()
    assert "a model of several shards needs its model.safetensors.index.json" in refused(sharded)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("pytorch_model.bin", "but pickled ones (pytorch_model.bin); pickled weights are not read"),
        ("consolidated.00.pth", "pickled"),
        ("model-Q4_K_M.gguf", "but GGUF"),
        ("adapter_model.safetensors", "only an adapter"),
        ("README.md", "no weights (model.safetensors)"),
    ],
)
def test_other_weights_are_named(copy, file, message):
    folder = copy()
    (folder / "model.safetensors").rename(folder / file)
    assert message in refused(folder)


@pytest.mark.parametrize(
    ("quantisation", "name"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"load_in_8bit": True}, "bitsandbytes"),  # as older versions wrote it
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq"}, "awq"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"bits": 2}, "an unknown method"),
    ],
)
def test_quantised_weights_are_refused_by_name(copy, quantisation, name):
    folder = copy()
    change_config(folder, quantization_config=quantisation)
    message = refused(folder)
    assert f"its weights are quantised ({name})" in message
    assert "give the float32, bfloat16 or float16 checkpoint" in message


def test_quantised_tensors_are_seen_where_the_config_is_silent(copy):
    folder = copy()
    name = "transformer.h.0.mlp.c_fc.weight"
    rewrite(folder, lambda weights: weights.update({name: weights[name].to(torch.float8_e4m3fn)}))
    assert f"its weights are quantised ({name} is F8_E4M3)" in refused(folder)


def test_lora_weights_that_were_not_merged(copy):
    folder = copy()
    rewrite(folder, lambda weights: weights.update({"transformer.h.0.attn.c_attn.lora_A.weight": torch.zeros(2, 2)}))
    assert "LoRA weights that were not merged" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["GPT2ForSequenceClassification"]}, "GPT2ForSequenceClassification, which predicts no next"),
        ({"model_type": None}, "model_type is no word"),
        ({"model_type": "made_up"}, "made_up"),
        ({"n_head": "four"}, "config.json cannot be read"),
    ],
)
def test_configs_that_will_not_do(copy, changes, message):
    folder = copy()
    change_config(folder, **changes)
    assert message in refused(folder)


def test_configs_that_are_none(copy):
    folder = copy()
    (folder / "config.json").write_text("{}")
    assert "names no model_type" in refused(folder)
    (folder / "config.json").write_text("[]")
    assert "config.json cannot be read" in refused(folder)
    (folder / "config.json").unlink()
    assert "no config.json in" in refused(folder)
    shutil.copytree(folder, folder / "checkpoint-5")
    (folder / "checkpoint-5" / "config.json").write_text("{}")
    assert "its folder checkpoint-5 has one" in refused(folder)


def test_a_family_that_transformers_does_not_know_is_refused_by_name(copy):
    folder = copy()
    change_config(folder, model_type="brand_new")
    with pytest.raises(UnsupportedModel, match=f"brand_new.*{next(iter(FAMILIES))}"):
        checkpoints.locate(ModelConfig(str(folder)))
