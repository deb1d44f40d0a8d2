"""`flowatlas intervene --prompt "..."`: one prompt before and after, in the terminal."""

import textwrap
from collections.abc import Iterator
from typing import Any

from flowatlas.before_after import Asked, BeforeAfter
from flowatlas.edit_lists import Intervention
from flowatlas.edits import Edit
from flowatlas.encode import Encoder
from flowatlas.errors import ConfigError, DatasetError
from flowatlas.intervene import continuations
from flowatlas.interventions import check, on_values
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.rows import Prompt, Reject, Row
from flowatlas.schema_interventions import SIDES
from flowatlas.tokens import TokenText

SHOWN = 5  # tokens of each side
LONGEST, WIDTH = 200, 120  # tokens of the prompt that are written out, and letters of a line


def ask(encoder: Encoder, text: str, answer: str | None, foil: str | None) -> Asked:
    """The prompt at its last token. Raises DatasetError where it cannot be read."""
    item = encoder.encode(Row(0, "0", text, answer=answer, foil=foil))
    if isinstance(item, Reject):
        raise DatasetError(f"the prompt cannot be read: {item.detail}")
    came_from = "prediction" if answer is None else "dataset"
    ids = item.token_ids
    return Asked(0, None, ids, len(ids) - 1, _first(item, "answer"), _first(item, "foil"), came_from)


def _first(item: Prompt, which: str) -> int | None:
    ids = getattr(item, f"{which}_token_ids")
    return ids[0] if ids else None


def lines(
    model: Model, tokenizer: Any, asked: Asked, intervention: Intervention, generate: int, means: Means | None
) -> Iterator[str]:
    """What is printed. Raises ConfigError for a component that the model has not, or a position that the prompt has not."""
    check(model, intervention.edits, means)
    n = len(asked.token_ids)
    for edit in intervention.edits:
        if strange := [position for position in edit.positions or () if not -n <= position < n]:
            raise ConfigError(f"{edit}: the prompt has {n} tokens, so no position {strange[0]}")
    (rows,) = BeforeAfter(model, SHOWN, means)([asked], intervention.edits)
    text = TokenText(tokenizer)
    yield from _prompt(text.texts(asked.token_ids))
    on = on_values(model, asked.token_ids, intervention.edits)
    written = [f"{edit}{_comes_to(edit, on)}" for edit in intervention.edits]
    yield f"edits: {', '.join(written)}"
    yield from _top(rows["lens"], text)
    yield from _tokens(rows["predictions"][0], text)
    yield from _course(rows["course"], [row for row in rows["lens"] if row["rank"] == 1], text)
    if generate:
        (row,) = continuations(model, tokenizer, [asked], intervention, generate, means)
        yield ""
        yield f"continued before: {row['text_before']!r}"
        yield f"continued after:  {row['text_after']!r}"


def _comes_to(edit: Edit, on: dict[int, float]) -> str:
    """In words, the activation that a neuron is turned on with."""
    return f" (activation {on[edit.component.layer]:.4g})" if edit.action == "on" else ""


def _prompt(tokens: list[str]) -> list[str]:
    """Its tokens with their positions; the last ones of a long prompt."""
    joined = "\xa0"  # in place of a blank where no line may end; repr writes a token's own otherwise
    numbered = [f"{position}:{token!r}".replace(" ", joined) for position, token in enumerate(tokens)]
    shown = numbered if len(numbered) <= LONGEST else ["...", *numbered[-LONGEST:]]
    return [line.replace(joined, " ") for line in textwrap.wrap(" ".join(shown), WIDTH, break_on_hyphens=False)]


def _top(lens: list[dict[str, Any]], text: TokenText) -> Iterator[str]:
    """The likeliest tokens of both sides beside each other."""
    end = lens[-1]["layer"], lens[-1]["point"]
    last = [row for row in lens if (row["layer"], row["point"]) == end]
    sides = [[row for row in last if row["side"] == side] for side in SIDES]
    yield f"\n  {'predicted before':32}predicted after"
    for both in zip(*sides, strict=True):
        before, after = (f"{_short(text, row['token_id'], 22)} {row['prob']:6.1%}" for row in both)
        yield f"  {before:32}{after}"
    yield ""


def _short(text: TokenText, token_id: int, width: int) -> str:
    """A token in quotes, in a column of that width."""
    (token,) = text.texts([token_id])
    return f"{token!r:{width}.{width}}"


def _tokens(row: dict[str, Any], text: TokenText) -> Iterator[str]:
    """What becomes of answer and foil, and of the whole prediction."""
    for name in ("answer", "foil"):
        if row[f"{name}_id"] is not None:
            (token,) = text.texts([row[f"{name}_id"]])
            own = name == "foil" or row["answer_from"] != "prediction"
            yield (
                f"{name} {token!r}: rank {row[f'{name}_rank_before']} -> {row[f'{name}_rank_after']}, "
                + ", ".join(
                    f"{word} {_change(row[f'{name}_{column}_before'], row[f'{name}_{column}_after'])}"
                    for word, column in (("logit", "logit"), ("log probability", "logprob"))
                )
                + ("" if own else " (what is predicted without the edits; --answer names another)")
            )
    if row["foil_id"] is not None:
        gaps = (row[f"answer_logit_{side}"] - row[f"foil_logit_{side}"] for side in SIDES)
        yield f"answer less foil: {_change(*gaps)}"
    yield f"divergence (KL): {row['kl']:.4f} nats"


def _change(before: float, after: float) -> str:
    return f"{before:.3f} -> {after:.3f} ({after - before:+.3f})"


def _course(course: list[dict[str, Any]], tops: list[dict[str, Any]], text: TokenText) -> Iterator[str]:
    """The lens layer by layer: the answer and the likeliest token; a star where one of the two is another."""
    sides = [[pair for pair in zip(course, tops, strict=True) if pair[0]["side"] == side] for side in SIDES]
    yield f"\n{'in the lens':16}{'answer before':19}{'likeliest':16}{'answer after':19}likeliest"
    for both in zip(*sides, strict=True):
        at = both[0][0]
        place = "embedding" if at["layer"] < 0 else f"L{at['layer']} {'attention' if at['point'] == 'mid' else 'block'}"
        cells = [
            f"{row['answer_prob']:7.2%} rank {row['answer_rank']:<5}{_short(text, top['token_id'], 15)}"
            for row, top in both
        ]
        seen = [(row["answer_rank"], top["token_id"]) for row, top in both]
        yield f"  {place:14}{cells[0]} {cells[1]}{'' if seen[0] == seen[1] else '*'}".rstrip()
