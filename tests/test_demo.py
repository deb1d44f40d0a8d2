"""The demo model, its grammar and its prompts: what a first visitor runs."""

import json
import sys
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo import prompts
from demo.corpus import answer_id, draw_row, pack, train_tokenizer, training_rows
from demo.grammar import GROUPS, draw_pair, draw_trainable

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "data/models/demo"
PROMPTS = ROOT / "data/prompts/demo.jsonl"
BAR = 0.98


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL, local_files_only=True)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(MODEL, local_files_only=True).eval()


def by_pair(rows: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    pairs = defaultdict(list)
    for row in rows:
        pairs[row["pair_id"]].append(row)
    return pairs


def accuracies(rows: list[dict[str, str]], model, tokenizer) -> dict[str, float]:
    """Share of prompts per group whose most likely next token is the answer."""
    tokenizer.pad_token = tokenizer.eos_token
    batch = tokenizer([tokenizer.bos_token + row["text"] for row in rows], return_tensors="pt", padding=True)
    with torch.no_grad():
        logits = model(**batch).logits
    last = batch["attention_mask"].sum(1) - 1
    guesses = logits[torch.arange(len(rows)), last].argmax(-1).tolist()
    right = defaultdict(list)
    for row, guess in zip(rows, guesses, strict=True):
        right[row["group"]].append(tokenizer.decode([guess]) == " " + row["answer"])
    return {group: sum(hits) / len(hits) for group, hits in right.items()}


# -- the model ---------------------------------------------------------------------------------------------------------


def test_model_is_a_small_gpt2_with_tied_embeddings(model):
    config = model.config
    assert (config.model_type, config.n_layer, config.n_head, config.n_embd) == ("gpt2", 4, 4, 128)
    assert (config.vocab_size, config.n_positions) == (1024, 64)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_model_folder_stays_small_enough_to_commit():
    assert sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file()) <= 8 * 2**20


def test_tokenizer_has_a_bos_token_that_it_does_not_add(tokenizer):
    assert len(tokenizer) == 1024
    assert tokenizer.bos_token == tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.bos_token_id not in tokenizer("When Mary").input_ids


