"""Edited forward passes: ablations are weight edits, rows of a batch do not mix, LM-Debugger's arithmetic is literal."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from extraction import forward, load
from flowatlas import greedy as generation
from flowatlas import interventions
from flowatlas.activations import Batch
from flowatlas.component_names import Component, parse
from flowatlas.edits import Edit
from flowatlas.edits import parse as parse_edit
from flowatlas.errors import ConfigError
from flowatlas.means import Means
from flowatlas.models import Model
from tiny import CONFIGS, make_model
from weight_edits import hugging_face, logits, take_away

IDS = (0, 7, 91, 23, 7, 55, 7)
SHORT = (0, 12, 4)
HEAD, MLP, NEURON = parse("L1H2"), parse("L1 MLP"), parse("L1N11")


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def folder(request, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp(request.param) / "model", request.param)


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


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2", "mixtral", "bloom", "qwen2_sliding"])
def test_generation_is_hugging_faces_with_edited_weights(family, tmp_path):
    """Prompts of two lengths in one batch, padded on the left, with the cache; twelve tokens each."""
    model = load(make_model(tmp_path / "model", family))[0]
    neuron = Component("neuron", 1, 5, 0) if model.n_experts(1) else NEURON
    edits, prompts = [Edit(part, "off") for part in (HEAD, parse("L0 MLP"), neuron)], [IDS, SHORT]
    batch = Batch.of(prompts, left=True)
    with interventions.applied(model, [edits] * 2, batch):
        found = greedy(model.bridge.original_model, batch.ids, batch.mask)[:, len(IDS) :]
    plain = greedy(model.bridge.original_model, batch.ids, batch.mask)[:, len(IDS) :]
    hf = hugging_face(tmp_path / "model")
    for edit in edits:
        take_away(hf, edit.component, model.n_heads)
    for row, ids in enumerate(prompts):
        alone = torch.tensor([ids])
        assert found[row].tolist() == greedy(hf, alone, torch.ones_like(alone))[0, len(ids) :].tolist()
    assert not torch.equal(found, plain)


def greedy(hf: Any, ids: Tensor, mask: Tensor) -> Tensor:
    settings = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0)
    with torch.inference_mode():
        return hf.generate(ids, attention_mask=mask, generation_config=settings)


def test_a_position_is_edited_once_and_generated_ones_only_where_all_are(gpt2):
    """With a cache: the last prompt token's edit is in the first step alone, and equals the pass over the whole text."""
    model = load(gpt2)[0]
    for where in (None, (-1,), (1, -2)):
        edit, batch = Edit(NEURON, "set", 4.0, where), Batch.of([SHORT, IDS], left=True)
        with interventions.applied(model, [[edit]] * 2, batch):
            grown = greedy(model.bridge.original_model, batch.ids, batch.mask)
        for row, ids in enumerate([SHORT, IDS]):
            text = tuple(grown[row, len(IDS) - len(ids) :].tolist())
            positions = tuple(range(len(text))) if where is None else tuple(p % len(ids) for p in where)
            predicted = run(model, [text], [[Edit(NEURON, "set", 4.0, positions)]])[0].argmax(-1)
            assert predicted[len(ids) - 1 : -1].tolist() == list(text[len(ids) :])


def test_on_is_lm_debuggers_rule(gpt2):
    """Its arithmetic written out: scores |activation| x norm at the last token, the largest plus 0.01, at every position."""
    model, hf = load(gpt2)[0], hugging_face(gpt2)
    mlp, seen = hf.transformer.h[1].mlp, []
    hook = mlp.c_proj.register_forward_pre_hook(lambda module, args: seen.append(args[0][0]))
    logits(hf, IDS)
    hook.remove()
    norms = [math.sqrt(sum(w * w for w in row)) for row in mlp.c_proj.weight.tolist()]
    scores = [abs(a) * norm for a, norm in zip(seen[0][-1].tolist(), norms, strict=True)]
    dominant = sorted(range(len(scores)), key=lambda n: -scores[n])
    on = scores[dominant[0]] + 0.01

    def set_to(value: float) -> Any:
        def edit(module: Any, args: Any) -> Tensor:
            activation = args[0].clone()
            activation[:, :, NEURON.index] = value
            return activation

        return edit

    mlp.c_proj.register_forward_pre_hook(set_to(on))
    found = run(model, [SHORT, IDS], [[], [Edit(NEURON, "on")]])[1]
    torch.testing.assert_close(found, logits(hf, IDS), atol=2e-5, rtol=2e-5)
    by_row = interventions.largest_scores(model, Batch.of([SHORT, IDS]), [1])[1]
    assert float(by_row[1]) == pytest.approx(scores[dominant[0]], rel=1e-5)
    # What LM-Debugger itself ends at: it writes the number before the activation function.
    theirs = hugging_face(gpt2)
    theirs.transformer.h[1].mlp.c_fc.register_forward_hook(lambda module, args, out: _column(out, NEURON.index, on))
    same = run(model, [IDS], [[Edit(NEURON, "set", float(theirs.transformer.h[1].mlp.act(torch.tensor(on))))]])[0]
    torch.testing.assert_close(same, logits(theirs, IDS), atol=2e-5, rtol=2e-5)


