"""The inner loops that decide the speed, fused (those over pairs of tokens: attention_kernel.py).

Each public function takes torch tensors. On the CPU a numba kernel reads them in place and never makes an array larger
than its output; on any other device the same formula runs in torch, a block at a time, or (proximities, on CUDA) in a
Triton kernel. All accumulate the difference |y| - |y - p| coordinate by coordinate rather than as a difference of two
norms, so that a small part keeps its digits and a part that is zero has proximity exactly zero.

numba is used, and not torch.compile, because its wheels bring their own compiler: a cluster node without a C++ compiler
runs the same code. The compiled kernels are cached beside the package or in NUMBA_CACHE_DIR. (Triton wants a C compiler
once on a machine with a GPU; without one torch's version runs there.)
"""

import functools
import importlib.util
import math
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

_NODE_BLOCK = 8
_NEURON_BLOCK = 64
_TOKEN_BLOCK = 256  # few blocks of so many hold one of the best
_TOKENS_AT_ONCE = 2048  # what a row's thresholds read again and again; it fits the first-level cache
# How many numbers the torch versions may hold at once (not a limit on the results).
TORCH_BUDGET = 1 << 25

_LOW = 0xFFFFFFFF  # the half of a key that holds the id

# An operator that torch's own compiler calls; without it the product is the ordinary one.
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None

_MAX_THREADS = numba.get_num_threads()

SUM_MAY_REORDER = {
    "reassoc",
    "contract",
    "nsz",
    "arcp",
}  # lets the compiler use vector sums; NaN and inf keep their meaning


def neuron_proximity(whole: Tensor, activation: Tensor, w_out: Tensor) -> Tensor:
    """max(0, |y|_1 - |y - a_n w_n|_1) for every neuron of every node.

    whole [node, d_model], activation [node, neuron], w_out [neuron, d_model]; returns [node, neuron].
    """
    if whole.device.type == "cpu":
        out = torch.empty_like(activation)
        run_kernel(_neuron_proximity, (whole, activation, w_out), out)
        return out
    return on_device("neuron_proximity", _neuron_proximity_torch, whole, activation, w_out)


