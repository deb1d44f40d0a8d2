"""From rows to prompts: ids, targets, answers, rejects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowatlas.prompts import Encoder, Prompt, Reject, Row
from flowatlas.tokens import load_tokenizer, resolve_bos, token_texts
from small_tokenizers import byte_level, metaspace
from tiny import GOLDEN


def encoder(tokenizer, targets="last", max_tokens=64, prepend_bos="auto"):
    return Encoder(tokenizer, resolve_bos(tokenizer, prepend_bos), max_tokens, targets)


def prompt(tokenizer, text, answer=None, foil=None, **kwargs) -> Prompt:
    item = encoder(tokenizer, **kwargs).encode(Row(3, "c", text, answer=answer, foil=foil))
    assert isinstance(item, Prompt), item
    return item


def answer_texts(tokenizer, text, answer) -> list[str]:
    ids = prompt(tokenizer, text, answer).answer_token_ids
    assert ids is not None
    texts = token_texts(tokenizer, len(tokenizer))
    return [texts[i] for i in ids]


ALL = [byte_level(), byte_level(True), byte_level(True, True), metaspace(), metaspace(False)]


@pytest.mark.parametrize("tokenizer", ALL)
def test_bos_comes_once_and_no_eos(tokenizer):
    item = prompt(tokenizer, "The capital of France is")
    assert item.token_ids.count(tokenizer.bos_token_id) == 1
    assert item.token_ids[0] == tokenizer.bos_token_id
    assert item.tokens[-1] == " is"
    assert tokenizer.bos_token_id not in prompt(tokenizer, "The", prepend_bos=False).token_ids


def test_word_level_tokenizer_of_the_golden_models():
    tokenizer = load_tokenizer(str(GOLDEN / "gpt2_tiny" / "model"))
    item = prompt(tokenizer, "w1 w2 w3", answer="w5", foil="w6 w7")
    assert item.token_ids == (0, 1, 2, 3)
    assert item.tokens == ("<bos>", "w1", "w2", "w3")
    assert (item.answer_token_ids, item.foil_token_ids) == ((5,), (6, 7))


@pytest.mark.parametrize("tokenizer", [byte_level(), metaspace()])
@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("The capital of France is", "Paris", " Paris"),  # a word for it only with the space
        ("The capital of France is", " Paris", " Paris"),  # given with it
        ("When Mary and John went to the store,", "John", " John"),
        ("12 + 1 is", "7", " 7"),  # a tie: after a letter there is one
        ("12 + 1 =", "7", " 7"),  # a tie: the text sets its signs off by spaces
        ("12+1=", "7", "7"),  # and here it does not
        ('She said "', "7", "7"),  # an opening mark
        ('the number "12"', "7", " 7"),  # a closing one
    ],
)
def test_answers_with_and_without_a_space(tokenizer, text, answer, expected):
    assert answer_texts(tokenizer, text, answer) == [expected]


def test_answers_directly_after_a_bracket_or_a_space():
    assert answer_texts(byte_level(), "f(", "x") == ["x"]
    assert answer_texts(byte_level(), "12 + 1 = ", "7") == ["7"]


def test_answer_that_would_merge_with_the_text_is_tokenized_alone():
    tokenizer = byte_level()
    item = prompt(tokenizer, "The capital of France is Par", answer="is")
    assert item.answer_token_ids is not None
    assert item.token_ids == prompt(tokenizer, "The capital of France is Par").token_ids


def test_answer_of_several_tokens_is_kept_whole():
    texts = answer_texts(byte_level(), "The capital of France is", "Zanzibar")
    assert len(texts) > 1
    assert "".join(texts).strip() == "Zanzibar"


def test_swapping_answer_and_foil_swaps_their_tokens():
    one = prompt(byte_level(), "The capital of France is", "Paris", "Rome")
    two = prompt(byte_level(), "The capital of France is", "Rome", "Paris")
    assert (one.answer_token_ids, one.foil_token_ids) == (two.foil_token_ids, two.answer_token_ids)


def test_no_answer():
    item = prompt(byte_level(), "The", answer="", foil=None)
    assert (item.answer_text, item.answer_token_ids, item.foil_text, item.foil_token_ids) == (None,) * 4


@pytest.mark.parametrize(
    ("config", "own", "expected"),
    [
        ("last", None, (5,)),
        ("all", None, (0, 1, 2, 3, 4, 5)),
        ([0, -1, 5, 2], None, (0, 2, 5)),
        ("all", [3, -1], (3, 5)),  # the row's own win
        ("last", [-6], (0,)),
    ],
)
def test_targets(config, own, expected):
    item = encoder(byte_level(), config).encode(Row(0, "0", "The capital of France is", targets=own))
    assert isinstance(item, Prompt)
    assert len(item.token_ids) == 6
    assert item.targets == expected


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (Row(1, "b", "The capital", targets=[3]), "target_out_of_range", "position 3, the prompt has 3 tokens"),
        (Row(1, "b", "The capital", targets=[-4]), "target_out_of_range", "position -4"),
        (Row(1, "b", "The capital", targets=[10**400]), "target_out_of_range", "a position"),
        (Row(1, "b", "The capital", targets=[]), "bad_targets", "empty"),
        (Row(1, "b", "the " * 64), "too_long", "the model takes 64"),
        (Row(1, "b", problem=("bad_json", "why")), "bad_json", "why"),
    ],
)
def test_rejects(row, reason, detail):
    item = encoder(byte_level()).encode(row)
    assert isinstance(item, Reject)
    assert (item.prompt_id, item.source_id, item.reason) == (1, "b", reason)
    assert detail in item.detail


def test_max_tokens_counts_the_bos():
    n = len(prompt(byte_level(), "The capital of France is").token_ids)
    assert isinstance(encoder(byte_level(), max_tokens=n).encode(Row(0, "0", "The capital of France is")), Prompt)
    assert isinstance(encoder(byte_level(), max_tokens=n - 1).encode(Row(0, "0", "The capital of France is")), Reject)


def test_extra_is_json():
    item = encoder(byte_level()).encode(Row(0, "0", "The", extra={"note": "é <b>", "n": 1}))
    assert isinstance(item, Prompt)
    assert item.extra == '{"note": "é <b>", "n": 1}'
    assert prompt(byte_level(), "The").extra is None


@pytest.mark.parametrize("tokenizer", [byte_level(), metaspace()])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), answer=st.text(max_size=8))
def test_any_text_is_a_prompt_or_a_reject(tokenizer, text, answer):
    answer = answer.encode(errors="ignore").decode()
    item = encoder(tokenizer, max_tokens=10_000).encode(Row(0, "0", text, answer=answer))
    if isinstance(item, Prompt):
        assert len(item.tokens) == len(item.token_ids)
        assert item.targets == (len(item.token_ids) - 1,)
        "".join(item.tokens).encode()


def test_a_very_long_text_with_markup():
    text = "<script>alert('x')</script> \u202eabc \x00 \U0001f600 " * 600
    item = prompt(byte_level(), text, max_tokens=100_000)
    assert len(text) > 20_000
    assert item.text == text


def test_several_accepted_answers_are_matched_one_by_one():
    tokenizer = byte_level()
    item = prompt(tokenizer, "The capital of France is", answer=["Paris", " John", "7"])
    each = [prompt(tokenizer, "The capital of France is", answer=one) for one in ("Paris", " John", "7")]
    assert [(one.text, one.token_ids) for one in item.accepted] == [(p.answer_text, p.answer_token_ids) for p in each]
    assert (item.answer_text, item.answer_token_ids) == (each[0].answer_text, each[0].answer_token_ids)
    assert each[0].accepted == ()


def test_a_token_of_any_accepted_answer_must_be_the_models():
    tokenizer = byte_level()
    tight = Encoder(tokenizer, None, 64, "last", vocab_size=1)
    found = tight.encode(Row(0, "0", "The", answer=["Paris", "7"]))
    assert isinstance(found, Reject)
    assert found.reason == "unknown_token"
