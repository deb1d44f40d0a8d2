"""The shares of one block's attention, kept sparse: taken while the forward pass is at that block, so that no two blocks'
attention weights exist at a time, and a few queries at a time, so that a long prompt needs no [query, key, head] of its own.

What routes and tables read of them is little: the shares above the floor, and for every query the sums and the largest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from flowatlas import contributions
from flowatlas.activations import Activations
from flowatlas.attention_kernel import Room, head_values
from flowatlas.models import Model
from flowatlas.routes import Edges, above

_BLOCK_BYTES = 16_000_000  # of shares [query, key, head] that exist at once


@dataclass(frozen=True)
class BlockShares:
    """What is kept of a block's attention.

    summed, heads   edges with a share above the floor
    cells           every (query, key, head) whose share or attention is above the floor of `maps`; None where not asked for
    residual, mlp   [batch, query] shares of resid_pre and, in a parallel block, of the MLP's output (else None)
    bias            [batch, query] the share that the biases would take
    by_head         [batch, query, head] a head's share summed over its keys
    widest          [batch, query, head] its largest share of a key
    stored          [batch, query] sum of the summed shares above the floor
    """

    summed: Edges
    heads: Edges
    cells: Edges | None
    residual: Tensor
    mlp: Tensor | None
    bias: Tensor
    by_head: Tensor
    widest: Tensor
    stored: Tensor


def block_shares(
    model: Model, acts: Activations, l: int, lengths: Tensor, floor: float, cells_floor: float | None, room: Room
) -> BlockShares:
    """The shares of block l's attention. `acts` must hold its pattern and values; lengths [batch]."""
    stream, weights = model.stream, model.layer(l)
    whole, residual = acts.resid[stream.attended(l)], acts.resid[stream.pre(l)]
    b_o, b_out = acts.biases(l, weights)
    bias, mlp_out = (_sum(b_o, b_out), acts.mlp_out(l)) if stream.parallel else (b_o, None)
    pattern, factor, edited = acts.pattern(l), acts.attention_factor(l), acts.edited_heads(l)
    values = head_values(acts.v(l), weights.w_o, room)
    pieces = []
    for queries in _query_blocks(pattern):
        own = pattern[:, :, queries, : queries.stop]
        scaled = own if factor is None else own * factor[:, None, queries]
        scaled = scaled if edited is None else scaled * edited[:, queries].transpose(1, 2)[..., None]
        shares = contributions.attention_shares(
            whole[:, queries], residual[:, queries], scaled, values, _rows(bias, queries), lengths,
            None if mlp_out is None else mlp_out[:, queries], first=queries.start,
        )  # fmt: skip
        pieces.append(_sparse(shares, own, queries.start, lengths, floor, cells_floor))
    return pieces[0] if len(pieces) == 1 else _joined(pieces)


def _query_blocks(pattern: Tensor) -> list[slice]:
    batch, n_head, n_query, n_key = pattern.shape
    step = max(1, _BLOCK_BYTES // (batch * n_head * n_key * pattern.element_size()))
    return [slice(first, min(first + step, n_query)) for first in range(0, n_query, step)]


def _rows(bias: Tensor | None, queries: slice) -> Tensor | None:
    return bias if bias is None or bias.ndim == 1 else bias[:, queries]


def _sparse(
    shares: contributions.AttentionShares, pattern: Tensor, first: int, lengths: Tensor, floor: float,
    cells_floor: float | None,
) -> BlockShares:  # fmt: skip
    """shares.heads and pattern [batch, head, query, key] of the queries from `first` on."""
    summed = shares.heads.sum(1)
    b, i, j = (summed > floor).nonzero(as_tuple=True)
    share = summed[b, i, j]
    together = Edges(b, i + first, j, torch.full_like(b, -1), share, torch.zeros_like(share))
    cells = None if cells_floor is None else _cells(shares.heads, pattern, first, lengths, cells_floor)
    return BlockShares(
        summed=together,
        heads=_single(shares.heads, pattern, first, floor),
        cells=cells,
        residual=shares.residual,
        mlp=shares.mlp,
        bias=shares.bias,
        by_head=shares.heads.sum(3).transpose(1, 2),
        widest=shares.heads.amax(3).transpose(1, 2),
        stored=above(summed, floor).sum(-1),
    )


def _single(share: Tensor, pattern: Tensor, first: int, floor: float) -> Edges:
    """Edges of each head, by query, key and head."""
    b, h, i, j = (share > floor).nonzero(as_tuple=True)
    _, n_head, n_query, n_key = share.shape
    order = (((b * n_query + i) * n_key + j) * n_head + h).argsort()
    b, h, i, j = (place[order] for place in (b, h, i, j))
    return Edges(b, i + first, j, h, share[b, h, i, j], pattern[b, h, i, j])


def _cells(share: Tensor, pattern: Tensor, first: int, lengths: Tensor, floor: float) -> Edges:
    """They may be many and wait for the end of the batch: kept as narrow as they are stored, and off the device."""
    own = torch.arange(first, first + share.shape[2], device=share.device) < lengths[:, None]
    b, h, i, j = (((share > floor) | (pattern > floor)) & own[:, None, :, None]).nonzero(as_tuple=True)
    prompt, dst, src, head = (place.to(torch.int32).cpu() for place in (b, i + first, j, h))
    return Edges(prompt, dst, src, head, share[b, h, i, j].float().cpu(), pattern[b, h, i, j].float().cpu())


def _joined(pieces: list[BlockShares]) -> BlockShares:
    """Blocks of queries as one, in the order that a single one would have."""
    mlp = [piece.mlp for piece in pieces if piece.mlp is not None]
    cells = [piece.cells for piece in pieces if piece.cells is not None]
    return BlockShares(
        summed=_ordered([piece.summed for piece in pieces]),
        heads=_ordered([piece.heads for piece in pieces]),
        cells=_ordered(cells, by_head=True) if cells else None,
        residual=torch.cat([piece.residual for piece in pieces], 1),
        mlp=torch.cat(mlp, 1) if mlp else None,
        bias=torch.cat([piece.bias for piece in pieces], 1),
        by_head=torch.cat([piece.by_head for piece in pieces], 1),
        widest=torch.cat([piece.widest for piece in pieces], 1),
        stored=torch.cat([piece.stored for piece in pieces], 1),
    )


def _ordered(pieces: list[Edges], by_head: bool = False) -> Edges:
    """Joined in the order of a single block: by prompt, and cells by head, before query and key."""
    joined = Edges._make(torch.cat(parts) for parts in zip(*pieces, strict=True))
    order = (joined.b.long() << 32 | joined.head if by_head else joined.b).argsort(stable=True)
    return Edges._make(part[order] for part in joined)


def _sum(b_o: Tensor | None, b_out: Tensor | None) -> Tensor | None:
    """The biases of a parallel block as the one part that they would be."""
    if b_o is None or b_out is None:
        return b_out if b_o is None else b_o
    return b_o + b_out
