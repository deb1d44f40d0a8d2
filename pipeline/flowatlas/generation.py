"""Greedy continuation: prompts in, the same prompts with the tokens that the model writes after them.

Hugging Face's own generation with its cache, through the hooks of the bridge. Prompts are padded on the left, as it wants
them; every position from which a token was written becomes a target, beside those that were asked for.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from transformers import GenerationConfig

from flowatlas.models import Model
from flowatlas.prompts import Continued, Prompt
from flowatlas.tokens import TokenText


class Continuation:
    """Continues prompts by `n` tokens at most: fewer where the text ends, or the model's context does."""

    def __init__(self, model: Model, tokenizer: Any, n: int) -> None:
        self._model, self._tokenizer, self._n = model, tokenizer, n
        self._display = TokenText(tokenizer)
        self._ends = _end_ids(model)

    def __call__(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts in their order; one that fills the context already is continued by nothing."""
        written: dict[int, list[int]] = {}
        for room, group in groupby(
            sorted(range(len(prompts)), key=lambda i: self._room(prompts[i])), lambda i: self._room(prompts[i])
        ):
            places = list(group)
            found = greedy(self._model, [prompts[i].token_ids for i in places], room, self._ends)
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


def greedy(model: Model, prompts: Sequence[tuple[int, ...]], n: int, ends: Sequence[int]) -> list[list[int]]:
    """The likeliest token again and again: at most `n` ids for each prompt, the last of which may be one of `ends`."""
    if n == 0:
        return [[] for _ in prompts]
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(prompts):
        ids[row, width - len(tokens) :] = torch.tensor(tokens)
        mask[row, width - len(tokens) :] = 1
    pad = ends[0] if ends else 0
    config = GenerationConfig(max_new_tokens=n, do_sample=False, eos_token_id=list(ends) or None, pad_token_id=pad)
    with torch.inference_mode(), _generating_by(model.bridge.original_model, config) as hf:
        out = hf.generate(ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config)
    return [_until_end(row, ends) for row in out[:, width:].tolist()]


@contextlib.contextmanager
def _generating_by(hf: Any, config: GenerationConfig) -> Iterator[Any]:
    """The model, which otherwise fills what a configuration leaves open from its checkpoint's (sampling, penalties, ends)."""
    own, hf.generation_config = hf.generation_config, config
    try:
        yield hf
    finally:
        hf.generation_config = own


def _until_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    """Up to the first end, which is kept: what follows it is padding."""
    end = next((place for place, index in enumerate(ids) if index in ends), len(ids))
    return ids[: end + 1]


def _end_ids(model: Model) -> list[int]:
    """Ids that end a text or a turn, as the checkpoint's own generation knows them."""
    settings = getattr(model.bridge.original_model, "generation_config", None)
    found = getattr(settings, "eos_token_id", None)
    if found is None:
        found = getattr(model.located.config, "eos_token_id", None)
    return [] if found is None else [found] if isinstance(found, int) else list(found)
