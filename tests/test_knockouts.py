"""Knock-outs and means: equal to weights edited by hand in every kind of block, drawn as asked, once for a run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from extraction import config_of, extract, load, prompt
from flowatlas import means, run_means
from flowatlas.check import check
from flowatlas.component_names import Component
from flowatlas.config import Config, KnockoutsConfig, identity
from flowatlas.errors import RunError
from flowatlas.extract import Extractor
from flowatlas.manifest import read_plan
from flowatlas.schema import TABLES
from tiny import make_model
from weight_edits import hugging_face, logits, take_away

PROMPTS = [(0, 7, 91, 23, 7, 55, 7), (0, 12, 4), (0, 300, 41, 41, 9, 88)]
KINDS = ("gpt2", "gpt_neox", "gemma2", "granite", "mixtral")  # sequential, parallel, post-norms, multipliers, experts


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp(request.param) / "model", request.param)


def knocked_out(folder: Path, config: KnockoutsConfig, found: means.Means, targets=None, seed: int = 0) -> list[dict]:
    whole = config_of(folder)
    whole.knockouts = config
    extractor = Extractor(load(folder)[0], whole)
    extractor.knock_out(found, seed)
    prompts = [prompt(ids, targets, row, answer=(5,), foil=(9,)) for row, ids in enumerate(PROMPTS)]
    return extractor(prompts)[0]["knockouts"].to_pylist()


def test_zero_is_the_weights_taken_away_and_mean_is_the_mean_in_their_place(folder):
    model = load(folder)[0]
    mixture = not model.is_dense(0)
    found = means.measure(model, [PROMPTS])
    assert found is not None
    rows = knocked_out(folder, KnockoutsConfig(True, top_k=1000), found)
    n_components = model.n_layers * (model.n_heads + 1)
    assert len(rows) == len(PROMPTS) * n_components * 2
    by_name: dict[Component, list[dict]] = {}
    for row in rows:
        by_name.setdefault(Component(row["component"], row["layer"], row["index"]), []).append(row)
    whole = [logits(hugging_face(folder), ids)[-1] for ids in PROMPTS]
    for component, own in by_name.items():
        hf = None if mixture and component.kind == "mlp" else hugging_face(folder)  # experts are taken away elsewhere
        if hf is not None:
            take_away(hf, component, model.n_heads)
        for row in own:
            ids, plain = PROMPTS[row["prompt_id"]], whole[row["prompt_id"]]
            if row["removal"] == "mean":
                _same(row, plain, _with_mean(model, ids, component, found))
            elif hf is not None:
                _same(row, plain, logits(hf, ids)[-1])


def _same(row: dict, whole: torch.Tensor, without: torch.Tensor) -> None:
    before, after = whole.log_softmax(-1), without.log_softmax(-1)
    assert row["effect_answer"] == pytest.approx((whole - without)[5].item(), abs=1e-4)
    assert row["effect_foil"] == pytest.approx((whole - without)[9].item(), abs=1e-4)
    assert row["effect_logprob"] == pytest.approx((before - after)[5].item(), abs=1e-4)
    assert row["divergence"] == pytest.approx((before.exp() * (before - after)).sum().item(), abs=1e-4)
    assert (
        abs(row["answer_rank"] - 1 - (without > without[5]).sum().item()) <= 1
    )  # of random logits some are all but equal


def _with_mean(model, ids: tuple[int, ...], component: Component, found: means.Means) -> torch.Tensor:
    """Logits at the last token with the mean put in by a hook of one's own."""
    head = component.kind == "head"
    name = f"blocks.{component.layer}.{'attn.hook_z' if head else 'hook_mlp_out'}"

    def put(value, hook):
        if not head:
            return found.mlps[component.layer].expand_as(value)
        cut = value.reshape(*value.shape[:2], model.n_heads, -1).clone()
        cut[:, :, component.index] = found.heads[component.layer, component.index]
        return cut.reshape(value.shape)

    with torch.inference_mode():
        out = model.bridge.run_with_hooks(torch.tensor([ids]), use_cache=False, fwd_hooks=[(name, put)])
    return out[0, -1]


def test_means_are_over_all_positions_of_all_prompts(folder):
    """In batches of any size, padded or not: as prompt by prompt."""
    model = load(folder)[0]
    together = means.measure(model, [PROMPTS])
    apart = means.measure(model, [[ids] for ids in PROMPTS])
    assert together is not None
    assert apart is not None
    assert (together.n_prompts, together.n_positions) == (3, 16) == (apart.n_prompts, apart.n_positions)
    assert torch.allclose(together.heads, apart.heads, atol=1e-5)
    assert torch.allclose(together.mlps, apart.mlps, atol=1e-5)
    literal = torch.zeros(model.d_model)
    with torch.inference_mode():
        for ids in PROMPTS:
            _, cache = model.bridge.run_with_cache(torch.tensor([ids]), use_cache=False)
            literal += cache["blocks.1.hook_mlp_out"][0].sum(0)
    assert torch.allclose(together.mlps[1], literal / 16, atol=1e-5)
    assert means.measure(model, []) is None


