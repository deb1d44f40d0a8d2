"""Greedy continuations and what is explained of them; several accepted answers."""

import dataclasses
import json

import pytest
import torch

from extraction import config_of, load, prompt
from flowatlas import checkpoints, greedy
from flowatlas.checkpoints import Located
from flowatlas.extract import Extractor
from flowatlas.generation import Continuation
from flowatlas.job import prepare
from flowatlas.rows import Answer, Prompt
from flowatlas.tokens import load_tokenizer
from runs import one_line

LONG, SHORT = (0, 7, 91, 23, 7, 55, 7, 33, 8), (0, 12, 4)
N_NEW = 6


def by_hand(folder, ids: tuple[int, ...], n: int) -> list[int]:
    """Hugging Face's own model, the whole text anew for each token."""
    config = config_of(folder).model
    hf, _ = checkpoints.read(checkpoints.locate(config), config)
    written: list[int] = []
    with torch.inference_mode():
        for _ in range(n):
            logits = hf(torch.tensor([[*ids, *written]]), use_cache=False).logits
            written.append(int(logits[0, -1].argmax()))
    return written


def continuation(folder, n: int = N_NEW) -> Continuation:
    return Continuation(load(folder)[0], load_tokenizer(str(folder)), n)


def tables(folder, prompts, n: int = N_NEW) -> dict[str, list[dict]]:
    found, rejects = Extractor(load(folder)[0], config_of(folder), continuation(folder, n))(prompts)
    assert not rejects
    return {name: table.to_pylist() for name, table in found.items()}


def test_padded_and_cached_it_is_what_hugging_face_writes_alone(any_model):
    found = greedy.written(load(any_model)[0], [LONG, SHORT], N_NEW, ends=[])
    assert found == [by_hand(any_model, LONG, N_NEW), by_hand(any_model, SHORT, N_NEW)]


def test_every_token_that_was_written_is_explained_where_it_was_written(any_model):
    found = tables(any_model, [prompt(LONG, None, 0), prompt(SHORT, (1,), 1)])
    for row, given, asked in zip(found["prompts"], (LONG, SHORT), ((), (1,)), strict=True):
        written = row["token_ids"][len(given) :]
        assert written
        assert row["tokens"][: len(given)] == list(map(str, given))
        assert row["targets"] == sorted({*asked, *range(len(given) - 1, row["n_tokens"] - 1)})
        targets = {one["target"]: one for one in found["targets"] if one["prompt_id"] == row["prompt_id"]}
        for place, token in enumerate(written):
            here = targets[len(given) - 1 + place]
            assert (here["predicted_id"], here["answer_id"], here["answer_rank"]) == (token, token, 1)
    assert [row["n_given"] for row in found["generated"]] == [len(LONG), len(SHORT)]


def test_it_ends_where_the_text_does(gpt2):
    """An end of text is kept and explained; what the batch still writes for others does not follow it."""
    written = by_hand(gpt2, LONG, N_NEW)
    end = written[2]
    found = greedy.written(load(gpt2)[0], [LONG, SHORT], N_NEW, ends=[end])
    assert found[0] == written[: written.index(end) + 1]
    assert found[1] == by_hand(gpt2, SHORT, N_NEW)[: len(found[1])]


def test_a_full_context_is_continued_by_what_fits(gpt2):
    full, nearly = tuple(range(1, 65)), tuple(range(2, 64))
    found = continuation(gpt2)([prompt(full, None, 0), prompt(nearly, None, 1), prompt(SHORT, None, 2)])
    assert [len(one.token_ids) for one in found[:2]] == [64, 64]
    assert [one.continued.n_given for one in found if one.continued] == [64, 62, 3]
    assert found[0].targets == (63,)


