"""What the heads of a block say by their weights, as rows: directions with their tokens, and strongest pairs of tokens."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowatlas import circuits, lens
from flowatlas.circuits import Directions, Pairs
from flowatlas.kernels import top_tokens
from flowatlas.models import Model

Columns = dict[str, Any]
TABLES = ("heads", "head_tokens", "head_pairs")


def rows(model: Model, l: int, n: int, k: int, n_pairs: int) -> dict[str, Columns]:
    """The columns of TABLES for block l, texts left out; empty where its values are no linear map of the stream.

    n directions of each head, k tokens of each end of them, n_pairs of each sign.
    """
    w_v = model.reading_weights(l)
    if w_v is None:
        return {}
    found, x = circuits.directions(w_v, model.layer(l).w_o), model.normed(l, model.embeddings())
    pieces: dict[str, list[Columns]] = {name: [] for name in TABLES}
    for h in range(model.n_heads):
        a, b = _at_tokens(model, x, found, h)
        place = {"layer": l, "head": h}
        pieces["heads"].append(place | _directions(found.values[h], circuits.copying(a, b.mT), n))
        for side, scores in (("reads", a.mT[:n]), ("writes", b[:n])):
            pieces["head_tokens"].append(place | {"side": side} | _tokens(scores.contiguous(), k))
        for sign, best in zip((1, -1), circuits.strongest_pairs(a, b.mT.contiguous(), n_pairs), strict=True):
            pieces["head_pairs"].append(place | {"sign": sign} | _pairs(best))
    return {name: _joined(piece) for name, piece in pieces.items()}


def _at_tokens(model: Model, x: Tensor, found: Directions, h: int) -> tuple[Tensor, Tensor]:
    """What each token reads along each direction [token, r], and what each direction writes there [r, token].

    Signs are chosen so that a direction's strongest token is one that it promotes.
    """
    a = x @ found.reads[h]
    b = lens.static_scores(model.final, (found.writes[h] * found.values[h]).mT)
    turned = torch.where(b.amax(1) < -b.amin(1), -1.0, 1.0).to(a)
    return a * turned, b * turned[:, None]


def _directions(values: Tensor, copying: float, n: int) -> Columns:
    squares = values.double().square()
    part = squares / squares.sum().clamp_min(torch.finfo(squares.dtype).tiny)
    kept = min(n, len(values))
    return {
        "direction": np.arange(1, kept + 1),
        "singular_value": values[:kept].cpu().numpy(),
        "part": part[:kept].cpu().numpy(),
        "copying": np.full(kept, copying),
    }


def _tokens(scores: Tensor, k: int) -> Columns:
    """scores [direction, token]."""
    k = min(k, scores.shape[1])
    values, ids = top_tokens(scores, k, both_ends=True)
    n = len(scores)
    return {
        "direction": np.arange(1, n + 1).repeat(2 * k),
        "sign": np.tile(np.array([1, -1]).repeat(k), n),
        "rank": np.tile(np.arange(1, k + 1), 2 * n),
        "token_id": ids.flatten().cpu().numpy(),
        "score": values.float().flatten().cpu().numpy(),
    }


def _pairs(best: Pairs) -> Columns:
    source, to, score = (part.cpu().numpy() for part in best)
    return {"place": np.arange(1, len(score) + 1), "source_id": source, "to_id": to, "score": score}


def _joined(pieces: list[Columns]) -> Columns:
    """Pieces one after the other; a scalar stands for all rows of its piece."""
    lengths = [max(len(value) for value in piece.values() if isinstance(value, np.ndarray)) for piece in pieces]
    return {
        name: np.concatenate(
            [
                np.full(n, piece[name]) if np.isscalar(piece[name]) else piece[name]
                for n, piece in zip(lengths, pieces, strict=True)
            ]
        )
        for name in pieces[0]
    }