def test_the_routes_top_components_come_first(folder):
    """At the last target alone, though others are explained too; fewer components and prompts when asked for."""
    model = load(folder)[0]
    zeros = means.zeros(model)
    everything = knocked_out(folder, KnockoutsConfig(True, top_k=1000), zeros, targets=(0, 1, 2))
    few = knocked_out(folder, KnockoutsConfig(True, top_k=3), zeros, targets=(0, 1, 2))
    assert {row["target"] for row in few} == {2}
    alone = extract(folder, [prompt(ids, (2,), row, (5,), (9,)) for row, ids in enumerate(PROMPTS)])["components"]
    by_name = {(row["prompt_id"], row["layer"], row["component"], row["index"]): row for row in alone}
    for row in everything:
        key = row["prompt_id"], row["layer"], row["component"], row["index"]
        assert row["route_tau"] == pytest.approx(by_name[key]["route_tau"], abs=1e-6)
    for k in range(len(PROMPTS)):
        order = [row["route_tau"] for row in everything if row["prompt_id"] == k]
        assert order == sorted(order, reverse=True)
        first = [row for row in few if row["prompt_id"] == k]
        assert len(first) == 6
        assert [row["route_tau"] for row in first] == order[:6]


def test_a_sample_is_drawn_prompt_by_prompt(tmp_path):
    folder = make_model(tmp_path / "model", "gpt2")
    zeros = means.zeros(load(folder)[0])
    drawn = [
        {row["prompt_id"] for row in knocked_out(folder, KnockoutsConfig(True, 1, part), zeros, seed=seed)}
        for seed in range(12)
        for part in (0.3, 0.9)
    ]
    some, most = drawn[::2], drawn[1::2]
    assert all(few <= many for few, many in zip(some, most, strict=True))
    assert 0.15 < sum(map(len, some)) / (12 * len(PROMPTS)) < 0.45


def test_a_run_knocks_out_and_goes_on_with_the_same_means(run, tmp_path):
    settings = ("knockouts.store=true", "knockouts.top_k=2", "run.shard_size=4")
    done = run(*settings)
    assert done.code == 0, done.err
    folder = tmp_path / "run"
    assert check(folder) == []
    n_prompts = json.loads((folder / "manifest.json").read_text())["counts"]["prompts"]
    parts = sorted((folder / "knockouts").glob("*.parquet"))
    before = [path.read_bytes() for path in parts]
    assert sum(pq.read_table(path).num_rows for path in parts) == n_prompts * 2 * 2
    used = (folder / "model" / "means.parquet").read_bytes()
    (folder / "shards" / "part-00001.json").unlink()
    assert run(*settings, "run.seed=3").code == 0  # the seed that it began with counts
    assert [path.read_bytes() for path in parts] == before
    assert (folder / "model" / "means.parquet").read_bytes() == used
    (folder / "model" / "means.parquet").write_bytes(used[:-1])
    assert any("means.parquet" in problem for problem in check(folder))
    wrong = run("knockouts.sample=0")
    assert wrong.code == 2
    assert "knockouts.sample=0" in wrong.err


def test_runs_without_knockouts_are_what_they_were():
    """Their identity has no word of them, so that a run from before there were any goes on; otherwise it has all."""
    plain = Config()
    assert "knockouts" not in identity(plain)
    plain.knockouts.store = True
    assert identity(plain)["knockouts"] == {"sample": 1.0, "store": True, "top_k": 20}
    assert "knockouts" in TABLES


def test_means_are_made_once(run, tmp_path, models):
    """The first process's are kept; damaged ones are refused; the rows drawn hang on the seed alone."""
    assert run().code == 0
    folder, model = tmp_path / "run", load(models["gpt2"])[0]
    made = run_means.ensure(folder, model, lambda: [PROMPTS])
    again = run_means.ensure(folder, model, lambda: pytest.fail("they are there"))
    assert torch.equal(made.heads, again.heads)
    assert torch.equal(made.mlps, again.mlps)
    assert made.n_positions == 16
    measured = means.measure(model, [PROMPTS])
    assert measured is not None
    assert torch.equal(measured.heads, made.heads)
    path = folder / "model" / "means.parquet"
    whole = pq.read_table(path)
    pq.write_table(whole.slice(0, whole.num_rows - 1), path)
    with pytest.raises(RunError, match="remove it, and it is made again"):
        run_means.ensure(folder, model, lambda: [PROMPTS])
    assert run_means.drawn(read_plan(folder)) == frozenset(range(10))


def test_a_prompt_that_is_not_finite_is_in_no_mean(tmp_path):
    model = load(make_model(tmp_path / "model", "gpt2"))[0]
    weight = model.bridge.original_model.transformer.wte.weight
    before = weight[333].clone()
    try:
        with torch.no_grad():
            weight[333] = torch.nan
        found = means.measure(model, [[PROMPTS[0], (0, 333, 4)]])
    finally:
        with torch.no_grad():
            weight[333] = before
    assert found is not None
    assert (found.n_prompts, found.n_positions) == (1, 7)
    assert bool(torch.isfinite(found.heads).all())
