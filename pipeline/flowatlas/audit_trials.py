"""The trials of an audit: answers with only some heads and MLPs in their place, or with all but some.

What is not in its place is at its mean over the dataset, at all positions. Sets that are the same in a prompt are tried once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from flowatlas import activations
from flowatlas.activations import Activations, Batch
from flowatlas.audit_sets import Chosen, Members, sets
from flowatlas.component_names import Component
from flowatlas.edits import Edit
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.schema_audit import AUDIT_TABLES, MODES
from flowatlas.stored_prompts import StoredPrompt
from flowatlas.under_edits import Predictor, Row

Array = np.ndarray
Rows = dict[str, list[dict[str, Any]]]


class Trial(NamedTuple):
    """A set at a threshold, kept or removed."""

    tau: float
    mode: str
    chosen: Chosen

    @property
    def removed(self) -> Members:
        return self.chosen.members if self.mode == "remove" else ~self.chosen.members


class Answer(NamedTuple):
    """Of one forward pass."""

    answer_logit: float
    answer_logprob: float
    foil_logit: float | None


class Trials:
    """Tries the sets of prompts in a model."""

    def __init__(self, model: Model, means: Means, taus: Sequence[float], draws: int, seed: int) -> None:
        self.model, self._taus, self._draws, self._seed = model, taus, draws, seed
        self._predict = Predictor(model, means)
        self._edits = _edits(model)

    def tables(self, prompts: Sequence[StoredPrompt]) -> dict[str, pa.Table]:
        """The rows of `trials` and `ends` for these prompts."""
        attention = self._attention(prompts)
        trials = {prompt.prompt_id: list(self._trials(prompt, attention[row])) for row, prompt in enumerate(prompts)}
        answers = self._answers(prompts, trials)
        rows: Rows = {"trials": [], "ends": []}
        for prompt in prompts:
            found = answers[prompt.prompt_id]
            rows["ends"].append(self._ends(prompt, found))
            rows["trials"] += [_row(prompt, trial, found[trial.removed.key]) for trial in trials[prompt.prompt_id]]
        return {name: _table(name, listed) for name, listed in rows.items()}

    def _trials(self, prompt: StoredPrompt, attention: Array) -> Iterator[Trial]:
        for tau in self._taus:
            for chosen in sets(prompt, attention, tau, self._draws, self._seed):
                for mode in MODES:
                    yield Trial(tau, mode, chosen)

    def _answers(
        self, prompts: Sequence[StoredPrompt], trials: dict[int, list[Trial]]
    ) -> dict[int, dict[bytes, Answer]]:
        """By prompt and by the key of what is removed, each once; both ends included."""
        none, everything = self._ends_of_sets()
        wanted: list[tuple[StoredPrompt, Members]] = []
        for prompt in prompts:
            removed = [none, everything, *(trial.removed for trial in trials[prompt.prompt_id])]
            wanted += [(prompt, members) for members in {members.key: members for members in removed}.values()]
        rows = [Row(prompt.token_ids, prompt.target, self._without(members)) for prompt, members in wanted]
        found: dict[int, dict[bytes, Answer]] = {prompt.prompt_id: {} for prompt in prompts}
        for places, logits in self._predict(rows):
            for (prompt, members), own in zip((wanted[place] for place in places), logits, strict=True):
                found[prompt.prompt_id][members.key] = _answer(prompt, own)
        return found

    def _ends_of_sets(self) -> tuple[Members, Members]:
        """No component, and all of them."""
        shape = self.model.n_layers, self.model.n_heads
        none = Members(np.zeros(shape, bool), np.zeros(shape[0], bool))
        return none, ~none

    def _without(self, members: Members) -> list[Edit]:
        heads, mlps = self._edits
        return [*heads[members.heads].tolist(), *mlps[members.mlps].tolist()]

    def _attention(self, prompts: Sequence[StoredPrompt]) -> Array:
        """Each head's largest attention from the target to an earlier position, the first apart: [prompt, layer, head]."""
        batch = Batch.of([tuple(prompt.token_ids) for prompt in prompts], self.model.device)
        target = torch.tensor([prompt.target for prompt in prompts], device=batch.ids.device)
        found: list[Tensor] = []

        def read(l: int, acts: Activations) -> None:
            weights = acts.pattern(l)[torch.arange(len(target), device=target.device), :, target]  # [prompt, head, key]
            key = torch.arange(weights.shape[-1], device=target.device)
            allowed = (key > 0) & (key < target[:, None])
            found.append(torch.where(allowed[:, None], weights, 0).amax(-1).cpu())
            acts.forget_attention(l)

        activations.run(self.model, batch, read)
        return torch.stack(found, 1).numpy()

    def _ends(self, prompt: StoredPrompt, answers: dict[bytes, Answer]) -> dict[str, Any]:
        none, everything = self._ends_of_sets()
        row = {
            "prompt_id": prompt.prompt_id,
            "group": prompt.group,
            "n_heads": none.heads.size,
            "n_mlps": none.mlps.size,
        }
        for end, members in (("whole", none), ("none", everything)):
            row |= {f"{name}_{end}": value for name, value in answers[members.key]._asdict().items()}
        return row


def _edits(model: Model) -> tuple[Array, Array]:
    """What sets a head [layer, head] or an MLP [layer] to its mean."""
    heads = np.empty((model.n_layers, model.n_heads), object)
    mlps = np.empty(model.n_layers, object)
    for layer in range(model.n_layers):
        mlps[layer] = Edit(Component("mlp", layer), "mean")
        for head in range(model.n_heads):
            heads[layer, head] = Edit(Component("head", layer, head), "mean")
    return heads, mlps


def _answer(prompt: StoredPrompt, logits: Tensor) -> Answer:
    """logits [token]."""
    logit = logits[prompt.answer_id]
    foil = None if prompt.foil_id is None else logits[prompt.foil_id].item()
    return Answer(logit.item(), (logit - logits.logsumexp(-1)).item(), foil)


def _row(prompt: StoredPrompt, trial: Trial, answer: Answer) -> dict[str, Any]:
    rule, draw, members = trial.chosen
    return {
        "prompt_id": prompt.prompt_id,
        "tau": trial.tau,
        "mode": trial.mode,
        "chosen": rule,
        "draw": draw,
        "n_heads": int(members.heads.sum()),
        "n_mlps": int(members.mlps.sum()),
        **answer._asdict(),
    }


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    declared = AUDIT_TABLES[name]
    return declared.from_columns({column: [row[column] for row in rows] for column in declared.schema.names})
