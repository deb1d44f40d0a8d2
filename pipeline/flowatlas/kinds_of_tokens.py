"""What sort of text a token is: a word, a later piece of one, digits, punctuation and its group. Any script, any tokenizer."""

import unicodedata
from typing import NamedTuple

WORD, DIGIT, PUNCTUATION, SPACE, SPECIAL, OTHER = "word", "digit", "punctuation", "space", "special", "other"

# Marks that do the same work; any other mark is a group of its own (that mark).
PUNCTUATION_GROUPS = {
    "end": ".!?…。！？।؟",  # noqa: RUF001 (full-width marks are meant)
    "pause": ",;:–—-、，；：،؛",  # noqa: RUF001
    "quote": "\"'`“”‘’«»„‚‹›「」『』",  # noqa: RUF001
    "open": "([{（［｛<",  # noqa: RUF001
    "close": ")]}）］｝>",  # noqa: RUF001
}
_GROUP_OF = {mark: group for group, marks in PUNCTUATION_GROUPS.items() for mark in marks}


class TokenKind(NamedTuple):
    """`begins` and `ends`: whether it begins (ends) within a word, so that it may go on with the one before (after) it."""

    kind: str
    marks: str | None
    begins: bool
    ends: bool


def token_kind(text: str, special: bool = False) -> TokenKind:
    """The kind of a token from its text (bytes that are no UTF-8 are written <0xE2>: part of some letter)."""
    if special:
        return TokenKind(SPECIAL, None, False, False)
    if text.startswith("<0x") and text.endswith(">"):
        return TokenKind(WORD, None, True, True)
    core = text.strip(" \t\r\n\u2581\u0120")
    if not core:
        return TokenKind(SPACE, None, False, False)
    begins, ends = text[0] == core[0] and _in_word(core[0]), text[-1] == core[-1] and _in_word(core[-1])
    if all(character.isnumeric() for character in core):
        return TokenKind(DIGIT, None, begins, ends)
    if all(_is_mark(character) for character in core):
        return TokenKind(PUNCTUATION, _GROUP_OF.get(core[0], core[0]), begins, ends)
    return TokenKind(WORD if any(_in_word(character) for character in core) else OTHER, None, begins, ends)


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
