"""Which token is explained at each target, and which of several accepted answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowatlas import lens
from flowatlas.activations import Activations, Batch
from flowatlas.columns import Collector
from flowatlas.kernels import top_tokens
from flowatlas.models import Model
from flowatlas.prompts import Prompt
from flowatlas.schema import ANSWER_FROM

MISSING = -1


@dataclass
class Asked:
    """answer, foil: token ids, -1 for none; came_from: index into ANSWER_FROM; all [batch, pos], right at targets alone."""

    answer: Tensor
    foil: Tensor
    came_from: Tensor


def choose(
    model: Model,
    constant: Tensor | None,
    prompts: Sequence[Prompt],
    batch: Batch,
    acts: Activations,
    is_target: Tensor,
    rows: Collector,
) -> tuple[list[Prompt], Asked]:
    """Fix the explained token of every target: the dataset's where it is asked, else the next token, else the prediction.

    Of several accepted answers it is the likeliest, so that its rank is 1 whenever any of them is predicted; they become
    rows of `answers`, and the prompts come back with that one as their answer.
    """
    logits = _Logits(model, constant, acts)
    prompts = [_likeliest(prompt, logits, b, rows) if prompt.accepted else prompt for b, prompt in enumerate(prompts)]
    following = torch.nn.functional.pad(batch.ids[:, 1:], (0, 1))
    has_next = torch.nn.functional.pad(batch.mask[:, 1:].bool(), (0, 1))
    answer = torch.where(has_next, following, MISSING)
    came_from = torch.where(has_next, ANSWER_FROM.index("next_token"), ANSWER_FROM.index("prediction"))
    foil = torch.full_like(answer, MISSING)
    for b, prompt in enumerate(prompts):
        if prompt.continued is not None:  # what follows is the model's own prediction
            came_from[b, prompt.continued.n_given - 1 :] = ANSWER_FROM.index("prediction")
        if prompt.answer_token_ids:
            answer[b, prompt.asked] = prompt.answer_token_ids[0]
            came_from[b, prompt.asked] = ANSWER_FROM.index("dataset")
        if prompt.foil_token_ids:
            foil[b, prompt.asked] = prompt.foil_token_ids[0]
    b, pos = (is_target & (answer == MISSING)).nonzero(as_tuple=True)
    for some in torch.arange(len(b), device=b.device).split(lens.rows_at_once(model.final)):
        answer[b[some], pos[some]] = top_tokens(logits.at(b[some], pos[some]), 1)[1][:, 0, 0]
    return prompts, Asked(answer, foil, came_from)


class _Logits:
    """The model's logits [row, token] at positions of a batch."""

    def __init__(self, model: Model, constant: Tensor | None, acts: Activations):
        self._final, self._constant, self._last = model.final, constant, acts.resid[-1]

    def at(self, b: Tensor, pos: Tensor) -> Tensor:
        return lens.of_nodes(self._final, self._last[b, pos], self._constant)


def _likeliest(prompt: Prompt, logits: _Logits, b: int, rows: Collector) -> Prompt:
    """The prompt with the likeliest of its accepted answers, all of which become rows."""
    device = logits._last.device
    scores = logits.at(torch.tensor([b], device=device), torch.tensor([prompt.asked], device=device))
    first = torch.tensor([[answer.token_ids[0] for answer in prompt.accepted]], device=device)
    own = scores[0, first[0]]
    best = own.tolist().index(float(own.max()))
    n = len(prompt.accepted)
    rows.add(
        "answers", prompt_id=prompt.prompt_id, number=torch.arange(1, n + 1),
        text=[answer.text for answer in prompt.accepted],
        token_ids=[list(answer.token_ids) for answer in prompt.accepted],
        prob=(own - scores[0].logsumexp(-1)).exp(),
        rank=lens.ranks(scores, first.new_zeros(1), first)[0],
        explained=torch.arange(n) == best,
    )  # fmt: skip
    chosen = prompt.accepted[best]
    return replace(prompt, answer_text=chosen.text, answer_token_ids=chosen.token_ids)
