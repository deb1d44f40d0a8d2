"""Tokenizers: loading one, its BOS, its special tokens, and what each token looks like as text."""

import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from flowatlas.errors import ConfigError, ModelError
from flowatlas.hub import settle_offline

PROBE = "a"  # any text of at least one token shows what a tokenizer puts around a text
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def load_tokenizer(name: str, revision: str | None = None, with_code: bool = False) -> Any:
    """The tokenizer of a folder or hub id (a transformers PreTrainedTokenizerFast); `with_code`: one that brings Python
    code of its own may run it. Raises ModelError."""
    path = Path(name)
    if path.is_file():
        raise ModelError(f"model {name}: it is a file; give the folder that holds config.json and tokenizer.json")
    if not path.is_dir():
        settle_offline()
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=with_code)
    except Exception as error:  # besides OSError and ValueError, the Rust library raises bare Exceptions
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        hint = (
            "are tokenizer.json and tokenizer_config.json there, and whole?"
            if path.is_dir()
            else "is it a folder, or a name on the hub?"
        )
        raise ModelError(f"model {name}: its tokenizer cannot be loaded ({why}); {hint}") from error
    if not set(tokenizer.get_vocab().values()) - special_ids(tokenizer):  # what transformers makes of a missing file
        raise ModelError(f"model {name}: its tokenizer knows no token; is its tokenizer.json there?")
    return tokenizer


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of `text` as data: nothing is put around it, and strings such as <|endoftext|> in it are text.

    A tokenizer that cannot tell a special token's string from the token (`split_special_tokens` is not supported)
    maps it to that token.
    """
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return list(encoded["input_ids"])


def own_prefix(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer itself puts before a text (often its BOS). What it puts after one is never used: a
    model that has read an EOS predicts another text."""
    encoded = tokenizer(PROBE, add_special_tokens=True, return_special_tokens_mask=True, verbose=False)
    pairs = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
    return [index for index, _ in itertools.takewhile(lambda pair: pair[1], pairs)]


def resolve_bos(tokenizer: Any, prepend_bos: str | bool) -> int | None:
    """The BOS that the model's input starts with, or None: `Encoder` puts it there exactly once, whether or not the
    tokenizer would have added it by itself.

    auto: the tokenizer's BOS when it has one. True: the same, but ConfigError when it has none. False: none.
    """
    if prepend_bos is False:
        return None
    bos = tokenizer.bos_token_id
    if bos is None and prepend_bos is True:
        raise ConfigError("model.prepend_bos=true, but the tokenizer has no BOS token: use auto or false")
    return bos


def special_ids(tokenizer: Any) -> set[int]:
    """Ids of control tokens (BOS, padding, chat marks): no text, whatever they look like."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return set(tokenizer.all_special_ids) | {index for index, token in added.items() if token.special}


def token_texts(tokenizer: Any, n: int) -> list[str]:
    """The text of ids 0..n-1, for display: real spaces and line breaks, bytes that are no UTF-8 by themselves as
    <0xE2><0x80>, ids that the tokenizer does not know (vocabularies are padded) as <id 50300>."""
    return TokenText(tokenizer).texts(range(n))


class TokenText:
    """From ids to display text; looks at the tokenizer's decoder once."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        parts = json.loads(backend.to_str()) if backend is not None else {}
        shape = json.dumps([parts.get("decoder"), parts.get("pre_tokenizer"), parts.get("normalizer")])
        self._byte_level = '"ByteLevel"' in shape
        self._metaspace = "\u2581" in shape or "\\u2581" in shape or backend is None
        self._added = {index: token.content for index, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}

    def texts(self, ids: Any) -> list[str]:
        """One string per id."""
        ids = list(ids)
        size = len(self._tokenizer)
        known = iter(self._tokenizer.convert_ids_to_tokens([i for i in ids if i < size]))
        return [self._text(i, next(known) if i < size else None) for i in ids]

    def _text(self, index: int, piece: str | None) -> str:
        if index in self._added:
            return self._added[index]  # stored as it is written, not in the pieces' alphabet
        if piece is None:
            return f"<id {index}>"
        if self._byte_level:
            data = [_byte_alphabet().get(c) for c in piece]
            return piece if None in data else _shown(bytes(b for b in data if b is not None))
        if self._metaspace:
            byte = _BYTE_PIECE.fullmatch(piece)
            return _shown(bytes([int(byte[1], 16)])) if byte else piece.replace("\u2581", " ")
        return piece


def _shown(data: bytes) -> str:
    """UTF-8 as text, every other byte as <0xE2>."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(f"<0x{ord(c) - 0xDC00:02X}>" if "\udc80" <= c <= "\udcff" else c for c in text)


@cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's: printable bytes stand for themselves, the others for the characters from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