def test_the_answer_of_the_dataset_stays_where_the_text_as_given_ends(gpt2):
    row = dataclasses.replace(prompt(SHORT, None, 0, answer=(9,), foil=(8,)), answer_text="w9", foil_text="w8")
    found = tables(gpt2, [row])
    of_dataset = [one for one in found["targets"] if one["answer_from"] == "dataset"]
    assert [(one["target"], one["answer_id"], one["foil_id"]) for one in of_dataset] == [(2, 9, 8)]
    alone, _ = Extractor(load(gpt2)[0], config_of(gpt2))([row])
    component = ("layer", "component", "index")
    share = {tuple(one[key] for key in component): one["target_share"] for one in alone["components"].to_pylist()}
    for one in found["components"]:
        assert one["target_share"] == pytest.approx(share[tuple(one[key] for key in component)], abs=1e-5)


def test_the_likeliest_of_the_accepted_answers_is_explained(any_model):
    model = load(any_model)[0]
    likely = by_hand(any_model, SHORT, 1)[0]
    words = tuple(Answer(f"w{index}", (index, 1)) for index in (17, likely, 18, likely))
    several = dataclasses.replace(prompt(SHORT), accepted=words, answer_token_ids=(17,), answer_text="w17")
    found, _ = Extractor(model, config_of(any_model))([several, prompt(LONG, None, 1)])
    (target, _) = found["targets"].to_pylist()
    assert (target["answer_id"], target["answer_rank"], target["answer_from"]) == (likely, 1, "dataset")
    answers = found["answers"].to_pylist()
    assert [row["explained"] for row in answers] == [False, True, False, False], "of equals the first"
    assert [(row["number"], row["token_ids"]) for row in answers] == [
        (n, list(w.token_ids)) for n, w in enumerate(words, 1)
    ]
    assert (answers[1]["rank"], answers[1]["prob"]) == (1, pytest.approx(target["answer_prob"], abs=1e-6))
    for row in (answers[0], answers[2]):  # each as if it alone were the answer
        alone = dataclasses.replace(prompt(SHORT), answer_token_ids=tuple(row["token_ids"]))
        (want, *_) = Extractor(model, config_of(any_model))([alone])[0]["targets"].to_pylist()
        assert (row["rank"], row["prob"]) == (want["answer_rank"], pytest.approx(want["answer_prob"], abs=1e-6))
    kept = found["prompts"].to_pylist()[0]
    assert (kept["answer_text"], kept["answer_token_ids"]) == (f"w{likely}", [likely, 1])


def test_a_run_generates_resumes_and_is_sound(run, runs, tmp_path, models):
    """Statistics are over what was asked: those of the same run without a continuation."""
    done = run("generate.max_new_tokens=4", "run.shard_size=4")
    assert done.code == 0, done.err
    assert runs("check", "run", cwd=tmp_path).code == 0
    assert run("run.dir=plain", "run.shard_size=4").code == 0
    assert one_line(run("run.dir=run", "generate.max_new_tokens=5").err)
    import duckdb

    with duckdb.connect() as connection:
        both = [
            connection.execute(
                f"SELECT accuracy, answer_prob, n_answers FROM '{tmp_path}/{name}/stats/dataset.parquet'"
            ).fetchall()
            for name in ("run", "plain")
        ]
        written = connection.execute(f"SELECT count(*) FROM '{tmp_path}/run/generated/*.parquet'").fetchall()
    assert both[0][0][:2] == pytest.approx(both[1][0][:2])
    assert written == [(10,)]


def test_a_prompt_that_may_grow_over_the_switch_of_frequencies_stands_alone(tmp_path, models, monkeypatch):
    monkeypatch.setattr(Located, "rope_switch", 10)
    (tmp_path / "rows.jsonl").write_text(
        "\n".join(json.dumps({"text": " ".join(["w1"] * n)}) for n in (2, 3, 7, 8, 12, 13))
    )
    config = config_of(models["gpt2"])
    config.dataset.path, config.generate.max_new_tokens = str(tmp_path / "rows.jsonl"), 4
    job = prepare(config)
    encoded = [job.encoder.encode(row) for row in job.dataset.rows()]
    batches = job.batches([one for one in encoded if isinstance(one, Prompt)], 1000)
    assert [[len(one.token_ids) for one in batch] for batch in batches] == [[3, 4], [8], [9], [13, 14]]
