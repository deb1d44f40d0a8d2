"""Greedy continuation under edits: the likeliest token again and again, by Hugging Face's own generation with its cache."""

from collections.abc import Sequence

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
    """At most `n` ids after each prompt, fewer where the text ends or the model's context does; an end is left out.

    Prompts are padded on the left, as Hugging Face wants them. Raises ConfigError as `interventions.applied`.
    """
    n = min(n, model.located.max_tokens - max(map(len, prompts)))
    if n <= 0:
        return [[] for _ in prompts]
    ends = end_ids(model)
    batch = Batch.of(list(prompts), model.device, left=True)
    # A configuration of our own: what a checkpoint's asks for (sampling, penalties) would be no greedy continuation.
    pad = ends[0] if ends else 0
    config = GenerationConfig(max_new_tokens=n, do_sample=False, eos_token_id=ends or None, pad_token_id=pad)
    with applied(model, [edits] * len(prompts), batch, means), torch.inference_mode():
        out = model.bridge.original_model.generate(batch.ids, attention_mask=batch.mask, generation_config=config)
    return [_before_end(row, ends) for row in out[:, batch.ids.shape[1] :].tolist()]


def end_ids(model: Model) -> list[int]:
    """Ids that end a text or a turn, as the checkpoint's own generation knows them."""
    found = getattr(getattr(model.bridge.original_model, "generation_config", None), "eos_token_id", None)
    if found is None:
        found = getattr(model.located.config, "eos_token_id", None)
    return [] if found is None else [found] if isinstance(found, int) else list(found)


def _before_end(ids: list[int], ends: list[int]) -> list[int]:
    end = next((place for place, index in enumerate(ids) if index in ends), len(ids))
    return ids[:end]
