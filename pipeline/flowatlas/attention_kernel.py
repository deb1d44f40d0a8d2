"""The proximity of every key and head in the node after attention: the one number of a route that there is for each pair.

For one coordinate, with s the sign of y and p = a u,

    |y| - |y - p|  =  s p - 2 max(0, s p - |y|)

The first term is linear in p. Summed over coordinates it is a (s @ W_O^T) . v, a product of length d_head and not d_model:
as cheap as the attention scores themselves. The second is zero unless |p| > |y| in that coordinate, which a key with
little attention reaches in few of them: only where |y| < a max|u|. They are visited from the smallest |y| on, so that a
pair costs what it matters. Nothing is left out. Short prompts, where attention is spread over few keys, take the left
side of the equation as it stands.
"""

import math
from typing import NamedTuple

import torch
from numba import njit, prange
from torch import Tensor

from flowatlas.kernels import SUM_MAY_REORDER, TORCH_BUDGET, on_device, run_kernel

_QUERY_BLOCK = 16  # queries that share one read of a value vector
_ROWS = 32
_KEYS = 64
_SHORT = 80  # keys up to which preparing the second way costs more than it saves
_ORDERED = 12  # one coordinate in so many is put in order; a pair that reaches beyond takes the left side


class Values(NamedTuple):
    """What every head would write if it attended to one key alone: u = v @ W_O.

    v [batch, key, head, d_head], w_o [head, d_head, d_model], u [head, batch, key, d_model]; reach [head, batch, key] is the
    largest |u| of a coordinate.
    """

    v: Tensor
    w_o: Tensor
    u: Tensor
    reach: Tensor


class Room:
    """Memory that one block's u leaves to the next: it is the largest of what a block needs, and slow to come by anew."""

    def __init__(self) -> None:
        self._flat: Tensor | None = None

    def take(self, like: Tensor, *shape: int) -> Tensor:
        """An uninitialised tensor of this shape; what was taken before must not be used any more."""
        n, flat = math.prod(shape), self._flat
        if flat is None or len(flat) < n or (flat.dtype, flat.device) != (like.dtype, like.device):
            self._flat = flat = like.new_empty(n)
        return flat[:n].view(shape)


def head_values(v: Tensor, w_o: Tensor, room: Room | None = None) -> Values:
    """v [batch, key, head, d_head], w_o [head, d_head, d_model]; u lies in `room`, if there is one."""
    batch, n_key, n_head, d_head = v.shape
    flat = v.permute(2, 0, 1, 3).reshape(n_head, batch * n_key, d_head)
    u = (room or Room()).take(flat, n_head, batch * n_key, w_o.shape[-1])
    torch.bmm(flat, w_o, out=u)
    reach = torch.maximum(u.amax(-1), -u.amin(-1))
    return Values(v, w_o, u.view(n_head, batch, n_key, -1), reach.view(n_head, batch, n_key))


