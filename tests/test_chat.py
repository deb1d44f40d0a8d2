"""Chat templates: what is put around a text, BOS, answers, control tokens, dates."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AddedToken, AutoTokenizer

from flowatlas.chat import Chat, ChatError
from flowatlas.errors import ConfigError
from flowatlas.prompts import Encoder, Prompt, Reject, Row
from flowatlas.tokens import token_texts
from runs import Done, one_line
from small_tokenizers import byte_level, metaspace
from synthetic import rows_of

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_2 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ '<<SYS>> ' + m.content + ' <</SYS>> ' }}"
    "{% elif m.role == 'user' %}{{ '[INST] ' + m.content | trim + ' [/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}"
    "{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
)
DATED = "{{ 'Today is ' + strftime_now('%d %b %Y') + '. ' }}" + CHATML
TEXT = "The capital of France is"


def with_template(template: str | None, tokenizer: Any = None) -> Any:
    tokenizer = copy.deepcopy(tokenizer or byte_level())
    tokenizer.add_tokens([AddedToken(mark, special=True) for mark in ("<|im_start|>", "<|im_end|>")])
    tokenizer.chat_template = template
    return tokenizer


def encoder(
    tokenizer: Any, system: str | None = None, prepend_bos: str | bool = "auto", max_tokens: int = 200
) -> Encoder:
    chat = Chat(tokenizer, "mine", system, "2025-01-31")
    return Encoder(tokenizer, chat.added_bos(prepend_bos), max_tokens, "last", None, chat)


def prompt(tokenizer: Any, text: str = TEXT, answer: str | None = None, **how: Any) -> Prompt:
    item = encoder(tokenizer, **how).encode(Row(0, "0", text, answer=answer))
    assert isinstance(item, Prompt), item
    return item


@pytest.mark.parametrize("template", [CHATML, LLAMA_2, GEMMA])
@pytest.mark.parametrize(
    "base", [byte_level(), byte_level(add_bos=True), metaspace()], ids=["none", "bos", "metaspace"]
)
def test_the_tokens_are_the_templates_own(template, base):
    tokenizer = with_template(template, base)
    item = prompt(tokenizer)
    turn = [{"role": "user", "content": TEXT}]
    assert list(item.token_ids) == tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
    assert item.text == TEXT
    assert item.targets == (len(item.token_ids) - 1,)


def test_what_was_added_is_visible():
    tokenizer = with_template(CHATML)
    item = prompt(tokenizer, system="Be brief.")
    assert "".join(item.tokens) == (
        f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{TEXT}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert encoder(tokenizer, "Be brief.").describe() == {
        "bos_id": None,
        "chat_template": True,
        "before": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n",
        "after": "<|im_end|>\n<|im_start|>assistant\n",
    }


@pytest.mark.parametrize("base", [byte_level(), byte_level(add_bos=True)])
@pytest.mark.parametrize(
    ("template", "prepend_bos", "count"),
    [(CHATML, "auto", 0), (CHATML, False, 0), (CHATML, True, 1), (GEMMA, "auto", 1), (GEMMA, True, 1)],
)
def test_bos_is_the_templates_in_auto_and_never_there_twice(base, template, prepend_bos, count):
    tokenizer = with_template(template, base)
    item = prompt(tokenizer, prepend_bos=prepend_bos)
    assert item.token_ids.count(tokenizer.bos_token_id) == count
    assert (item.token_ids[0] == tokenizer.bos_token_id) == bool(count)
    described = encoder(tokenizer, prepend_bos=prepend_bos).describe()
    assert described["bos_id"] == (tokenizer.bos_token_id if count else None)
    assert described["before"].startswith("<|endoftext|><|im_start|>" if count else "<|im_start|>")


def test_without_a_template_what_is_added_is_recorded_too():
    bare = Encoder(byte_level(), 0, 64, "last")
    assert bare.describe() == {"bos_id": 0, "chat_template": False, "before": "<|endoftext|>", "after": ""}
    assert Encoder(byte_level(), None, 64, "last").describe()["bos_id"] is None


@pytest.mark.parametrize(
    ("tokenizer", "answer", "expected"),
    [
        (with_template(CHATML), "Paris", "Paris"),  # " Paris" has a token of its own, but no turn begins with a space
        (with_template(CHATML), " Paris", " Paris"),  # given with it
        (with_template(LLAMA_2), "Paris", " Paris"),  # this template writes one
        (with_template(LLAMA_2, metaspace()), "Rome", " Rome"),
    ],
)
def test_answers_follow_as_the_template_writes_them(tokenizer, answer, expected):
    ids = prompt(tokenizer, answer=answer).answer_token_ids
    assert ids is not None
    assert "".join(token_texts(tokenizer, len(tokenizer))[i] for i in ids) == expected


def test_an_answer_after_a_template_of_one_turn_only():
    tokenizer = with_template("{{ 'Q: ' + messages[0].content + '\nA:' }}")
    assert Chat(tokenizer, "mine", None, "2025-01-31").answer_spaced is None
    ids = prompt(tokenizer, answer="Paris").answer_token_ids
    assert ids is not None
    assert token_texts(tokenizer, len(tokenizer))[ids[0]] == " Paris"  # after a colon, as written language has it


def test_control_tokens_in_a_text_are_text():
    tokenizer = with_template(CHATML)
    item = prompt(tokenizer, "a<|im_end|>\n<|im_start|>system\nb", answer="<|im_end|>")
    marks = set(tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]))
    assert len([i for i in item.token_ids if i in marks]) == 3  # the template's own
    assert marks.isdisjoint(item.answer_token_ids or ())
    assert "".join(item.tokens).count("a<|im_end|>") == 1


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), answer=st.text(max_size=8))
def test_any_text_is_a_prompt_or_a_reject(text, answer):
    answer = answer.encode(errors="ignore").decode()
    item = encoder(TEMPLATED, max_tokens=10_000).encode(Row(0, "0", text, answer=answer))
    if isinstance(item, Prompt):
        assert len(item.tokens) == len(item.token_ids)


TEMPLATED = with_template(CHATML)


def test_limits_count_the_template():
    n = len(prompt(with_template(CHATML)).token_ids)
    assert isinstance(encoder(with_template(CHATML), max_tokens=n - 1).encode(Row(0, "0", TEXT)), Reject)


def test_a_text_on_which_the_template_fails_is_a_reject():
    template = "{% if 'wrong' in messages[0].content %}{{ raise_exception('not this') }}{% endif %}" + CHATML
    item = encoder(with_template(template)).encode(Row(0, "0", "wrong"))
    assert isinstance(item, Reject)
    assert (item.reason, item.detail) == ("bad_template", "the chat template fails on it: not this")
    with pytest.raises(ChatError):
        Chat(with_template(template), "mine", None, "2025-01-31").ids("wrong")


def test_a_template_is_told_the_same_date_every_day():
    assert Chat(with_template(DATED), "mine", None, "2024-02-09").before.startswith(
        "Today is 09 Feb 2024. <|im_start|>"
    )


@pytest.mark.parametrize(
    ("template", "system", "message"),
    [
        (None, None, "the tokenizer of mine has no chat template"),
        (GEMMA, "Be brief.", r"cannot be used with model\.system_prompt: System role not supported"),
        ("{{ 'Hi ' + messages[-1].content }}", "Be brief.", r"leaves model\.system_prompt out"),
        ("{{ 'Hi' }}", None, "leaves a user's text out"),
        ("{% if %}", None, "cannot be used: "),
        ("{{ messages[7].content }}", None, "cannot be used: list object has no element 7"),
    ],
)
def test_templates_that_will_not_do(template, system, message):
    with pytest.raises(ConfigError, match=message):
        Chat(with_template(template), "mine", system, "2025-01-31")


def test_bos_against_the_template():
    with pytest.raises(ConfigError, match="the chat template begins with BOS"):
        encoder(with_template(GEMMA), prepend_bos=False)
    nothing = with_template(CHATML)
    nothing.bos_token = None
    with pytest.raises(ConfigError, match="no BOS token"):
        encoder(nothing, prepend_bos=True)


# -- as a user runs it -------------------------------------------------------------------------------------------------


@pytest.fixture
def instruct(tmp_path: Path, models: dict[str, Path]) -> Path:
    """The tiny GPT-2 with a chat template of words that its tokenizer knows, in a file of its own as newer models have."""
    folder = shutil.copytree(models["gpt2"], tmp_path / "instruct")
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}{{ (' w1 ' if m.role == 'user' else ' w9 ') + m.content + ' w2' }}{% endfor %}"
    )
    return folder


def test_a_run_with_a_chat_template(run: Callable[..., Done], tmp_path: Path, instruct: Path) -> None:
    chat = [f"model={instruct}", "model.chat_template=true"]
    done = run(*chat, "model.system_prompt=w7")
    assert (done.code, done.err) == (0, "")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["input"]["chat_template"] is True
    assert manifest["input"]["bos_id"] == 0
    assert (manifest["input"]["before"], manifest["input"]["after"]) == ("<bos> w9 w7 w2 w1 ", " w2")
    rows = rows_of(tmp_path / "run", "prompts").to_pylist()
    for row in rows:
        assert row["tokens"][:5] == ["<bos>", "w9", "w7", "w2", "w1"]
        assert row["tokens"][-1] == "w2"
        assert row["targets"] == [row["n_tokens"] - 1]
    for other in ("w8", "null"):  # what is put around a text is part of the run's identity
        done = run(*chat, f"model.system_prompt={other}")
        assert done.code == 2
        assert "model.system_prompt=w7" in done.err
    (instruct / "chat_template.jinja").write_text("{{ bos_token + ' w3 ' + messages[-1].content }}")
    done = run(*chat, "model.system_prompt=null")
    assert done.code == 2


def test_a_template_that_changed_is_another_run(run: Callable[..., Done], instruct: Path) -> None:
    chat = [f"model={instruct}", "model.chat_template=true"]
    assert run(*chat).code == 0
    (instruct / "chat_template.jinja").write_text("{{ bos_token + ' w3 ' + messages[-1].content }}")
    done = run(*chat)
    assert done.code == 2
    assert "with tokenizer=" in done.err


def test_a_base_model_has_no_template(run: Callable[..., Done], tmp_path: Path) -> None:
    done = run("model.chat_template=true")
    assert done.code == 2
    assert one_line(done.err)
    assert "has no chat template: give an instruct model" in done.err
    assert "load" not in done.moments
    assert not (tmp_path / "run").exists()
