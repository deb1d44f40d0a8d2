"""The matrix: every family of the table, on a tiny model with random biases and norms, saved and loaded as a user would."""

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import literal
from comparing import neurons_are_literal, routes_are_literal, rows_do_not_depend_on_company
from extraction import PROBE, config_of, forward, load, prompt
from flowatlas import check, checkpoints, guard, run
from flowatlas.config import Config, DatasetConfig, ModelConfig, RoutesConfig, RunConfig
from flowatlas.errors import GuardError, UnsupportedModel
from flowatlas.families import FAMILIES, REFUSED, TEXT_PARTS, Family, SameAs, setting
from flowatlas.models import Model
from flowatlas.schema import TABLES
from tiny import CONFIGS, make_model

DOCS = Path(__file__).parent.parent / "docs"
IDS = (0, 7, 91, 23, 7, 55, 7)
SHORT = (0, 12, 4)
FLOOR = 0.02


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def folder(request, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp(request.param) / "model", request.param)


def test_every_family_of_the_table_has_a_tiny_model():
    kinds = {config().model_type for config in CONFIGS.values()}
    assert kinds == {*FAMILIES, *TEXT_PARTS}


def test_logits_are_hugging_faces_and_parts_add_up(folder, monkeypatch):
    """On every layer and position, from the literal parts, and by the guard's own sums; heads read with their weights."""
    model, _, errors = load(folder)
    assert max(errors.values()) < min(1e-5, 10 * recorded(model, "float32"))
    model, acts, _ = forward(folder, [IDS])
    for l in range(model.n_layers):
        for pos in range(len(IDS)):
            x, parts = literal.vectors(model, acts, 0, pos), literal.added(model, acts, l, 0, pos)
            total = x[l - 1, "post"] + parts.attention
            if not model.stream.parallel:
                torch.testing.assert_close(total, x[l, "mid"], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(total + parts.mlp, x[l, "post"], atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(model, "value_clip", None)
    for l in range(model.n_layers):
        heads_read_with_these_weights(model, acts, l)


def heads_read_with_these_weights(model, acts, l):
    """Values differ from those of the first position by nothing but what is read."""
    weights = model.reading_weights(l)
    if weights is None:
        assert model.located.config.model_type == "deepseek_v3"
        return
    x = model.normed(l, acts.resid[l if model.stream.parallel else 2 * l][0])
    read, found = torch.einsum("td,hdc->thc", x, weights), acts.v(l)[0]
    torch.testing.assert_close(read - read[:1], found - found[:1], atol=2e-5, rtol=1e-4)


def test_half_precision_stays_within_the_guards_tolerance(folder):
    """load() runs the guard, which raises beyond it."""
    model, _, errors = load(folder, "bfloat16")
    assert model.weights_dtype == torch.bfloat16
    assert model.final.w_u.dtype == model.dtype == torch.float32
    assert 1e-5 < max(errors.values()) <= guard.TOLERANCE[torch.bfloat16]
    assert max(errors.values()) < 10 * recorded(model, "bfloat16")


def recorded(model: Model, dtype: str) -> float:
    """The error that docs/models.md tells of the model's family; other processors round a little otherwise."""
    return json.loads((DOCS / "model_errors.json").read_text())[model.located.config.model_type][dtype]


def test_routes_and_neurons_equal_the_slow_reference(folder):
    routes_are_literal(folder, [prompt(IDS, (3, 6), 0), prompt(SHORT, None, 1)], FLOOR)
    neurons_are_literal(folder, prompt(IDS), FLOOR)


def test_rows_do_not_depend_on_padding(folder):
    rows_do_not_depend_on_company(folder, [prompt(IDS, (3, 6), 0), prompt(SHORT, None, 1)])


def test_every_stage_into_parquet_and_out_again(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    texts = ["alpha beta gamma delta", "beta gamma beta gamma beta", "delta"]
    (tmp_path / "prompts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    config = Config(
        ModelConfig(str(folder), dtype="bfloat16", device="cpu"),
        DatasetConfig(path=str(tmp_path / "prompts.jsonl")),
        run=RunConfig(dir=str(tmp_path / "run")),
        routes=RoutesConfig(FLOOR),
    )
    assert run.execute(config) == 0
    assert check.check(tmp_path / "run") == []
    rows = {name: pq.read_table(tmp_path / "run" / name).to_pylist() for name in TABLES}
    assert [row["text"] for row in rows["prompts"]] == texts
    assert not rows["rejects"]
    model = load(folder)[0]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())["model"]
    assert manifest["parallel"] == model.stream.parallel
    assert manifest["n_layers"] == model.n_layers
    assert ({row["point"] for row in rows["nodes"]} == {"post"}) == model.stream.parallel
    static = pq.read_table(tmp_path / "run" / "model" / "neuron_tokens.parquet").to_pylist()
    place = ("layer", "expert", "neuron")
    stored = {tuple(row[key] for key in place) for table in ("neurons", "dominant_neurons") for row in rows[table]}
    assert {tuple(row[key] for key in place) for row in static} == stored
    layers = {layer for layer, _, _ in stored}
    assert layers <= {l for l in range(model.n_layers) if model.has_neurons(l)}
    assert {(expert == -1) == model.is_dense(layer) for layer, expert, _ in stored} <= {True}


DEFAULT = Family("", layer_norm=False)
NUMBERS = ("residual_multiplier", "logit_multiplier", "logit_divisor", "soft_cap", "value_clip")  # keys of the config
STRUCTURE = ("norm_offset", "norm_eps", "post_norms", "values_by_head")


def facts(family: Family, config) -> set[str]:
    """Fields in which an entry differs from the default, and by which a model of this config does."""
    changed = {name for name in (*STRUCTURE, *NUMBERS) if getattr(family, name) != getattr(DEFAULT, name)}
    return {name for name in changed if name in STRUCTURE or setting(config, getattr(family, name)) not in (None, 1)}


def test_the_guard_refuses_a_model_whose_entry_is_wrong_in_one_fact(folder):
    model, reference, _ = load(folder)
    batch, family = guard.probe_batch(PROBE), model.located.family
    wrong = {name: getattr(DEFAULT, name) for name in facts(family, model.located.config)}
    wrong |= {"layer_norm": not family.layer_norm, "parallel": not model.stream.parallel}
    for name, value in wrong.items():
        other = dataclasses.replace(model.located, family=dataclasses.replace(family, **{name: value}))
        with pytest.raises((GuardError, UnsupportedModel, RuntimeError)):
            guard.check(Model(other, model.bridge, model.device), batch, reference)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_every_fact_of_an_entry_is_in_force_in_some_tiny_model(kind):
    family, configs = FAMILIES[kind], [config() for name, config in CONFIGS.items() if name.startswith(kind)]
    seen = set().union(*(facts(family, config) for config in configs if config.model_type == kind))
    assert seen == {name for name in (*STRUCTURE, *NUMBERS) if getattr(family, name) != getattr(DEFAULT, name)}


def save_config(folder: Path, settings: dict) -> ModelConfig:
    """A checkpoint whose config says this and whose weights nobody can read."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "model.safetensors").write_text("not weights")
    return config_of(folder).model


FIXED = [(kind, fixed) for kind, family in FAMILIES.items() for fixed in family.fixed]


@pytest.mark.parametrize(("kind", "fixed"), FIXED, ids=[f"{kind}-{fixed.key}" for kind, fixed in FIXED])
def test_a_config_with_other_equations_is_refused_by_name_with_the_reason(kind, fixed, tmp_path):
    settings = CONFIGS[kind]().to_dict()
    number = 2.0 if fixed.value is None else 2  # a bound is a real number, what is counted a whole one
    wrong = not fixed.value if isinstance(fixed.value, bool) else 16 if isinstance(fixed.value, SameAs) else number
    with pytest.raises(UnsupportedModel) as found:
        checkpoints.locate(save_config(tmp_path / "model", {**settings, fixed.key: wrong}))
    assert f"{kind} with {fixed.key}={wrong}" in str(found.value)
    assert fixed.reason in str(found.value)


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_family_known_not_to_be_exact_is_refused_by_name_with_the_reason(kind, tmp_path):
    with pytest.raises(UnsupportedModel) as found:
        checkpoints.locate(save_config(tmp_path / "model", {"model_type": kind}))
    assert f"family {kind} is not supported: {REFUSED[kind]}" in str(found.value)


def test_an_unknown_family_and_quantised_weights_are_refused_by_name(tmp_path):
    with pytest.raises(UnsupportedModel, match="family persimmon is not supported; supported: gpt2"):
        checkpoints.locate(save_config(tmp_path / "unknown", {"model_type": "persimmon"}))
    quantised = {**CONFIGS["llama"]().to_dict(), "quantization_config": {"quant_method": "gptq", "bits": 4}}
    with pytest.raises(UnsupportedModel, match="quantised"):
        checkpoints.locate(save_config(tmp_path / "quantised", quantised))
