"""Rows of a dataset, and what becomes of them: a `Prompt` for the model, or a `Reject` with a reason.

Reasons: no_text, not_utf8, bad_json, bad_row, bad_targets (found here and by the readers); too_long,
target_out_of_range (found when the tokens are known, `encode.py`); failed, crashed (found when it is computed alone,
`poison.py`).
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flowatlas.config import ColumnsConfig

_WORDS = ("group", "pair_id", "role", "foil")


@dataclass(frozen=True)
class Row:
    """A row as the dataset gives it; `problem` is (reason, detail) and then nothing but the two ids is set.

    `prompt_id` counts rows from 0 (blank lines of .txt and .jsonl files are no rows), `source_id` is the dataset's
    own id, else that number. `answer` is a list where several are accepted. `extra` holds the other columns, JSON-able.
    """

    prompt_id: int
    source_id: str
    text: str | None = None
    group: str | None = None
    pair_id: str | None = None
    role: str | None = None
    answer: str | list[str] | None = None
    foil: str | None = None
    targets: list[int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    problem: tuple[str, str] | None = None


@dataclass(frozen=True)
class Reject:
    """A row that is not processed, and why; becomes a row of the table `rejects`."""

    prompt_id: int
    source_id: str
    reason: str
    detail: str


class Answer(NamedTuple):
    """A continuation as given, and all its tokens as it follows the text."""

    text: str
    token_ids: tuple[int, ...]


class Continued(NamedTuple):
    """How a model went on with a prompt: after `n_given` tokens all are its own; `ended`: the last one ends the text."""

    n_given: int
    text: str
    ended: bool


@dataclass(frozen=True)
class Prompt:
    """A row that is processed: `targets` are sorted positions over all tokens, a BOS included; `extra` is JSON.

    `answer_token_ids` are all tokens of the answer as it follows the text; the first one is explained. Where several
    answers are accepted, they are all in `accepted`, and the answer is the first of them until the model has chosen
    (`answers.choose`).
    """

    prompt_id: int
    source_id: str
    text: str
    group: str | None
    pair_id: str | None
    role: str | None
    extra: str | None
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    targets: tuple[int, ...]
    answer_text: str | None = None
    foil_text: str | None = None
    answer_token_ids: tuple[int, ...] | None = None
    foil_token_ids: tuple[int, ...] | None = None
    accepted: tuple[Answer, ...] = ()
    continued: Continued | None = None

    @property
    def asked(self) -> int:
        """The target at which the answer is expected: the last one, or where the text as given ends."""
        return self.targets[-1] if self.continued is None else self.continued.n_given - 1


class Bad(NamedTuple):
    """A record that could not even be read."""

    reason: str
    detail: str


Record = dict[str, Any] | Bad


def make_row(number: int, record: Record, columns: ColumnsConfig) -> Row:
    """The row that a record stands for; whatever is wrong with it becomes its `problem`."""
    source_id = str(number)
    if isinstance(record, Bad):
        return Row(number, source_id, problem=(record.reason, record.detail))
    try:
        source_id = _word("id", record.get(columns.id)) or source_id
        text = _text(record.get(columns.text))
        words = [_word(name, record.get(getattr(columns, name))) for name in _WORDS]
        answer = _answers(record.get(columns.answer))
        targets = _targets(record.get(columns.targets))
        used = set(vars(columns).values())
        extra = {_checked(str(key), "a column's name"): plain(v) for key, v in record.items() if key not in used}
    except _Unfit as unfit:
        return Row(number, source_id, problem=(unfit.bad.reason, unfit.bad.detail))
    group, pair_id, role, foil = words
    return Row(number, source_id, text, group, pair_id, role, answer, foil, targets, extra)


class _Unfit(Exception):
    """Raised and caught here: this row is a reject."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.bad = Bad(reason, detail)


def _text(value: Any) -> str:
    value = _decoded(value, "text")
    if value is None or _is_nan(value):
        raise _Unfit("no_text", "the text is missing")
    if not isinstance(value, str):
        raise _Unfit("no_text", f"the text is {_kind(value)}, not a string")
    if not value.strip():
        raise _Unfit("no_text", "the text is empty or blank")
    return _checked(value, "text")


def _word(name: str, value: Any) -> str | None:
    """A short string: numbers are written out (7.0 as 7: that is how a column of whole numbers with gaps arrives)."""
    value = _decoded(value, name)
    if value is None or value == "" or _is_nan(value):
        return None
    if isinstance(value, list | tuple | dict):
        raise _Unfit("bad_row", f"{name} is {_kind(value)}, not a string")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _checked(str(value), name)


def _answers(value: Any) -> str | list[str] | None:
    """One answer, or a list of those that are accepted, each once; a list of one is that one."""
    if not isinstance(value, list | tuple):
        return _word("answer", value)
    given = dict.fromkeys(word for one in value if (word := _word("answer", one)) is not None)
    return list(given) if len(given) > 1 else next(iter(given), None)


def _targets(value: Any) -> list[int] | None:
    """Positions: a list, a whole number, or either of them written as JSON in a string."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            raise _Unfit(
                "bad_targets", f"targets is {_short(value)}, not a list of positions such as [3, -1]"
            ) from None
    if value is None or _is_nan(value):
        return None
    listed = value if isinstance(value, list | tuple) else [value]
    positions = [int(p) for p in listed if _is_whole(p)]
    if not listed or len(positions) != len(listed):
        raise _Unfit("bad_targets", f"targets is {_short(value)}, not a list of positions such as [3, -1]")
    return positions


def plain(value: Any) -> Any:
    """`value` in terms of JSON: what JSON has no word for (dates, NaN, bytes) becomes a string. Raises for surrogates."""
    if isinstance(value, str):
        return _checked(value, "another column")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {_checked(str(key), "another column"): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"<{len(value)} bytes>"  # a picture, a sound: not what a prompt's metadata is for
    return str(value)


def extra_json(extra: dict[str, Any]) -> str | None:
    """The other columns as a JSON object; None when there are none."""
    return json.dumps(extra, ensure_ascii=False) if extra else None


def _decoded(value: Any, name: str) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _Unfit(*not_utf8(error, name)) from None


def not_utf8(error: UnicodeDecodeError, where: str) -> Bad:
    """The problem of bytes that are no UTF-8."""
    return Bad("not_utf8", f"{where}: byte 0x{error.object[error.start]:02X} at offset {error.start} is no UTF-8")


def _checked(text: str, name: str) -> str:
    """`text`, if it can be written as UTF-8: JSON's \\ud800 makes strings that cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise _Unfit("not_utf8", f"{name}: character {error.start} is {half}, half of a surrogate pair") from None
    return text


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        tuple: "a list",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def _short(value: Any) -> str:
    text = ascii(value)  # escaped: the detail must be one line, and safe wherever it is shown
    return text if len(text) <= 60 else f"{text[:57]}..."