def top_tokens(scores: Tensor, k: int, both_ends: bool = False) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, ties to the lower id; with `both_ends` also the k smallest.

    scores [row, token]; returns (values, ids), each [row, end, k] where end 0 holds the largest, largest first, and end 1
    (only with `both_ends`) the smallest, smallest first. k must not exceed the number of tokens.
    """
    ones = scores.new_ones(len(scores))
    rows = torch.arange(len(scores), device=scores.device)
    return top_differences(scores, rows, rows, ones * 0, k, both_ends)


def top_differences(
    scores: Tensor, row: Tensor, other: Tensor, factor: Tensor, k: int, both_ends: bool = True
) -> tuple[Tensor, Tensor]:
    """top_tokens of scores[row] - factor * scores[other], without writing the differences out.

    scores [row, token]; row, other, factor [pair]; returns (values, ids), each [pair, end, k].
    """
    ends = 2 if both_ends else 1
    if scores.device.type == "cpu":
        values = scores.new_empty(len(row), ends, k)
        ids = torch.empty(len(row), ends, k, dtype=torch.int32)
        run_kernel(_top_differences, (scores, row, other, factor), values, ids)
        return values, ids.long()
    return _top_differences_torch(scores, row, other, factor, k, ends)


def count_above(scores: Tensor, row: Tensor, threshold: Tensor) -> Tensor:
    """How many entries of scores[row] lie strictly above each threshold; 1 + this is a rank.

    scores [row, token], row [query], threshold [query, k]; returns int64 [query, k].
    """
    if scores.device.type == "cpu":
        out = torch.zeros(threshold.shape, dtype=torch.int64)
        run_kernel(_count_above, (scores, row, threshold), out)
        return out
    return _count_above_torch(scores, row, threshold)


def product(x: Tensor, w: Tensor) -> Tensor:
    """x @ w.T for a matrix of weights w [out, in] and rows x [row, in].

    On the CPU by oneDNN, which torch itself takes for half precision only: on some processors it is twice as fast as the
    library that torch takes for float32 (docs/performance.md).
    """
    if _ONEDNN is None or x.device.type != "cpu" or x.dtype != torch.float32 or not x.numel():
        return x @ w.T
    return _ONEDNN(x, w, None, "none", [], "")


def run_kernel(kernel: Any, inputs: tuple[Tensor, ...], *outputs: Tensor) -> None:
    """Call a compiled kernel on tensors in place. One knob for threads: numba follows torch."""
    numba.set_num_threads(min(torch.get_num_threads(), _MAX_THREADS))
    kernel(*(tensor.detach().contiguous().numpy() for tensor in inputs), *(out.numpy() for out in outputs))


def on_device(name: str, in_torch: Callable[..., Tensor], whole: Tensor, *others: Any) -> Tensor:
    """in_torch(whole, *others), on a device that is not the CPU; on CUDA, of float32, by the Triton kernel of this name."""
    fused = whole.device.type == "cuda" and whole.dtype == torch.float32
    return (_proven(name, in_torch, whole.device) if fused else in_torch)(whole, *others)


@functools.cache
def _proven(name: str, in_torch: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """The Triton kernel of this name if, on this device, it gives torch's numbers of a small case; else torch's version."""
    if importlib.util.find_spec("triton") is None:  # torch's CUDA builds for Linux bring it
        return in_torch
    try:
        from flowatlas import triton_kernels

        fused, case = getattr(triton_kernels, name), triton_kernels.small_case(name, device)
        torch.testing.assert_close(fused(*case), in_torch(*case))
    except Exception as error:  # of Triton, its compilers or the driver: there is no list
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        print(f"flowatlas: {name} on {device} goes without its Triton kernel and is slower ({why})", file=sys.stderr)
        return in_torch
    return fused


# Whole arrays and places in them are passed: a slice would count references, which costs more than these loops.
@njit(fastmath=SUM_MAY_REORDER, inline="always")
def proximity_of_four(y, i, k, u, j, l, a_ij, a_il, a_kj, a_kl):  # pragma: no cover - compiled
    """The proximities of a_ij u[j] and a_il u[l] in y[i], and of a_kj u[j] and a_kl u[l] in y[k]; y, u [row, d_model].

    Four at a time, because one alone waits for what it reads. Coordinate by coordinate, and not as a difference of two norms,
    so that a small part keeps its digits.
    """
    zero = y.dtype.type(0)
    ij, il, kj, kl = zero, zero, zero, zero
    for c in range(y.shape[1]):
        ij += abs(y[i, c]) - abs(y[i, c] - a_ij * u[j, c])
        il += abs(y[i, c]) - abs(y[i, c] - a_il * u[l, c])
        kj += abs(y[k, c]) - abs(y[k, c] - a_kj * u[j, c])
        kl += abs(y[k, c]) - abs(y[k, c] - a_kl * u[l, c])
    return max(ij, zero), max(il, zero), max(kj, zero), max(kl, zero)


@njit(parallel=True, fastmath=SUM_MAY_REORDER, cache=True)
def _neuron_proximity(whole, activation, w_out, out):  # pragma: no cover - compiled
    n_node, n_neuron = activation.shape
    node_blocks = (n_node + _NODE_BLOCK - 1) // _NODE_BLOCK
    neuron_blocks = (n_neuron + _NEURON_BLOCK - 1) // _NEURON_BLOCK
    for work in prange(node_blocks * neuron_blocks):
        node = work // neuron_blocks * _NODE_BLOCK
        neuron = work % neuron_blocks * _NEURON_BLOCK
        last_node, last_neuron = min(node + _NODE_BLOCK, n_node) - 1, min(neuron + _NEURON_BLOCK, n_neuron) - 1
        for n in range(neuron, last_neuron + 1, 2):
            m = min(n + 1, last_neuron)  # an odd one is taken twice
            for i in range(node, last_node + 1, 2):
                k = min(i + 1, last_node)
                out[i, n], out[i, m], out[k, n], out[k, m] = proximity_of_four(
                    whole, i, k, w_out, n, m, activation[i, n], activation[i, m], activation[k, n], activation[k, m]
                )


def _neuron_proximity_torch(whole: Tensor, activation: Tensor, w_out: Tensor) -> Tensor:
    block = max(1, TORCH_BUDGET // max(1, w_out.numel()))
    rows = [
        (y[:, None].abs() - (y[:, None] - a[..., None] * w_out).abs()).sum(-1).clamp_min(0)
        for y, a in zip(whole.split(block), activation.split(block), strict=True)
    ]
    return torch.cat(rows) if rows else torch.empty_like(activation)


@njit(cache=True)
def _insert(values, ids, value, token):  # pragma: no cover - compiled
    """Put a value into a short list that is kept in descending order; equal values keep their order of arrival."""
    place = len(values) - 1
    while place > 0 and values[place - 1] < value:
        values[place] = values[place - 1]
        ids[place] = ids[place - 1]
        place -= 1
    values[place] = value
    ids[place] = token


@njit(parallel=True, cache=True)
def _top_differences(scores, row, other, factor, values, ids):  # pragma: no cover - compiled
    n_token = scores.shape[1]
    ends, k = values.shape[1], values.shape[2]
    for p in prange(len(row)):
        values[p] = -math.inf
        ids[p] = -1
        for first in range(0, n_token, _TOKEN_BLOCK):
            x = scores[row[p], first : first + _TOKEN_BLOCK]
            z = scores[other[p], first : first + _TOKEN_BLOCK]
            low = -values[p, 1, k - 1] if ends == 2 else -math.inf
            if not _any_beyond(x, z, factor[p], values[p, 0, k - 1], low):
                continue
            for t in range(len(x)):
                score = x[t] if factor[p] == 0 else x[t] - factor[p] * z[t]
                if score > values[p, 0, k - 1]:
                    _insert(values[p, 0], ids[p, 0], score, first + t)
                if ends == 2 and -score > values[p, 1, k - 1]:
                    _insert(values[p, 1], ids[p, 1], -score, first + t)
        if ends == 2:
            for rank in range(k):
                values[p, 1, rank] = -values[p, 1, rank]


@njit(cache=True)
def _any_beyond(x, z, factor, high, low):  # pragma: no cover - compiled
    """Whether any x - factor * z is above high or below low. Few blocks hold one, and this loop has no branch."""
    n = np.int32(0)
    if factor == 0:
        for t in range(len(x)):
            n += np.int32(x[t] > high) + np.int32(x[t] < low)
    else:
        for t in range(len(x)):
            score = x[t] - factor * z[t]
            n += np.int32(score > high) + np.int32(score < low)
    return n > 0


def _top_differences_torch(
    scores: Tensor, row: Tensor, other: Tensor, factor: Tensor, k: int, ends: int
) -> tuple[Tensor, Tensor]:
    values, ids = [], []
    for r, o, f in zip(*(t.split(max(1, TORCH_BUDGET // scores.shape[1])) for t in (row, other, factor)), strict=True):
        difference = torch.where(f[:, None] == 0, scores[r], scores[r] - f[:, None] * scores[o])  # 0 x inf is no number
        none = difference.isnan()  # of two infinities: no token for either end, as on the CPU
        found = [_stable_top((sign * difference).masked_fill(none, -math.inf), k) for sign in (1, -1)[:ends]]
        values.append(torch.stack([v * s for (v, _), s in zip(found, (1, -1), strict=False)], 1))
        ids.append(torch.stack([i for _, i in found], 1))
    return torch.cat(values), torch.cat(ids)


def _stable_top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest, ties to the lower id (torch.topk leaves their order open); NaN is the largest, as torch sorts."""
    if scores.dtype != torch.float32 or scores.device.type == "mps":  # where topk of int64 may be missing
        values, ids = torch.sort(scores, dim=-1, descending=True, stable=True)
        return values[:, :k], ids[:, :k]
    ids = scores.shape[1] - 1 - (_keys(scores).topk(k).values & _LOW)
    return scores.gather(1, ids), ids


