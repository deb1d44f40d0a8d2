"""Edited forward passes: ablations are weight edits, rows of a batch do not mix, LM-Debugger's arithmetic is literal."""

import pytest
import torch
from torch import Tensor

from extraction import load
from flowatlas import interventions
from flowatlas.activations import Batch
from flowatlas.component_names import Component, parse
from flowatlas.edits import Edit
from flowatlas.interventions import Means
from flowatlas.models import Model
from tiny import CONFIGS, make_model
from weight_edits import hugging_face, logits, take_away

IDS = (0, 7, 91, 23, 7, 55, 7)
SHORT = (0, 12, 4)
HEAD, MLP, NEURON = parse("L1H2"), parse("L1 MLP"), parse("L1N11")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def folder(request, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp(request.param) / "model", request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("gpt2") / "model", "gpt2")


def run(
    model: Model, prompts: list[tuple[int, ...]], edits: list[list[Edit]], means: Means | None = None
) -> list[Tensor]:
    """Logits of every prompt in one batch, each [pos, token]."""
    batch = Batch.of(prompts)
    with interventions.applied(model, edits, batch, means), torch.inference_mode():
        out = model.bridge(batch.ids, attention_mask=batch.mask, use_cache=False)
    return [out[row, : len(ids)] for row, ids in enumerate(prompts)]


def removable(model: Model) -> list[Component]:
    """A head, an MLP, and a neuron of every kind that the model has."""
    found = [HEAD, Component("head", 0, model.n_heads - 1)]
    for l in range(model.n_layers):
        n_experts = model.n_experts(l)
        if n_experts == 0:
            found += [Component("mlp", l), Component("neuron", l, 11)]
        elif n_experts is not None:
            found += [Component("neuron", l, 5, expert) for expert in range(n_experts)]
    return found


def test_ablations_are_weight_edits_in_every_family(folder):
    """All components of the test in one batch, a row each, against one Hugging Face model edited and loaded anew for each."""
    model = load(folder)[0]
    components = removable(model)
    edited = run(model, [IDS] * len(components), [[Edit(component, "off")] for component in components])
    plain, changed = logits(hugging_face(folder), IDS), 0
    for component, found in zip(components, edited, strict=True):
        hf = hugging_face(folder)
        take_away(hf, component, model.n_heads)
        expected = logits(hf, IDS)
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5, msg=lambda text, c=component: f"{c}: {text}")
        changed += float((expected - plain).abs().max()) > 1e-3
    assert changed > len(components) / 2  # an expert that no token was sent to changes nothing


def test_rows_of_a_batch_do_not_mix(gpt2):
    """Different edits, lengths and positions in one batch equal every prompt alone."""
    model = load(gpt2)[0]
    edits = [
        [Edit(HEAD, "off"), Edit(NEURON, "set", 2.0)],
        [Edit(MLP, "scale", 0.5, (0, -1))],
        [],
        [Edit(HEAD, "off", None, (1,))],
    ]
    prompts = [IDS, SHORT, IDS, SHORT]
    together = run(model, prompts, edits)
    for prompt, own, found in zip(prompts, edits, together, strict=True):
        torch.testing.assert_close(found, run(model, [prompt], [own])[0], atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(together[2], logits(hugging_face(gpt2), IDS), atol=2e-5, rtol=2e-5)


def test_positions_are_of_the_prompt_and_nothing_before_them_changes(gpt2):
    model = load(gpt2)[0]
    plain, edited, by_end, nowhere = run(
        model, [SHORT] * 4, [[], *([Edit(NEURON, "set", 3.0, where)] for where in ((1,), (-2,), (5, -9)))]
    )
    torch.testing.assert_close(edited[0], plain[0])
    assert float((edited[1:] - plain[1:]).abs().amax(-1).min()) > 1e-3
    assert torch.equal(edited, by_end)
    torch.testing.assert_close(nowhere, plain)


def test_means_take_the_place_of_what_is_written(gpt2):
    """The mean over the positions of one prompt, against the same prompt through a hand-made forward pass."""
    model = load(gpt2)[0]
    heads, mlps = torch.randn(3, 4, 8), torch.randn(3, 32)
    found = run(model, [IDS], [[Edit(HEAD, "mean"), Edit(MLP, "mean")]], Means(heads, mlps))[0]
    hf = hugging_face(gpt2)
    block = hf.transformer.h[1]
    block.attn.c_proj.register_forward_pre_hook(lambda module, args: _with_head(args[0], 2, heads[1, 2]))
    block.mlp.register_forward_hook(lambda module, args, out: mlps[1].expand_as(out))
    torch.testing.assert_close(found, logits(hf, IDS), atol=2e-5, rtol=2e-5)


def _with_head(z: Tensor, head: int, vector: Tensor) -> Tensor:
    z = z.clone()
    z.view(*z.shape[:2], 4, 8)[:, :, head] = vector
    return z


def test_the_model_is_itself_again_afterwards(gpt2):
    model = load(gpt2)[0]
    before = run(model, [IDS], [[]])[0]
    with (
        pytest.raises(RuntimeError, match="inside"),
        interventions.applied(model, [[Edit(HEAD, "off")]], Batch.of([IDS])),
    ):
        raise RuntimeError("inside")
    assert torch.equal(run(model, [IDS], [[]])[0], before)