def _column(values: Tensor, index: int, value: float) -> Tensor:
    values = values.clone()
    values[..., index] = value
    return values


@pytest.mark.parametrize("family", ["gpt2", "qwen2_moe", "mixtral", "gemma2"])
def test_on_is_a_number_of_the_prompt_in_every_family(family, tmp_path):
    """Of its last token and of the model as it is: other prompts beside it and other edits do not change it."""
    model = load(make_model(tmp_path / "model", family))[0]
    largest = [float(interventions.largest_scores(model, Batch.of([ids]), [1])[1]) for ids in (IDS, SHORT)]
    neuron = Component("neuron", 1, 3, 0) if model.n_experts(1) else Component("neuron", 1, 3)
    earlier = Edit(Component("head", 0, 0), "off")
    on = run(model, [IDS, SHORT], [[earlier, Edit(neuron, "on")]] * 2)
    set_ = run(model, [IDS, SHORT], [[earlier, Edit(neuron, "set", value + 0.01)] for value in largest])
    for found, expected in zip(on, set_, strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    assert largest[0] != largest[1]


@pytest.mark.parametrize(
    ("family", "edit", "why"),
    [
        ("gpt2", Edit(parse("L3H0"), "off"), "its layers are 0 to 2"),
        ("gpt2", Edit(parse("L0H4"), "off"), "its heads are 0 to 3"),
        ("gpt2", Edit(parse("L0N128"), "off"), "its neurons are 0 to 127"),
        ("gpt2", Edit(parse("L0E0N1"), "off"), "write L0N1 in this layer"),
        ("mixtral", Edit(parse("L0N1"), "off"), "write L0E0N1 in this layer"),
        ("mixtral", Edit(parse("L0E4N1"), "off"), "its experts are 0 to 3"),
        ("gpt_oss", Edit(parse("L0N1"), "off"), "are not told apart"),
        ("gpt2", Edit(parse("L0H1"), "mean"), "the mean over a dataset is not known here"),
    ],
)
def test_what_a_model_has_not_is_refused_by_name(family, edit, why, tmp_path):
    model = load(make_model(tmp_path / "model", family))[0]
    with pytest.raises(ConfigError, match=why):
        run(model, [SHORT], [[edit]])


FAMILY_EDITS = {"gpt2": "L1N5", "gemma2": "L1N5", "mixtral": "L1E{}N5", "falcon": "L1N5"}


@pytest.mark.parametrize("family", FAMILY_EDITS)
def test_what_would_drown_the_rest_is_refused_and_what_is_not_refused_is_right(family, tmp_path):
    """Far up, finite numbers come out that are none of the model's; below the bound float64 says the same."""
    folder = make_model(tmp_path / "model", family)
    model = load(folder)[0]
    _, acts, _ = forward(folder, [IDS])
    ran = [expert for expert, *_ in acts.neuron_activations(1, torch.tensor([0]), torch.tensor([2]))]
    name = FAMILY_EDITS[family].format(ran[0])
    for text in (f"{name}=1e20", f"{name}=-1e38@2", f"{name}=x1e36@2", "L1H2=x1e30", "L1 MLP=x1e30@0"):
        with pytest.raises(ConfigError, match="keeps nothing else beside it"):
            run(model, [SHORT, IDS], [[], [parse_edit(text)]])
    if ran[0] >= 0:
        return  # Hugging Face's experts do not compute in float64
    exact = load(folder, "float64")[0]
    for text in (f"{name}=1e5@2", "L1H2=x1e5", "L1 MLP=x1e5@0"):
        found = run(model, [SHORT, IDS], [[], [parse_edit(text)]])
        want = run(exact, [SHORT, IDS], [[], [parse_edit(text)]])
        for one, other in zip(found, want, strict=True):
            torch.testing.assert_close(one.double(), other, atol=2e-3, rtol=2e-3)


def test_what_drowns_is_judged_on_the_prompt_and_on_what_is_generated(gpt2):
    model = load(gpt2)[0]
    with pytest.raises(ConfigError, match="L1N5=1e\\+20 comes to 1e\\+20 where its layer has"):
        generation.greedy(model, [IDS, SHORT], 2, [parse_edit("L1N5=1e20")])
    nowhere = parse_edit("L1N5=1e20@6")  # a position that the shorter prompt has not
    run(model, [SHORT], [[nowhere]])


def test_two_edits_of_one_place_are_refused(gpt2):
    model = load(gpt2)[0]
    run(model, [SHORT], [[Edit(HEAD, "off", None, (0,)), Edit(HEAD, "scale", 2.0, (1, 2))]])
    with pytest.raises(ConfigError, match=r"L1H2=off and L1H2=x2@1 are of one component at one position"):
        run(model, [SHORT], [[Edit(HEAD, "off"), Edit(HEAD, "scale", 2.0, (1,))]])
