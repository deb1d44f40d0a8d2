"""The proximity of all pairs of tokens, or of nodes and neurons, as one Triton kernel: float32, on CUDA.

    near(i, j) = max(0, sum_c |y[i, c]| - |y[i, c] - a[i, j] u[j, c]|)

A program owns a tile of queries i and keys j (nodes and neurons) and walks over the coordinates c, sixteen at a time, one
for each of sixteen threads: a thread sums the differences of its coordinate for 64 pairs in registers, and the threads'
sums meet at the end. So there is no difference of two norms (kernels.py says why), and nothing is written but the result.

Only kernels.on_device imports this module: triton comes with torch's CUDA builds for Linux, and with no other.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Pairs of a tile, coordinates at a time, and how many blocks of them are on their way while one is summed.
_TILE = {"QUERIES": 16, "KEYS": 32, "COORDINATES": 16, "STAGES": 3}
# So many registers hold a thread's 64 sums and 64 weights, and leave a multiprocessor room for three programs.
_LAUNCH = {"num_warps": 4, "maxnreg": 168}
# Their values make no variants of the compiled kernel: it would be compiled anew for some lengths of prompts.
_ANY_VALUE = ("n_head", "n_query", "n_key", "first", "a_b", "a_h", "a_q", "a_k")


def attention_proximity(whole: Tensor, pattern: Tensor, u: Tensor, lengths: Tensor, first: int = 0) -> Tensor:
    """As attention_kernel.attention_proximity; u [head, batch, key, d_model]. Strides are free, all is float32."""
    return _proximity(whole, pattern, u, lengths.to(whole.device), first)


def neuron_proximity(whole: Tensor, activation: Tensor, w_out: Tensor) -> Tensor:
    """As kernels.neuron_proximity. Strides are free, all is float32."""
    return _proximity(whole[None], activation[None, None], w_out[None, None], None, 0)[0, 0]


def small_case(name: str, device: torch.device) -> tuple:
    """Arguments to try a function of this module with: ragged lengths, an offset, pairs that fill no tile.

    d_model is a multiple of 16, as models have it: for one that is not, Triton compiles other code.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 21, 80), (2, 3, 21, 40), (3, 2, 40, 80)
    whole, pattern, u = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    pattern = pattern / 10  # of parts as large as the whole, hardly any is near it
    if name == "neuron_proximity":
        return whole[0], pattern[0, 0], u[0, 0]
    return whole, pattern, u, torch.tensor([26, 40], device=device), 19


def _proximity(y: Tensor, a: Tensor, u: Tensor, lengths: Tensor | None, first: int) -> Tensor:
    """y [batch, query, d_model], a [batch, head, query, key], u [head, batch, key, d_model]; no lengths: all see all."""
    batch, n_head, n_query, n_key = a.shape
    out = a.new_zeros(a.shape)
    grid = (batch * n_head * triton.cdiv(n_query, _TILE["QUERIES"]) * triton.cdiv(n_key, _TILE["KEYS"]),)
    # Triton launches on the current device, which is not that of every block of a model on several GPUs.
    with torch.cuda.device_of(y):
        _kernel[grid](
            y, a, u, lengths, out, n_head, n_query, n_key, y.shape[-1], first,
            *y.stride(), *a.stride(), *u.stride(),  # pyright: ignore[reportArgumentType] - it cannot count them
            **_TILE, **_LAUNCH,
        )  # fmt: skip
    return out


@triton.jit(do_not_specialize=_ANY_VALUE)
def _kernel(
    y, a, u, lengths, out, n_head, n_query, n_key, d_model, first,
    y_b, y_q, y_c, a_b, a_h, a_q, a_k, u_h, u_b, u_k, u_c,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, COORDINATES: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """`out` is contiguous and zero, and written where a query sees a key; y_b is how far prompts are apart in y, and so on."""
    tile, tiles_q, tiles_k = tl.program_id(0), tl.cdiv(n_query, QUERIES), tl.cdiv(n_key, KEYS)
    matrix = (tile // (tiles_q * tiles_k)).to(tl.int64)  # what is multiplied by a stride may exceed 32 bits
    b, h = matrix // n_head, matrix % n_head
    q0 = tile % tiles_q * QUERIES  # neighbours share their keys, of which there are more
    k0 = tile // tiles_q % tiles_k * KEYS
    q, k = q0 + tl.arange(0, QUERIES), k0 + tl.arange(0, KEYS)
    end = n_query
    if lengths is not None:
        end = tl.minimum(n_query, tl.load(lengths + b).to(tl.int32) - first)
        if (q0 >= end) | (k0 >= tl.minimum(q0 + QUERIES, end) + first):
            return
    seen = (q < end)[:, None] & (k < n_key)[None, :]
    if lengths is not None:
        seen = seen & (k[None, :] <= q[:, None] + first)
    far_q, far_k = q.to(tl.int64), k.to(tl.int64)
    weight = tl.load(a + b * a_b + h * a_h + far_q[:, None] * a_q + far_k[None, :] * a_k, mask=seen, other=0)
    # Beyond the last row the last is read again: rows need no mask, and what comes of it is not written.
    y_row = y + b * y_b + tl.minimum(far_q, n_query - 1)[:, None] * y_q
    u_row = u + h * u_h + b * u_b + tl.minimum(far_k, n_key - 1)[:, None] * u_k
    total = tl.zeros([QUERIES, KEYS, COORDINATES], tl.float32)
    for start in tl.range(0, d_model, COORDINATES, num_stages=STAGES):
        c = start + tl.arange(0, COORDINATES)[None, :].to(tl.int64)
        whole = tl.load(y_row + c * y_c, mask=c < d_model, other=0)[:, None, :]
        part = tl.load(u_row + c * u_c, mask=c < d_model, other=0)[None, :, :]
        total += tl.abs(whole) - tl.abs(whole - weight[:, :, None] * part)
    near = tl.maximum(tl.sum(total, 2), 0, propagate_nan=tl.PropagateNan.ALL)
    tl.store(out + (matrix * n_query + far_q[:, None]) * n_key + far_k[None, :], near, mask=seen)
