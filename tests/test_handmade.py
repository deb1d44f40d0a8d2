"""Heads whose work is known, because it was put in: the statistics find these and no others (a real run of a real model)."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import handmade
from handmade import INDUCTION, PREVIOUS_TOKEN
from planted import one_of, stats_of
from runs import Runs
from synthetic import rows_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.save_model(tmp_path_factory.mktemp("handmade") / "model")


@pytest.fixture(scope="module")
def run(runs: Runs, model: Path) -> Path:
    handmade.save_prompts(model.parent / "prompts.jsonl")
    settings = ("routes.floor=0.02", "routes.targets=all")
    done = runs("run", f"model={model}", "dataset=prompts.jsonl", "run.dir=run", *settings, cwd=model.parent)
    assert done.code == 0, done.err
    return model.parent / "run"


def test_the_model_repeats_what_came_after(model):
    """The circuit works at all: without either head the model cannot answer."""
    network, tokenizer = cast(Any, AutoModelForCausalLM).from_pretrained(model), AutoTokenizer.from_pretrained(model)
    ids = torch.tensor([[0, *tokenizer("a5 a9 a2 a7 a5 a9")["input_ids"]]])
    with torch.no_grad():
        assert network(ids).logits[0, -1].argmax() == tokenizer("a2")["input_ids"][0]
        for layer, head in (PREVIOUS_TOKEN, INDUCTION):
            output = network.transformer.h[layer].attn.c_proj.weight[head * handmade.HEAD :][: handmade.HEAD]
            kept = output.clone()
            output.zero_()
            assert network(ids).logits[0, -1].argmax() != tokenizer("a2")["input_ids"][0]
            output.copy_(kept)


def test_every_answer_is_predicted(run):
    assert one_of(run, "dataset", group="repeated")["accuracy"] == 1


@pytest.mark.parametrize(("role", "head"), [("previous token", PREVIOUS_TOKEN), ("induction", INDUCTION)])
def test_the_head_of_a_role_is_found_and_no_other(run, role, head):
    rows = stats_of(run, "roles", role=role, group=None, source="edges")
    found = [
        (r["layer"], r["head"])
        for r in rows
        if r["n_edges"] >= 20 and r["contribution_low"] > 2 * r["contribution_chance"]
    ]
    assert found == [head]
    row = next(r for r in rows if (r["layer"], r["head"]) == head)
    assert min(row["contribution"], row["attention"]) > 0.9


def test_the_head_that_one_group_uses_is_specific_to_it(run):
    rows = stats_of(run, "contrasts", contrast="rest", a="repeated", measure="mean_share")
    assert [(r["layer"], r["index"]) for r in rows if r["component"] == "head" and r["specific"]] == [INDUCTION]
    fresh = stats_of(run, "contrasts", contrast="rest", a="fresh", measure="mean_share")
    assert not [r for r in fresh if r["specific"]]
    induction = next(r for r in rows if (r["component"], r["layer"], r["index"]) == ("head", *INDUCTION))
    assert induction["frequency_a"] > 0.9
    assert induction["frequency_b"] < 0.1


def test_the_answers_logit_comes_from_the_induction_head(run):
    rows = stats_of(run, "importance", group="repeated", component="head")
    best = max(rows, key=lambda row: row["effect"])
    assert (best["layer"], best["index"]) == INDUCTION
    assert best["effect_low"] > 10 * max(row["effect"] for row in rows if row is not best)


def test_the_induction_head_promotes_what_it_reads(run):
    """Of the tokens it reads (not <s>, where it rests) the first that it promotes there is the token itself."""
    layer, index = INDUCTION
    rows = stats_of(run, "token_pairs", component="head", layer=layer, index=index, pair="writes")
    copied = [row for row in rows if row["source_id"] != 0]
    assert copied
    assert all(row["source"] == row["to"] for row in copied[:5])
    moved = stats_of(run, "token_pairs", component="head", layer=layer, index=index, pair="moves")
    edges = [e for e in rows_of(run, "edges").to_pylist() if (e["layer"], e["head"]) == INDUCTION]
    tokens = {p["prompt_id"]: p["token_ids"] for p in rows_of(run, "prompts").to_pylist()}
    for row in moved[:5]:
        mine = [
            e
            for e in edges
            if (tokens[e["prompt_id"]][e["src"]], tokens[e["prompt_id"]][e["dst"]]) == (row["source_id"], row["to_id"])
        ]
        assert row["n"] == len(mine)
        assert row["share"] == pytest.approx(sum(e["share"] for e in mine) / len(mine), rel=1e-4)