def _keys(scores: Tensor) -> Tensor:
    """One int64 for each score [row, token]: above, its bits in the order of the numbers; below, how many ids come later."""
    bits = (scores + 0.0).view(torch.int32)  # -0.0 becomes 0.0
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # of two negative numbers the bits have the other order
    bits = torch.where(scores.isnan(), 0x7FFFFFFF, bits)
    later = torch.arange(scores.shape[1] - 1, -1, -1, device=scores.device)
    return (bits.long() << 32) | later


@njit(parallel=True, cache=True)
def _count_above(scores, row, threshold, out):  # pragma: no cover - compiled
    n_token = scores.shape[1]
    for q in prange(len(row)):
        for first in range(0, n_token, _TOKENS_AT_ONCE):
            for column in range(threshold.shape[1]):
                out[q, column] += _n_above(scores[row[q], first : first + _TOKENS_AT_ONCE], threshold[q, column])


@njit(cache=True)
def _n_above(x, least):  # pragma: no cover - compiled
    n = np.int32(0)
    for t in range(len(x)):
        n += np.int32(x[t] > least)
    return n


def _count_above_torch(scores: Tensor, row: Tensor, threshold: Tensor) -> Tensor:
    columns = [(scores[row] > threshold[:, [k]]).sum(-1) for k in range(threshold.shape[1])]
    return torch.stack(columns, -1) if columns else torch.zeros_like(threshold, dtype=torch.int64)
