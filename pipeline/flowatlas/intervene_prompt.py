"""`flowatlas intervene --prompt "..."`: one prompt before and after, in the terminal."""

from collections.abc import Iterator
from typing import Any

from flowatlas.before_after import Asked, BeforeAfter
from flowatlas.edit_lists import Intervention
from flowatlas.encode import Encoder
from flowatlas.errors import ConfigError, DatasetError
from flowatlas.intervene import continuations
from flowatlas.interventions import check
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.rows import Prompt, Reject, Row
from flowatlas.tokens import TokenText

SHOWN = 5  # tokens of each side


def ask(encoder: Encoder, text: str, answer: str | None, foil: str | None) -> Asked:
    """The prompt at its last token. Raises DatasetError where it cannot be read."""
    item = encoder.encode(Row(0, "0", text, answer=answer, foil=foil))
    if isinstance(item, Reject):
        raise DatasetError(f"the prompt cannot be read: {item.detail}")
    return Asked(0, None, item.token_ids, len(item.token_ids) - 1, _first(item, "answer"), _first(item, "foil"))


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
    yield " ".join(f"{position}:{token!r}" for position, token in enumerate(text.texts(asked.token_ids)))
    yield f"edits: {', '.join(map(str, intervention.edits))}"
    yield from _top(rows["lens"], text)
    yield from _tokens(rows["predictions"][0], text)
    yield from _course(rows["course"])
    if generate:
        (row,) = continuations(model, tokenizer, [asked], intervention, generate, means)
        yield f"continued before: {row['text_before']!r}"
        yield f"continued after:  {row['text_after']!r}"


def _top(lens: list[dict[str, Any]], text: TokenText) -> Iterator[str]:
    """The likeliest tokens of both sides beside each other."""
    end = lens[-1]["layer"], lens[-1]["point"]
    last = [row for row in lens if (row["layer"], row["point"]) == end]
    sides = [[row for row in last if row["side"] == side] for side in ("before", "after")]
    yield f"\n  {'before':32}after"
    for both in zip(*sides, strict=True):
        before, after = (f"{text.texts([row['token_id']])[0]!r:22} {row['prob']:6.1%}" for row in both)
        yield f"  {before:32}{after}"
    yield ""


def _tokens(row: dict[str, Any], text: TokenText) -> Iterator[str]:
    """What becomes of answer and foil, and of the whole prediction."""
    for name in ("answer", "foil"):
        if row[f"{name}_id"] is not None:
            (token,) = text.texts([row[f"{name}_id"]])
            before, after = row[f"{name}_logprob_before"], row[f"{name}_logprob_after"]
            ranks = f"rank {row[f'{name}_rank_before']} -> {row[f'{name}_rank_after']}"
            yield f"{name} {token!r}: {ranks}, log probability {before:.3f} -> {after:.3f} ({after - before:+.3f})"
    yield f"divergence (KL): {row['kl']:.4f} nats"


def _course(course: list[dict[str, Any]]) -> Iterator[str]:
    """The answer in the lens, layer by layer."""
    yield "\nanswer in the lens       before           after"
    after = [row for row in course if row["side"] == "after"]
    for a, b in zip((row for row in course if row["side"] == "before"), after, strict=True):
        place = "embedding" if a["layer"] < 0 else f"L{a['layer']} {'attention' if a['point'] == 'mid' else 'block'}"
        sides = [f"{row['answer_prob']:7.2%} rank {row['answer_rank']}" for row in (a, b)]
        yield f"  {place:20}{sides[0]:20}{sides[1]}{'  *' if a['answer_rank'] != b['answer_rank'] else ''}"
