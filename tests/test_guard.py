"""The guard lets no model through whose equations are not its family's, however plausible its numbers would look."""

from dataclasses import replace

import pytest
import torch

from extraction import config_of
from flowatlas import activations, checkpoints, guard, models
from flowatlas.activations import Batch
from flowatlas.errors import GuardError
from tiny import make_model

IDS = (0, 7, 91, 23, 7, 55, 7)


def test_the_guard_stops_a_model_that_does_not_add_up(tmp_path):
    folder = make_model(tmp_path / "model", "llama")
    config = config_of(folder)
    batch = guard.probe_batch([IDS])
    model, reference = models.load(
        checkpoints.locate(config.model), config.model, lambda hf: guard.reference_logits(hf, batch)
    )
    assert guard.check(model, batch, reference)["logits"] < 1e-5
    with pytest.raises(GuardError, match="logits is off"):
        guard.check(model, batch, reference * 1.01)
    with torch.no_grad():
        model.bridge.blocks[1].attn.o.weight.mul_(1.01)  # no longer the weights that Hugging Face answered with
    with pytest.raises(GuardError):
        guard.check(model, batch, reference)


# What a family's entry could get wrong, and the check that finds it.
WRONG = {
    "granite_biased residual_multiplier": ({"residual_multiplier": None}, "attention_sum|neuron_sum"),
    "granite logit_divisor": ({"logit_divisor": None}, "logits"),
    "cohere logit_multiplier": ({"logit_multiplier": None}, "logits"),
    "gemma2 soft_cap": ({"soft_cap": None}, "logits"),
    "gemma2 norm_offset": ({"norm_offset": 0.0}, "logits|_sum"),
    "gemma2 post_norms": ({"post_norms": (None, "ln2_post")}, "attention_sum"),
    "gemma2 layer_norm": ({"layer_norm": True}, "logits"),
    "llama post_norms": ({"post_norms": (None, "ln2")}, "neuron_sum"),
    "gpt_neox parallel": ({"parallel": False}, "hook_resid_mid never came by"),
    "gpt_neox_sequential parallel": ({"parallel": True}, "hook_resid_mid came by"),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_guard_refuses_a_model_with_one_wrong_entry(tmp_path, case):
    name, _ = case.split()
    wrong, message = WRONG[case]
    folder = make_model(tmp_path / "model", name)
    config, batch = config_of(folder).model, guard.probe_batch([IDS])
    located = checkpoints.locate(config)
    located = replace(located, family=replace(located.family, **wrong))
    model, reference = models.load(located, config, lambda hf: guard.reference_logits(hf, batch))
    with pytest.raises(GuardError, match=message):
        guard.check(model, batch, reference)


@pytest.mark.parametrize(
    ("name", "key"), [("granite", "residual_multiplier"), ("granite", "logits_scaling"), ("cohere", "logit_scale")]
)
def test_the_guard_refuses_a_multiplier_that_is_off_by_a_thousandth(tmp_path, name, key):
    folder = make_model(tmp_path / "model", name)
    config, batch = config_of(folder).model, guard.probe_batch([IDS])
    located = checkpoints.locate(config)
    model, reference = models.load(located, config, lambda hf: guard.reference_logits(hf, batch))
    guard.check(model, batch, reference)
    setattr(located.config, key, getattr(located.config, key) * 1.001)
    model = models.Model(located, model.bridge, model.device)
    with pytest.raises(GuardError, match="does not add up"):
        guard.check(model, batch, reference)


@pytest.mark.parametrize(("name", "swapped"), [("gpt_neox", "sequential"), ("gpt_neox_sequential", "parallel")])
def test_the_guard_refuses_blocks_whose_mlp_reads_another_node(tmp_path, monkeypatch, name, swapped):
    """A bridge that is as mistaken as the table: all sums add up, and only what the MLP answers to tells them apart."""
    folder = make_model(tmp_path / "model", name)
    config, batch = config_of(folder).model, guard.probe_batch([IDS])
    model, reference = models.load(checkpoints.locate(config), config, lambda hf: guard.reference_logits(hf, batch))
    guard.check(model, batch, reference)
    answers = activations.mlp_without_heads(model, batch)
    assert torch.equal(*answers) == model.stream.parallel
    other = answers[0] * 2 if model.stream.parallel else answers[0]
    monkeypatch.setattr(activations, "mlp_without_heads", lambda *_: (answers[0], other))
    with pytest.raises(GuardError, match=f"its blocks are {swapped} and were taken for"):
        guard.check(model, batch, reference)


def test_a_prompt_that_gives_nan_is_left_to_the_rejects(tmp_path):
    """The model is judged by the other prompts; alone it stops the run, and says where the first NaN stands."""
    folder = make_model(tmp_path / "model", "llama")  # its head is not tied to the embedding
    config = config_of(folder).model
    batch = guard.probe_batch([(0, 7, 91, 23), (0, 12, 4)])

    def spoil(hf):
        hf.get_input_embeddings().weight[91] = float("nan")
        return guard.reference_logits(hf, batch)

    model, reference = models.load(checkpoints.locate(config), config, spoil)
    assert max(guard.check(model, batch, reference).values()) < 1e-5
    alone = Batch.of([(0, 7, 91, 23)])
    with pytest.raises(GuardError, match="NaN or infinity, first at layer -1 post, position 2"):
        guard.check(model, alone, reference[:1])
