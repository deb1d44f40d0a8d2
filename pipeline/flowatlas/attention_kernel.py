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
from dataclasses import dataclass
from functools import cached_property

import torch
from numba import njit, prange
from torch import Tensor

from flowatlas.kernels import SUM_MAY_REORDER, TORCH_BUDGET, on_device, product, proximity_of_four, run_kernel

_QUERY_BLOCK = 16
_ROWS = 32
_KEYS = 64
_SHORT = 256  # keys up to which preparing the second way costs more than it saves
_ORDERED = 12  # one coordinate in so many is put in order; a pair that reaches beyond takes the left side


@dataclass(frozen=True)
class Values:
    """What every head would write if it attended to one key alone: u = v @ W_O.

    v [batch, key, head, d_head], w_o [head, d_head, d_model], u [head, batch, key, d_model].
    """

    v: Tensor
    w_o: Tensor
    u: Tensor

    @cached_property
    def reach(self) -> Tensor:
        """The largest |u| of a coordinate, [head, batch, key]."""
        return torch.maximum(self.u.amax(-1), -self.u.amin(-1))


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
    return Values(v, w_o, u.view(n_head, batch, n_key, -1))


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
    rows = (whole.flatten(0, 1), values.u.flatten(0, 2))
    if pattern.shape[-1] <= _SHORT:
        out = torch.zeros_like(pattern, memory_format=torch.contiguous_format)
        run_kernel(_directly, (pattern, *rows, lengths, torch.tensor([first])), out)
        return out
    out = _linear(whole, values, pattern.shape[-1])
    smallest, coordinate = whole.abs().topk(max(1, whole.shape[-1] // _ORDERED), -1, largest=False)
    ordered = (smallest.flatten(0, 1), coordinate.flatten(0, 1).to(torch.int32))
    run_kernel(_corrected, (pattern, *rows, values.reach, *ordered, lengths, torch.tensor([first])), out)
    return out


def _linear(whole: Tensor, values: Values, n_key: int) -> Tensor:
    """sign(y) . u of every query and the first keys, [batch, head, query, key]; the sign of zero is taken as 1."""
    batch, n_query, d = whole.shape
    n_head, d_head, _ = values.w_o.shape
    sign = torch.ones_like(whole).copysign_(whole + 0)  # which makes a zero of either sign a positive one
    by_head = product(sign.view(-1, d), values.w_o.reshape(n_head * d_head, d))
    keys = values.v[:, :n_key].permute(0, 2, 3, 1)
    return torch.matmul(by_head.view(batch, n_query, n_head, d_head).transpose(1, 2), keys)


@njit(inline="always")
def _block(work, n_block):  # pragma: no cover - compiled
    """The block of queries of a place in the work: first, last, second, ...: every thread gets a stretch, and late queries have
    the most keys."""
    place = work % n_block
    return place // 2 if place % 2 == 0 else n_block - 1 - place // 2


@njit(parallel=True, fastmath=SUM_MAY_REORDER, cache=True)
def _directly(pattern, y, u, lengths, start, out):  # pragma: no cover - compiled
    """y [(batch, query), d_model], u [(head, batch, key), d_model]; `out` comes with zeros."""
    batch, n_head, n_query, _ = pattern.shape
    n_key = len(u) // (batch * n_head)
    n_block = (n_query + _QUERY_BLOCK - 1) // _QUERY_BLOCK
    offset = start[0]
    zero = y.dtype.type(0)
    for work in prange(batch * n_head * n_block):
        b, h = work // n_block // n_head, work // n_block % n_head
        until = min(n_query, lengths[b] - offset)
        first = _block(work, n_block) * _QUERY_BLOCK
        of_query, of_key = b * n_query, (h * batch + b) * n_key
        for i in range(first, min(first + _QUERY_BLOCK, until), 2):
            k = min(i + 1, until - 1)  # an odd one is taken twice
            for j in range(0, k + offset + 1, 2):
                l = min(j + 1, k + offset)
                ij, il, kj, kl = proximity_of_four(
                    y, of_query + i, of_query + k, u, of_key + j, of_key + l,
                    pattern[b, h, i, j], pattern[b, h, i, l], pattern[b, h, k, j], pattern[b, h, k, l],
                )  # fmt: skip
                out[b, h, i, j] = ij if j <= i + offset else zero
                out[b, h, i, l] = il if l <= i + offset else zero
                out[b, h, k, j], out[b, h, k, l] = kj, kl


@njit(parallel=True, fastmath=SUM_MAY_REORDER, cache=True)
def _corrected(pattern, y, u, reach, smallest, coordinate, lengths, start, out):  # pragma: no cover - compiled
    """`out` comes with sign(y) . u; reach [head, batch, key] is max|u|; smallest, coordinate [(batch, query), ordered]."""
    batch, n_head, n_query, _ = pattern.shape
    n_key, n_ordered = reach.shape[2], smallest.shape[1]
    n_block = (n_query + _ROWS - 1) // _ROWS
    offset = start[0]
    zero = y.dtype.type(0)
    for work in prange(batch * n_head * n_block):
        b, h = work // n_block // n_head, work // n_block % n_head
        first = _block(work, n_block) * _ROWS
        last = min(first + _ROWS, n_query)
        until = min(last, lengths[b] - offset)
        of_query, of_key = b * n_query, (h * batch + b) * n_key
        for tile in range(0, until + offset, _KEYS):
            for i in range(max(first, tile - offset), until):
                row = of_query + i
                least, most = smallest[row, 0], smallest[row, n_ordered - 1]
                for j in range(tile, min(tile + _KEYS, i + offset + 1)):
                    a = pattern[b, h, i, j]
                    size = abs(a) * reach[h, b, j]
                    near = a * out[b, h, i, j]
                    if size > most:
                        near = _proximity(y, row, u, of_key + j, a)
                    elif size > least:
                        near -= 2 * _beyond(y, row, u, of_key + j, a, size, smallest, coordinate)
                    out[b, h, i, j] = max(near, zero)
        for i in range(first, last):
            out[b, h, i, i + offset + 1 if i < until else 0 :] = zero


@njit(fastmath=SUM_MAY_REORDER, inline="always")
def _proximity(y, i, u, j, a):  # pragma: no cover - compiled
    """One of `proximity_of_four`."""
    total = y.dtype.type(0)
    for c in range(y.shape[1]):
        total += abs(y[i, c]) - abs(y[i, c] - a * u[j, c])
    return total


@njit(fastmath=SUM_MAY_REORDER, inline="always")
def _beyond(y, i, u, j, a, size, smallest, coordinate):  # pragma: no cover - compiled
    """Sum of max(0, s p - |y|), where it can be more than 0."""
    over = y.dtype.type(0)
    for place in range(smallest.shape[1]):
        near = smallest[i, place]
        if near >= size:
            break
        c = coordinate[i, place]
        part = a * u[j, c]
        over += max((part if y[i, c] >= 0 else -part) - near, y.dtype.type(0))
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
