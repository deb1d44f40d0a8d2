"""What a page or a shell asks of a model that stays loaded: a prompt, edits, how many tokens to write."""

from dataclasses import dataclass
from typing import Any

from flowatlas import edits
from flowatlas.edits import Edit
from flowatlas.errors import ConfigError

MOST_LETTERS, MOST_EDITS, MOST_NEW_TOKENS = 20_000, 24, 64
PLAIN = "as it is"  # the role of a prompt beside its edited twin

_KEYS = {"text", "answer", "foil", "edits", "new_tokens"}


@dataclass(frozen=True)
class Request:
    """`edits` as they were written, each read once already; none: the prompt is run as it is."""

    text: str
    answer: str | None = None
    foil: str | None = None
    edits: tuple[Edit, ...] = ()
    new_tokens: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a dataset that it comes to: one, or with edits a pair."""
        row = {"text": self.text, "answer": self.answer, "foil": self.foil}
        row = {key: value for key, value in row.items() if value is not None}
        if not self.edits:
            return [row]
        written = [str(edit) for edit in self.edits]
        edited = written[0] if len(written) == 1 else f"{len(written)} edits"  # short: it heads a column
        pair = [{"role": PLAIN}, {"role": edited, "edits": written}]
        return [{**row, "pair_id": "edited", **side} for side in pair]

    def to_json(self) -> dict[str, Any]:
        """As a page sends it."""
        written = {"edits": [str(edit) for edit in self.edits], "new_tokens": self.new_tokens}
        return {"text": self.text, "answer": self.answer, "foil": self.foil, **written}


def read(content: Any) -> Request:
    """Of what a page sent. Raises ConfigError, whose message its reader sees."""
    if not isinstance(content, dict) or set(content) - _KEYS:
        raise ConfigError(f"a prompt is asked for by {', '.join(sorted(_KEYS))}, and nothing else")
    written, n = content.get("edits") or [], content.get("new_tokens") or 0
    if not isinstance(written, list) or not all(isinstance(edit, str) for edit in written):
        raise ConfigError("edits are a list of texts such as L5H1=off")
    if isinstance(n, bool) or not isinstance(n, int):
        raise ConfigError("new_tokens is a whole number")
    return of_words(content.get("text"), content.get("answer"), content.get("foil"), written, n)


def of_words(text: Any, answer: Any, foil: Any, written: list[str], new_tokens: int) -> Request:
    """Of its parts; an empty answer or foil is none. Raises ConfigError."""
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("a prompt needs a text")
    for name, given in (("text", text), ("answer", answer), ("foil", foil)):
        if given is not None and not isinstance(given, str):
            raise ConfigError(f"{name} is a text")
        if len(given or "") > MOST_LETTERS:
            raise ConfigError(f"{name} has {len(given or '')} letters: {MOST_LETTERS} at most")
    if len(written) > MOST_EDITS:
        raise ConfigError(f"{len(written)} edits: {MOST_EDITS} at most")
    if not 0 <= new_tokens <= MOST_NEW_TOKENS:
        raise ConfigError(f"{new_tokens} tokens cannot be written: it must be 0 to {MOST_NEW_TOKENS}")
    found = tuple(edits.parse(edit) for edit in written)
    edits.disjoint(found)
    return Request(text, answer or None, foil or None, found, new_tokens)
