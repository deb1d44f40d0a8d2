"""Knock-outs: each of a prompt's top heads and MLPs is removed by itself, and the answer is asked for again.

A component is removed at all positions, its output set to zero or to its mean over the dataset (`means`). Its effect is what
the answer loses: the logit, or log probability, of the answer with everything in its place less that without the component.
Effects are total: whatever later layers make of the change counts (a direct effect, `logit_effects`, leaves them as they were).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from torch import Tensor

from flowatlas.component_names import Component
from flowatlas.config import KnockoutsConfig
from flowatlas.edits import Action, Edit
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.schema import REMOVALS, TABLES
from flowatlas.stored_prompts import StoredPrompt, stored_prompts
from flowatlas.under_edits import Predictor, Row

_ACTION: dict[str, Action] = {"zero": "off", "mean": "mean"}


class _Removal(NamedTuple):
    """One component that is removed from one prompt; none where nothing is."""

    prompt: StoredPrompt
    component: Component | None = None
    removal: str = ""

    def row(self) -> Row:
        edits = [] if self.component is None else [Edit(self.component, _ACTION[self.removal])]
        return Row(self.prompt.token_ids, self.prompt.target, edits)


class Knockouts:
    """Removes components from the prompts of extracted batches."""

    def __init__(self, model: Model, config: KnockoutsConfig, seed: int, means: Means) -> None:
        self._model, self._config, self._seed = model, config, seed
        self._predict = Predictor(model, means)

    def table(self, tables: dict[str, pa.Table]) -> pa.Table:
        """The rows of `knockouts` for the prompts of a batch, from its other tables."""
        shape = self._model.n_layers, self._model.n_heads, self._model.stream.parallel
        prompts = [prompt for prompt in stored_prompts(tables, *shape) if self._is_drawn(prompt.prompt_id)]
        tried = [removal for prompt in prompts for removal in self._of(prompt)]
        columns: dict[str, list[Any]] = {name: [] for name in TABLES["knockouts"].schema.names}
        for row in self._effects(tried):
            for name, value in row.items():
                columns[name].append(value)
        return TABLES["knockouts"].from_columns(columns)

    def _is_drawn(self, prompt_id: int) -> bool:
        """Of each prompt by itself, so that it does not hang on which others there are."""
        draw = np.random.default_rng([self._seed, *b"knockouts", prompt_id]).random()
        return bool(draw < self._config.sample)

    def _of(self, prompt: StoredPrompt) -> Iterator[_Removal]:
        """The prompt as it is, then without each of its top components."""
        yield _Removal(prompt)
        for component in prompt.by_route()[: self._config.top_k]:
            for removal in REMOVALS:
                yield _Removal(prompt, component, removal)

    def _effects(self, tried: list[_Removal]) -> Iterator[dict[str, Any]]:
        """A row of the table for each removal."""
        whole: dict[int, Tensor] = {}  # logits of a prompt as it is [1, token]
        for places, logits in self._predict([removal.row() for removal in tried]):
            of_batch = [tried[place] for place in places]
            for removal, own in zip(of_batch, logits.split(1), strict=True):
                if removal.component is None:
                    whole = {removal.prompt.prompt_id: own}
                else:
                    yield self._row(removal, whole[removal.prompt.prompt_id], own)

    def _row(self, removal: _Removal, whole: Tensor, without: Tensor) -> dict[str, Any]:
        """whole, without [1, token]: logits with everything in its place, and without the component."""
        prompt, component = removal.prompt, removal.component
        assert component is not None
        before, after = whole[0].log_softmax(-1), without[0].log_softmax(-1)
        lost, foil = whole[0] - without[0], prompt.foil_id
        return {
            "prompt_id": prompt.prompt_id,
            "target": prompt.target,
            "layer": component.layer,
            "component": component.kind,
            "index": component.index,
            "removal": removal.removal,
            "route_tau": prompt.route_tau(component),
            "effect_answer": lost[prompt.answer_id].item(),
            "effect_foil": None if foil is None else lost[foil].item(),
            "effect_logprob": (before - after)[prompt.answer_id].item(),
            "divergence": max(0.0, (before.exp() * (before - after)).sum().item()),
            "answer_rank": 1 + int((without[0] > without[0, prompt.answer_id]).sum()),
        }
