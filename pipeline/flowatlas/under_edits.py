"""What a model predicts at one position of each prompt while heads and MLPs are edited, row by row of a batch."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowatlas import lens
from flowatlas.activations import Batch
from flowatlas.edits import Edit
from flowatlas.interventions import applied
from flowatlas.means import Means
from flowatlas.models import Model

_TOKENS = 2048  # of a batch, where nothing is kept of its forward pass but one node a row


class Row(NamedTuple):
    """A prompt's tokens, the position whose prediction is asked for, and what is edited meanwhile."""

    token_ids: Sequence[int]
    target: int
    edits: Sequence[Edit]


class Predictor:
    """Predictions of a model under edits; holds what is the same for all of them."""

    def __init__(self, model: Model, means: Means | None) -> None:
        self.model, self._means = model, means
        self._constant = lens.constant(model.final)

    def __call__(self, rows: Sequence[Row]) -> Iterator[tuple[range, Tensor]]:
        """Logits [row, token] of the rows, some at a time and in their order, with the places of those rows."""
        start = 0
        while start < len(rows):
            stop = self._stop(rows, start)
            with torch.inference_mode():
                yield range(start, stop), self._logits(rows[start:stop])
            start = stop

    def _stop(self, rows: Sequence[Row], start: int) -> int:
        """The end of a batch that begins at `start`: of one row at least."""
        most = lens.rows_at_once(self.model.final)
        longest, stop = 0, start
        while stop < min(len(rows), start + most):
            longest = max(longest, len(rows[stop].token_ids))
            if stop > start and longest * (stop + 1 - start) > _TOKENS:
                break
            stop += 1
        return stop

    def _logits(self, rows: Sequence[Row]) -> Tensor:
        batch = Batch.of([tuple(row.token_ids) for row in rows], self.model.device)
        target = torch.tensor([row.target for row in rows], device=batch.ids.device)
        node = self._last_nodes(batch, target, [row.edits for row in rows])
        return lens.of_nodes(self.model.final, node, self._constant)

    def _last_nodes(self, batch: Batch, target: Tensor, edits: list[Sequence[Edit]]) -> Tensor:
        """resid_post of the last block at each row's target: [row, d_model]."""
        found: list[Tensor] = []

        def take(resid: Any, hook: Any) -> None:
            resid = resid[0] if isinstance(resid, tuple) else resid
            found[:] = [resid[torch.arange(len(target), device=resid.device), target.to(resid.device)]]

        with applied(self.model, edits, batch, self._means):
            self.model.bridge.run_with_hooks(
                batch.ids, attention_mask=batch.mask, use_cache=False, logits_to_keep=1,
                fwd_hooks=[(f"blocks.{self.model.n_layers - 1}.hook_resid_post", take)],
            )  # fmt: skip
        return found[0].to(self.model.device, self.model.dtype)
