"""Loading tokenizers, BOS, and tokens as text."""

import pytest

from flowatlas.errors import ConfigError, ModelError
from flowatlas.tokens import load_tokenizer, own_prefix, plain_ids, resolve_bos, special_ids, token_texts
from small_tokenizers import SENTENCES, byte_level, metaspace
from tiny import GOLDEN


@pytest.mark.parametrize("tokenizer", [byte_level(), metaspace()], ids=["byte_level", "metaspace"])
@pytest.mark.parametrize("text", SENTENCES)
def test_token_texts_join_to_the_text(tokenizer, text):
    texts = token_texts(tokenizer, len(tokenizer))
    assert "".join(texts[i] for i in plain_ids(tokenizer, text)).lstrip(" ") == text


@pytest.mark.parametrize("tokenizer", [byte_level(), metaspace()], ids=["byte_level", "metaspace"])
def test_bytes_and_breaks_are_shown(tokenizer):
    texts = token_texts(tokenizer, len(tokenizer))
    shown = [texts[i] for i in plain_ids(tokenizer, "a\n\u2026")]
    assert shown[-4:] == ["\n", "<0xE2>", "<0x80>", "<0xA6>"]


def test_ids_beyond_the_tokenizer_have_a_name():
    tokenizer = byte_level()
    texts = token_texts(tokenizer, len(tokenizer) + 2)
    assert texts[0] == "<|endoftext|>"
    assert texts[-2:] == [f"<id {len(tokenizer)}>", f"<id {len(tokenizer) + 1}>"]


def test_special_ids():
    assert special_ids(byte_level()) == {0}
    assert special_ids(metaspace()) == {0, 1, 2}


def test_special_strings_in_a_text_are_text():
    tokenizer = byte_level(add_bos=True)
    ids = plain_ids(tokenizer, "a <|endoftext|> b")
    assert 0 not in ids
    assert "".join(token_texts(tokenizer, len(tokenizer))[i] for i in ids) == "a <|endoftext|> b"


@pytest.mark.parametrize("tokenizer", [byte_level(), byte_level(add_bos=True)], ids=["adds none", "adds its own"])
def test_bos_is_the_tokenizers_in_auto_and_none_when_refused(tokenizer):
    assert resolve_bos(tokenizer, "auto") == resolve_bos(tokenizer, True) == 0
    assert resolve_bos(tokenizer, False) is None


def test_bos_asked_of_a_tokenizer_that_has_none():
    class NoBos:
        bos_token_id = None

    assert resolve_bos(NoBos(), "auto") is None
    with pytest.raises(ConfigError, match="no BOS token"):
        resolve_bos(NoBos(), True)


def test_own_prefix_even_where_text_becomes_the_bos():
    # the golden tokenizer maps unknown words to the id of its BOS
    assert own_prefix(load_tokenizer(str(GOLDEN / "gpt2_tiny" / "model"))) == [0]
    assert own_prefix(byte_level(add_eos=True)) == []


def test_loading_what_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        load_tokenizer(str(tmp_path))
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x")
    with pytest.raises(ModelError, match="it is a file"):
        load_tokenizer(str(file))
    with pytest.raises(ModelError, match="nobody/nothing") as error:
        load_tokenizer("nobody/nothing")
    assert "\n" not in str(error.value)


def test_damaged_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ModelError):
        load_tokenizer(str(tmp_path))