def test_tokenizer_gives_back_any_text(tokenizer):
    for text in ("La Suède, où ?", "def f(x): return x", "naïve 日本 🙂\n\ttabs"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_committed_tokenizer_is_learnt_from_the_grammar(tokenizer):
    assert tokenizer.get_vocab() == train_tokenizer(0).get_vocab()


def test_model_answers_held_out_prompts_of_every_group(rows, model, tokenizer):
    found = accuracies(rows, model, tokenizer)
    assert set(found) == set(GROUPS)
    assert {group: share for group, share in found.items() if share < BAR} == {}


def test_accuracy_falls_without_the_weights(rows, tokenizer):
    torch.manual_seed(0)
    untrained = AutoModelForCausalLM.from_config(AutoModelForCausalLM.from_pretrained(MODEL).config).eval()
    assert max(accuracies(rows, untrained, tokenizer).values()) < 0.5


def test_model_card_lists_every_group():
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    assert [group for group in GROUPS if f"| {group} |" not in card] == []


# -- the prompts -------------------------------------------------------------------------------------------------------


def test_prompts_are_many_and_varied(rows):
    groups = defaultdict(int)
    for row in rows:
        groups[row["group"]] += 1
    assert len(rows) >= 600
    assert set(groups) == set(GROUPS)
    assert min(groups.values()) >= 24
    assert len({row["group"] for row in rows[:20]}) == len(GROUPS)
    assert {row["language"] for row in rows} == {"en", "fr", "python"}


def test_first_prompt_is_the_classic_one(rows):
    assert rows[0]["text"].startswith("When Mary and John went to the")
    assert (rows[0]["answer"], rows[0]["foil"], rows[0]["role"]) == ("Mary", "John", "clean")


def test_ids_and_texts_are_unique(rows):
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == len(rows)


def test_pairs_are_complete_and_swap_answer_and_foil(rows):
    for pair_id, pair in by_pair(rows).items():
        assert [row["role"] for row in pair] == ["clean", "corrupt"], pair_id
        clean, corrupt = pair
        assert (clean["answer"], clean["foil"]) == (corrupt["foil"], corrupt["answer"]), pair_id
        assert clean["answer"] != clean["foil"], pair_id
        assert (clean["group"], clean["template"]) == (corrupt["group"], corrupt["template"]), pair_id


def test_pairs_line_up_token_by_token(rows, tokenizer):
    for pair_id, (clean, corrupt) in by_pair(rows).items():
        lengths = {len(tokenizer(row["text"]).input_ids) for row in (clean, corrupt)}
        assert len(lengths) == 1, pair_id
        assert max(lengths) <= prompts.MAX_TOKENS, pair_id


def test_answers_and_foils_are_single_tokens_after_a_space(rows, tokenizer):
    words = {row[column] for row in rows for column in ("answer", "foil")}
    assert {word for word in words if len(tokenizer(" " + word).input_ids) != 1} == set()


def test_no_prompt_begins_a_training_sentence(rows):
    # Longer sentences are looked at as well: "Monday, Tuesday," also stands at the start of "Monday, Tuesday, Wednesday,".
    lengths = {len(row["text"]) for row in rows}
    starts = {
        prompt.sentence[:length] for row in training_rows(seed=0, count=2_000) for prompt in row for length in lengths
    }
    assert [row["id"] for row in rows if row["text"] in starts] == []


def test_committed_file_is_what_the_script_makes(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["prompts", "--check", "--model", str(MODEL), "--out", str(PROMPTS)])
    prompts.main()
    changed = tmp_path / "demo.jsonl"
    changed.write_text(PROMPTS.read_text(encoding="utf-8").replace("Mary", "Marie", 1), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["prompts", "--check", "--model", str(MODEL), "--out", str(changed)])
    with pytest.raises(SystemExit, match="is not what"):
        prompts.main()


def test_readme_shows_a_row_of_every_group(rows):
    readme = (ROOT / "data/prompts/README.md").read_text(encoding="utf-8")
    shown = {row["group"] for row in rows if f"| `{row['group']}` | {row['text']} | {row['answer']} |" in readme}
    assert shown == set(GROUPS)
    assert f"{len(rows)} rows, {len(by_pair(rows))} pairs" in readme


# -- the grammar -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_grammar_repeats_itself_for_a_seed(group):
    def draw(seed: int) -> list[str]:
        rng = Random(seed)
        return [draw_trainable(group, rng).text for _ in range(20)] + [p.text for p in draw_pair(group, rng)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("group", GROUPS)
def test_held_out_combinations_are_never_trained(group):
    rng = Random(3)
    pairs = [GROUPS[group](rng) for _ in range(3000)]
    held_out = {key for pair in pairs for prompt in pair if prompt.held_out for key, _ in prompt.keys}
    trained = {key for pair in pairs for prompt in pair if prompt.trainable for key, _ in prompt.keys}
    assert held_out
    assert trained
    assert held_out.isdisjoint(trained)


@pytest.mark.parametrize("group", GROUPS)
def test_pairs_differ_in_text_and_exchange_the_answers(group):
    rng = Random(4)
    for _ in range(50):
        clean, corrupt = draw_pair(group, rng)
        assert clean.text != corrupt.text
        assert (clean.answer, clean.foil) == (corrupt.foil, corrupt.answer)
        assert clean.sentence.startswith(f"{clean.text} {clean.answer}")


def test_held_out_sums_are_trained_the_other_way_round():
    rng = Random(5)
    for _ in range(200):
        for prompt in draw_pair("sum", rng):
            [(key, _)] = prompt.keys
            larger, smaller = map(int, key.split()[2:])
            assert larger > smaller
            assert int(prompt.answer) == larger + smaller


def test_a_row_tells_no_fact_twice():
    rng = Random(6)
    for _ in range(100):
        row = draw_row(rng)
        assert (
            len({prompt.keys for prompt in row}) == len(row) == len(GROUPS) - 1
        )  # both languages' capitals are one subject
        assert sum(prompt.template.startswith("capital") for prompt in row) <= 1


def test_training_rows_begin_with_end_of_text_and_mark_the_answers():
    tokenizer = train_tokenizer(0)
    rows = list(training_rows(0, 20))
    ids, is_answer = pack(tokenizer, rows)
    assert ids.shape == is_answer.shape == (20, 64)
    for row, tokens, marked in zip(rows, ids, is_answer, strict=True):
        text = "<|endoftext|>" + "<|endoftext|>".join(prompt.sentence for prompt in row)
        assert tokens.tolist() == tokenizer.encode(text).ids[:64]
        answers = [answer_id(tokenizer, prompt.answer) for prompt in row]
        assert tokens[marked].tolist() == answers[: marked.sum()]
        assert marked.sum() >= 2
