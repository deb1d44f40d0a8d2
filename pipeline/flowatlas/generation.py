"""Prompts in, the same prompts with the tokens that the model writes after them.

Every position from which a token was written becomes a target, beside those that were asked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from flowatlas import greedy
from flowatlas.edits import Edit
from flowatlas.models import Model
from flowatlas.prompts import Continued, Prompt
from flowatlas.tokens import TokenText


class Continuation:
    """Continues prompts by `n` tokens at most: fewer where the text ends, or the model's context does."""

    def __init__(self, model: Model, tokenizer: Any, n: int) -> None:
        self._model, self._tokenizer, self._n = model, tokenizer, n
        self._display = TokenText(tokenizer)
        self._ends = greedy.end_ids(model)

    def __call__(self, prompts: Sequence[Prompt], edits: Sequence[Edit] = ()) -> list[Prompt]:
        """The prompts in their order; one that fills the context already is continued by nothing."""
        written: dict[int, list[int]] = {}
        for room, group in groupby(
            sorted(range(len(prompts)), key=lambda i: self._room(prompts[i])), lambda i: self._room(prompts[i])
        ):
            places = list(group)
            found = greedy.written(self._model, [prompts[i].token_ids for i in places], room, edits)
            written.update(zip(places, found, strict=True))
        return [self._continued(prompt, written[i]) for i, prompt in enumerate(prompts)]

    def _room(self, prompt: Prompt) -> int:
        return max(0, min(self._n, self._model.located.max_tokens - len(prompt.token_ids)))

    def _continued(self, prompt: Prompt, ids: list[int]) -> Prompt:
        n_given = len(prompt.token_ids)
        text = self._tokenizer.decode([index for index in ids if index not in self._ends])
        return replace(
            prompt,
            token_ids=(*prompt.token_ids, *ids),
            tokens=(*prompt.tokens, *self._display.texts(ids)),
            targets=tuple(sorted({*prompt.targets, n_given - 1, *range(n_given, n_given + len(ids) - 1)})),
            continued=Continued(n_given, text, bool(ids) and ids[-1] in self._ends),
        )