def attention_proximity(whole: Tensor, pattern: Tensor, values: Values, lengths: Tensor, first: int = 0) -> Tensor:
    """max(0, |y_i|_1 - |y_i - A[h,i,j] u[j,h]|_1) for every head h, query i and key j <= i.

    The queries are those from position `first` on, the keys all or, as later ones have share 0, those up to the last query.

    whole    [batch, query, d_model]        y
    pattern  [batch, head, query, key]      A
    lengths  [batch]                        tokens of each prompt; what lies beyond stays 0
    returns  [batch, head, query, key]
    """
    if whole.device.type != "cpu":
        return on_device("attention_proximity", _in_torch, whole, pattern, values.u, lengths, first)
    places = (lengths, torch.tensor([first]))
    if pattern.shape[-1] <= _SHORT:
        out = torch.zeros_like(pattern, memory_format=torch.contiguous_format)
        run_kernel(_directly, (whole, pattern, values.u, *places), out)
        return out
    out = _linear(whole, values, pattern.shape[-1])
    smallest, coordinate = whole.abs().topk(max(1, whole.shape[-1] // _ORDERED), -1, largest=False)
    run_kernel(_corrected, (whole, pattern, values.u, values.reach, smallest, coordinate.to(torch.int32), *places), out)
    return out


def _linear(whole: Tensor, values: Values, n_key: int) -> Tensor:
    """sign(y) . u of every query and the first keys, [batch, head, query, key]; the sign of zero is taken as 1."""
    batch, n_query, d = whole.shape
    n_head, d_head, _ = values.w_o.shape
    sign = torch.where(whole < 0, -1, 1).to(whole.dtype)
    by_head = sign.view(-1, d) @ values.w_o.reshape(n_head * d_head, d).T
    keys = values.v[:, :n_key].permute(0, 2, 3, 1)
    return torch.matmul(by_head.view(batch, n_query, n_head, d_head).transpose(1, 2), keys)


@njit(parallel=True, fastmath=SUM_MAY_REORDER, cache=True)
def _directly(whole, pattern, u, lengths, start, out):  # pragma: no cover - compiled
    batch, n_head, n_query, _ = pattern.shape
    n_blocks = (n_query + _QUERY_BLOCK - 1) // _QUERY_BLOCK
    offset = start[0]
    for work in prange(batch * n_blocks):
        b = work % batch
        first = (n_blocks - 1 - work // batch) * _QUERY_BLOCK  # late queries have the most keys: start with them
        last = min(first + _QUERY_BLOCK, n_query, lengths[b] - offset)
        for j in range(last + offset):
            for h in range(n_head):
                for i in range(max(first, j - offset), last):
                    out[b, h, i, j] = _proximity(whole, u, pattern[b, h, i, j], b, h, i, j)


@njit(parallel=True, fastmath=SUM_MAY_REORDER, cache=True)
def _corrected(whole, pattern, u, reach, smallest, coordinate, lengths, start, out):  # pragma: no cover - compiled
    """`out` comes with sign(y) . u; reach [head, batch, key] is max|u|; smallest, coordinate [batch, query, ordered]."""
    batch, n_head, n_query, _ = pattern.shape
    n_ordered = smallest.shape[2]
    n_blocks = (n_query + _ROWS - 1) // _ROWS
    offset = start[0]
    zero = whole.dtype.type(0)
    for work in prange(batch * n_blocks * n_head):
        h = work % n_head
        b = work // n_head % batch
        first = (n_blocks - 1 - work // n_head // batch) * _ROWS
        last = min(first + _ROWS, n_query)
        until = min(last, lengths[b] - offset)
        for tile in range(0, until + offset, _KEYS):
            for i in range(max(first, tile - offset), until):
                least, most = smallest[b, i, 0], smallest[b, i, n_ordered - 1]
                for j in range(tile, min(tile + _KEYS, i + offset + 1)):
                    a = pattern[b, h, i, j]
                    size = abs(a) * reach[h, b, j]
                    near = a * out[b, h, i, j]
                    if size > most:
                        near = _proximity(whole, u, a, b, h, i, j)
                    elif size > least:
                        near -= 2 * _beyond(whole, u, smallest, coordinate, a, size, b, h, i, j)
                    out[b, h, i, j] = max(near, zero)
        for i in range(first, last):
            out[b, h, i, i + offset + 1 if i < until else 0 :] = zero


# Whole arrays and places in them are passed: a slice would count references, which costs more than these loops.
@njit(fastmath=SUM_MAY_REORDER, inline="always")
def _proximity(whole, u, a, b, h, i, j):  # pragma: no cover - compiled
    """Coordinate by coordinate, not as a difference of two norms: a small part keeps its digits."""
    total = whole.dtype.type(0)
    for c in range(whole.shape[2]):
        y = whole[b, i, c]
        total += abs(y) - abs(y - a * u[h, b, j, c])
    return max(total, whole.dtype.type(0))


@njit(fastmath=SUM_MAY_REORDER, inline="always")
def _beyond(whole, u, smallest, coordinate, a, size, b, h, i, j):  # pragma: no cover - compiled
    """Sum of max(0, s p - |y|), where it can be more than 0."""
    over = whole.dtype.type(0)
    for place in range(smallest.shape[2]):
        y = smallest[b, i, place]
        if y >= size:
            break
        c = coordinate[b, i, place]
        part = a * u[h, b, j, c]
        over += max((part if whole[b, i, c] >= 0 else -part) - y, whole.dtype.type(0))
    return over


def _in_torch(whole: Tensor, pattern: Tensor, u: Tensor, lengths: Tensor, first: int = 0) -> Tensor:
    """The left side of the equation, a block of pairs at a time; u [head, batch, key, d_model]."""
    batch, n_query, d = whole.shape
    n_head, n_key = pattern.shape[1], pattern.shape[3]
    out = torch.zeros_like(pattern, memory_format=torch.contiguous_format)
    for b in range(batch):
        last = min(n_query, int(lengths[b]) - first)
        step = max(1, TORCH_BUDGET // (n_head * n_key * d))
        for start in range(0, last, step):
            queries = torch.arange(start, min(start + step, last), device=whole.device)
            n_seen = int(queries[-1]) + first + 1
            for keys in torch.arange(n_seen, device=whole.device).split(max(1, TORCH_BUDGET // (n_head * d * step))):
                weight = pattern[b][:, queries[:, None], keys]  # [head, query, key]
                part, y = weight[..., None] * u[:, b, None, keys], whole[b, queries, None]
                near = (y.abs() - (y - part).abs()).sum(-1).clamp_min(0)
                out[b][:, queries[:, None], keys] = near.masked_fill(keys > queries[:, None] + first, 0)
    return out
