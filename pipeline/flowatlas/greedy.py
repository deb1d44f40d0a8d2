"""Greedy continuation, under edits or none: the likeliest token again and again, by Hugging Face's own generation."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from flowatlas.activations import Batch
from flowatlas.edits import Edit
from flowatlas.interventions import applied
from flowatlas.means import Means
from flowatlas.models import Model


def greedy(
    model: Model, prompts: Sequence[tuple[int, ...]], n: int, edits: Sequence[Edit] = (), means: Means | None = None
) -> list[list[int]]:
    """As `written`; an end of the text is left out."""
    ends = end_ids(model)
    return [ids[:-1] if ids and ids[-1] in ends else ids for ids in written(model, prompts, n, edits, means)]


def written(
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    n: int,
    edits: Sequence[Edit] = (),
    means: Means | None = None,
    ends: Sequence[int] | None = None,
) -> list[list[int]]:
    """At most `n` ids after each prompt, fewer where the model's context ends or the text does.

    The last one may be one of `ends` (None: those of the model). Prompts are padded on the left, as Hugging Face wants them.
    Raises ConfigError as `interventions.applied`.
    """
    n = min(n, model.located.max_tokens - max(map(len, prompts)))
    if n <= 0:
        return [[] for _ in prompts]
    ends = end_ids(model) if ends is None else list(ends)
    batch = Batch.of(list(prompts), model.device, left=True)
    pad = ends[0] if ends else 0
    config = GenerationConfig(max_new_tokens=n, do_sample=False, eos_token_id=ends or None, pad_token_id=pad)
    with (
        applied(model, [edits] * len(prompts), batch, means),
        torch.inference_mode(),
        _generating_by(model.bridge.original_model, config) as hf,
    ):
        out = hf.generate(batch.ids, attention_mask=batch.mask, generation_config=config)
    return [_until_end(row, ends) for row in out[:, batch.ids.shape[1] :].tolist()]


@contextlib.contextmanager
def _generating_by(hf: Any, config: GenerationConfig) -> Iterator[Any]:
    """The model, which otherwise fills what a configuration leaves open from its checkpoint's (sampling, penalties, ends)."""
    own, hf.generation_config = hf.generation_config, config
    try:
        yield hf
    finally:
        hf.generation_config = own


def end_ids(model: Model) -> list[int]:
    """Ids that end a text or a turn, as the checkpoint's own generation knows them."""
    found = getattr(getattr(model.bridge.original_model, "generation_config", None), "eos_token_id", None)
    if found is None:
        found = getattr(model.located.config, "eos_token_id", None)
    return [] if found is None else [found] if isinstance(found, int) else list(found)


def _until_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    """Up to the first end, which is kept: what follows it is padding."""
    end = next((place for place, index in enumerate(ids) if index in ends), len(ids))
    return ids[: end + 1]
