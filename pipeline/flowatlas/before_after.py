"""What a model predicts at one position of each prompt without edits and with them, and the lens on the way there.

Two forward passes of the same batch. Kept of each is the target's own column of the residual stream; its nodes are read by the
lens (`lens`), so the last one is the prediction. The divergence is KL(before || after), in float64.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowatlas import activations, lens
from flowatlas.activations import Batch
from flowatlas.edits import Edit
from flowatlas.errors import ConfigError
from flowatlas.interventions import applied
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.schema import POINTS
from flowatlas.schema_interventions import SIDES


class Asked(NamedTuple):
    """A prompt's tokens, the position whose prediction is compared, and the tokens that are looked for there.

    Without an answer it is what the model predicts without edits.
    """

    prompt_id: int
    group: str | None
    token_ids: tuple[int, ...]
    target: int
    answer_id: int | None
    foil_id: int | None
    answer_from: str = "prediction"


class _Read(NamedTuple):
    """The nodes of some prompts on one side: [node, prompt] each, their top tokens [node, prompt, k]."""

    logit: Tensor  # of the answer, then of the foil: [2, node, prompt]
    logprob: Tensor  # likewise
    rank: Tensor
    entropy: Tensor
    top_ids: Tensor
    top_probs: Tensor
    last: Tensor  # log probabilities of the last node [prompt, token], float64


class BeforeAfter:
    """Compares batches of prompts; holds what is the same for all of them."""

    def __init__(self, model: Model, top_k: int, means: Means | None = None) -> None:
        self._model, self._top_k, self._means = model, top_k, means
        self._constant = lens.constant(model.final)

    def __call__(self, asked: Sequence[Asked], edits: Sequence[Edit]) -> Iterator[dict[str, list[dict[str, Any]]]]:
        """Rows of `predictions`, `course` and `lens`, for some of the prompts at a time.

        Raises ConfigError where the edits make numbers overflow.
        """
        with torch.inference_mode():
            batch = Batch.of([prompt.token_ids for prompt in asked], self._model.device)
            targets = torch.tensor([prompt.target for prompt in asked], device=batch.ids.device)
            before, after = (self._columns(batch, targets, some) for some in ((), edits))
            if not bool(torch.isfinite(after).all()):
                place = int((~torch.isfinite(after)).any(-1).any(0).nonzero()[0])
                raise ConfigError(
                    f"{', '.join(map(str, edits))}: prompt {asked[place].prompt_id} then has numbers that are none "
                    "(NaN or infinite): give smaller values"
                )
            at_once = max(1, lens.rows_at_once(self._model.final) // len(before))  # of one side
            for first in range(0, len(asked), at_once):
                some = slice(first, first + at_once)
                yield self._rows(asked[some], edits, before[:, some], after[:, some])

    def _columns(self, batch: Batch, targets: Tensor, edits: Sequence[Edit]) -> Tensor:
        """The residual stream at each prompt's target, [node, prompt, d_model]."""
        with applied(self._model, [edits] * len(targets), batch, self._means):
            acts, _ = activations.run(self._model, batch, lambda l, acts: acts.forget_attention(l))
        return torch.stack([resid[torch.arange(len(targets), device=resid.device), targets] for resid in acts.resid])

    def _rows(
        self, asked: Sequence[Asked], edits: Sequence[Edit], before: Tensor, after: Tensor
    ) -> dict[str, list[dict]]:
        logits = self._logits(before)
        answers = [one.answer_id for one in asked]
        predicted = logits[-1].argmax(-1).tolist()
        answers = [guess if answer is None else answer for answer, guess in zip(answers, predicted, strict=True)]
        foils = [answer if one.foil_id is None else one.foil_id for one, answer in zip(asked, answers, strict=True)]
        ids = torch.tensor([answers, foils], device=logits.device)
        sides = self._read(logits, ids), self._read(self._logits(after), ids)
        divergence = (sides[0].last.exp() * (sides[0].last - sides[1].last)).sum(-1).clamp_min(0).tolist()
        rows: dict[str, list[dict[str, Any]]] = {"predictions": [], "course": [], "lens": []}
        for place, one in enumerate(asked):
            rows["predictions"].append(
                {
                    "prompt_id": one.prompt_id, "group": one.group, "target": one.target,
                    "n_edits": sum(_reaches(edit, len(one.token_ids)) for edit in edits),
                    "answer_id": answers[place], "answer_from": one.answer_from, "foil_id": one.foil_id,
                    "kl": divergence[place],
                    **_prediction(sides, place, one.foil_id is not None),
                }
            )  # fmt: skip
            for side, read in zip(SIDES, sides, strict=True):
                rows["course"] += self._course(one, side, read, place)
                rows["lens"] += self._lens(one, side, read, place)
        return rows

    def _logits(self, nodes: Tensor) -> Tensor:
        """Of nodes [node, prompt, d_model]: [node, prompt, token]."""
        logits = lens.of_nodes(self._model.final, nodes.flatten(0, 1), self._constant)
        return logits.unflatten(0, nodes.shape[:2])

    def _read(self, logits: Tensor, ids: Tensor) -> _Read:
        shape, flat = logits.shape[:2], logits.flatten(0, 1)
        read = lens.read(flat, self._top_k)
        wanted = ids.T.repeat(shape[0], 1)  # [node x prompt, 2]
        row = torch.arange(len(flat), device=flat.device)
        logit = flat.gather(1, wanted)
        logprob = logit - read.logsumexp[:, None]
        rank = lens.ranks(flat, row, wanted)
        probs = (read.top_values - read.logsumexp[:, None]).exp()
        return _Read(
            logit.T.unflatten(1, shape), logprob.T.unflatten(1, shape), rank.T.unflatten(1, shape),
            read.entropy.unflatten(0, shape), read.top_ids.unflatten(0, shape), probs.unflatten(0, shape),
            logits[-1].double().log_softmax(-1),
        )  # fmt: skip

    def _nodes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        stream = self._model.stream
        for node, (layer, point) in enumerate(zip(stream.layer, stream.point, strict=True)):
            yield node, {"layer": layer, "point": POINTS[point]}

    def _course(self, one: Asked, side: str, read: _Read, place: int) -> Iterator[dict[str, Any]]:
        probs, ranks, entropy = (
            values[..., place].tolist() for values in (read.logprob.exp(), read.rank, read.entropy)
        )
        for node, at in self._nodes():
            foil = None if one.foil_id is None else probs[1][node]
            yield {
                "prompt_id": one.prompt_id, **at, "side": side, "answer_prob": probs[0][node],
                "answer_rank": ranks[0][node], "foil_prob": foil, "entropy": entropy[node],
            }  # fmt: skip

    def _lens(self, one: Asked, side: str, read: _Read, place: int) -> Iterator[dict[str, Any]]:
        tokens, probs = read.top_ids[:, place].tolist(), read.top_probs[:, place].tolist()
        for node, at in self._nodes():
            for rank, (token, prob) in enumerate(zip(tokens[node], probs[node], strict=True), 1):
                yield {"prompt_id": one.prompt_id, **at, "side": side, "rank": rank, "token_id": token, "prob": prob}


def _prediction(sides: Sequence[_Read], place: int, has_foil: bool) -> dict[str, Any]:
    """Columns of `predictions` that there are two of, from the last node."""
    found: dict[str, Any] = {}
    for side, read in zip(SIDES, sides, strict=True):
        found[f"predicted_id_{side}"] = int(read.top_ids[-1, place, 0])
        found[f"predicted_prob_{side}"] = float(read.top_probs[-1, place, 0])
        for which, name in enumerate(("answer", "foil")):
            there = which == 0 or has_foil
            found[f"{name}_rank_{side}"] = int(read.rank[which, -1, place]) if there else None
            found[f"{name}_logit_{side}"] = float(read.logit[which, -1, place]) if there else None
            found[f"{name}_logprob_{side}"] = float(read.logprob[which, -1, place]) if there else None
    return found


def _reaches(edit: Edit, n: int) -> bool:
    """Whether it has a position in a prompt of n tokens."""
    return edit.positions is None or any(-n <= position < n for position in edit.positions)
