"""Single prompts through a model that stays loaded: what a run stores of them, and what edits do to it."""

import dataclasses
import json

import pyarrow.parquet as pq
import pytest

from extraction import config_of, load, prompt
from flowatlas import edits, live_request
from flowatlas.activations import Batch
from flowatlas.check import check
from flowatlas.errors import ConfigError, DatasetError, FlowatlasError
from flowatlas.extract import Extractor
from flowatlas.interventions import ABOVE, largest_scores
from flowatlas.live_command import composed
from flowatlas.live_model import LiveModel, resolved
from flowatlas.live_request import MOST_EDITS, MOST_LETTERS, PLAIN, of_words, read
from flowatlas.schema import TABLES
from tiny import make_model
from weight_edits import hugging_face, take_away

TEXT = "w5 w17 w3 w5 w40"
EDITED_FAMILIES = ("gpt2", "llama", "gpt_neox", "gemma2", "granite_biased", "qwen2_moe")


@pytest.fixture(scope="module")
def live(models, tmp_path_factory):
    return LiveModel(composed([f"model={models['gpt2']}"]), tmp_path_factory.mktemp("live"))


def rows(run_dir, table: str) -> list[dict]:
    return pq.read_table(run_dir / table).to_pylist()


def same(found: list[dict], wanted: list[dict]) -> None:
    """Equal but for the last bits of numbers."""
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        for name, value in ours.items():
            assert value == (pytest.approx(theirs[name], abs=2e-5) if isinstance(value, float) else theirs[name]), name


def test_a_prompt_is_stored_as_a_batch_run_stores_it(live, runs, models, tmp_path):
    run_dir = live.run(of_words(TEXT, "w9", "w2", [], 4), "alone")
    assert check(run_dir) == []
    keys = (f"model={models['gpt2']}", f"dataset={run_dir.parent / 'prompts.jsonl'}", "run.dir=batch")
    done = runs("run", *keys, "routes.targets=all", "maps.store=true", "generate.max_new_tokens=4", cwd=tmp_path)
    assert done.code == 0, done.err
    for table in TABLES:
        same(rows(run_dir, table), rows(tmp_path / "batch", table))
    assert rows(run_dir, "generated")
    assert rows(run_dir, "maps")


def test_with_edits_it_is_a_pair_of_which_one_is_as_it_is(live):
    alone = live.run(of_words(TEXT, "w9", None, [], 0), "plain")
    pair = live.run(of_words(TEXT, "w9", None, ["L0H1=off", "L1N3=x2@-1"], 0), "pair")
    prompts = rows(pair, "prompts")
    assert [row["role"] for row in prompts] == [PLAIN, "2 edits"]
    assert json.loads(prompts[1]["extra"]) == {"edits": ["L0H1=off", "L1N3=x2@-1"]}
    assert len({row["pair_id"] for row in prompts}) == 1
    for table in ("targets", "edges", "nodes"):
        same([row for row in rows(pair, table) if row["prompt_id"] == 0], rows(alone, table))
    probs = {row["prompt_id"]: row["answer_prob"] for row in rows(pair, "targets") if row["answer_from"] == "dataset"}
    assert probs[0] != pytest.approx(probs[1], abs=1e-4)


@pytest.mark.parametrize("family", EDITED_FAMILIES)
def test_what_is_explained_under_edits_is_a_model_without_those_weights(family, tmp_path):
    folder = make_model(tmp_path / "model", family)
    model = load(folder)[0]
    changes = [edits.parse(text) for text in ("L0H1=off", "L1 MLP=off")]
    hf = hugging_face(folder)
    for edit in changes:
        take_away(hf, edit.component, model.n_heads)
    hf.save_pretrained(tmp_path / "without")
    asked = [prompt((0, 7, 91, 23, 7), (2, 4))]
    found, _ = Extractor(model, config_of(folder))(asked, changes)
    wanted, _ = Extractor(load(tmp_path / "without")[0], config_of(folder))(asked)
    for table in ("targets", "nodes", "edges", "components", "lens", "writes", "logit_effects"):
        same(found[table].to_pylist(), wanted[table].to_pylist())
    plain, _ = Extractor(model, config_of(folder))(asked)
    assert plain["targets"]["answer_prob"].to_pylist() != wanted["targets"]["answer_prob"].to_pylist()


def test_edits_mean_the_prompt_as_given_when_it_is_continued(live):
    ids = (0, 7, 91, 23)
    changes = [edits.parse(text) for text in ("L0H1=off@-1", "L1N3=on")]
    last, on = resolved(live.model, changes, ids)
    assert last.positions == (3,)
    wanted = largest_scores(live.model, Batch.of([ids]), [1])[1].item() + ABOVE
    assert (on.action, on.value) == ("set", pytest.approx(wanted))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((TEXT, None, None, ["L9H0=off"], 0), "layers are 0 to"),
        ((TEXT, None, None, ["L0H0=off@50"], 0), "no position 50"),
        (
            (TEXT, None, None, ["L0H0=mean"], 0),
            "mean over a dataset is not known here: only `flowatlas intervene RUN` has it",
        ),
        ((TEXT, None, None, ["L0N3=1e38"], 0), "cannot be trusted"),
        ((TEXT, None, None, ["L0H0=x1e30@-1"], 3), "keeps nothing else beside it"),
        (("w1 " * 100, None, None, [], 0), "cannot be read"),
    ],
)
def test_what_the_model_does_not_take_is_said_and_the_next_prompt_is_fine(live, words, said):
    with pytest.raises(FlowatlasError, match=said) as raised:
        live.run(of_words(*words), f"bad {said}")
    assert isinstance(raised.value, ConfigError | DatasetError)
    assert check(live.run(of_words(TEXT, None, None, [], 0), f"after {said}")) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "asked for by"),
        ({"text": "a", "temperature": 1}, "asked for by"),
        ({}, "needs a text"),
        ({"text": "  "}, "needs a text"),
        ({"text": 3}, "needs a text"),
        ({"text": "a", "answer": 3}, "answer is a text"),
        ({"text": "a" * (MOST_LETTERS + 1)}, "at most"),
        ({"text": "a", "edits": "L0H1=off"}, "list of texts"),
        ({"text": "a", "edits": ["L0H1"]}, "is no edit"),
        ({"text": "a", "edits": ["L0H1=off", "L0H1=x2"]}, "keep one of them"),
        ({"text": "a", "edits": [f"L0N{n}=off" for n in range(MOST_EDITS + 1)]}, "at most"),
        ({"text": "a", "new_tokens": -1}, "cannot be written"),
        ({"text": "a", "new_tokens": 1.5}, "whole number"),
        ({"text": "a", "new_tokens": True}, "whole number"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_a_reason(content, said):
    with pytest.raises(ConfigError, match=said):
        read(content)


def test_a_request_comes_back_as_it_was_sent():
    sent = {"text": " a", "answer": "b", "foil": None, "edits": ["L0H1=off"], "new_tokens": 3}
    assert read(sent).to_json() == sent
    assert read({"text": "a", "answer": ""}) == live_request.Request("a")


def test_keys_of_datasets_are_refused(models):
    with pytest.raises(ConfigError, match=r"dataset\.path is of a run over a dataset"):
        composed([f"model={models['gpt2']}", "dataset.path=x.jsonl"])
    config = composed([f"model={models['gpt2']}", "routes.targets=last"])
    assert (config.routes.targets, config.maps.store) == ("last", True)
    with pytest.raises(ConfigError, match="needs the means"):
        LiveModel(
            dataclasses.replace(config, knockouts=dataclasses.replace(config.knockouts, store=True)), models["gpt2"]
        )
