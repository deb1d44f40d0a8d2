"""A head's OV circuit by its weights alone: its singular directions, its strongest pairs of tokens, whether it copies.

With x a normed residual, W_V of a head through the block norm's weight and W_O through a post-norm's:

    what the head writes for an attention of 1 = x W_V W_O = sum_r (x . u_r) s_r v_r      (singular value decomposition)

1. u_r and v_r are its directions: what it reads and what it writes (Millidge & Black 2022, *The singular value
   decompositions of transformer weight matrices are highly interpretable*). Their product is never made: W_V = Q R and
   W_O^T = Q' R', so the decomposition is that of R R'^T, a matrix of the head's width.
2. With a row a_t = (x_t . u_r)_r for each token's normed embedding and b_t = (s_r v_r . unembedding of t)_r, the full circuit
   from token to token is a_t . b_t' (Elhage et al. 2021, *A mathematical framework for transformer circuits*): a matrix of
   tokens by tokens of which only the largest entries are looked for. Tokens are taken in order of |a| and |b|; once
   |a| |b| is under the smallest entry kept, the rest cannot hold a larger one (Cauchy-Schwarz), so what is found is exact.
   Where the vocabulary is larger than READ, the tokens read are the READ with the largest |a|: those that move the head most.
3. Its eigenvalues are those of the small matrix sum_t b_t a_t^T; copying is their sum over their absolute sum.

Deviations: embeddings pass the norm of the block that reads them; positions are left out.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from flowatlas.kernels import product

READ = 8192
TINY = torch.finfo(torch.float32).tiny  # an entry of 0 is no pair
# Tokens read and written of which all pairs are multiplied at once: few enough that the products stay in the processor's
# cache, and that most blocks hold no entry to keep.
_SOURCES, _TO = 256, 2048
_FIRST = 1024  # of the largest tokens, from which the first bound comes
_ROUNDING = 1e-5  # bounds are taken so much wider, since the same product is rounded otherwise in another block


class Directions(NamedTuple):
    """Singular directions of heads, the strongest first: reads, writes [head, d_model, r] of unit length, values [head, r]."""

    reads: Tensor
    values: Tensor
    writes: Tensor


class Pairs(NamedTuple):
    """Entries of a circuit, the strongest first: source, to (tokens) and score, each [pair]."""

    source: Tensor
    to: Tensor
    score: Tensor


def directions(w_v: Tensor, w_o: Tensor) -> Directions:
    """The decomposition of W_V W_O for each head, in float64; w_v [head, d_model, d_head], w_o [head, d_head, d_model].

    Signs of directions are as the decomposition leaves them: (u, v) and (-u, -v) are the same.
    """
    q_v, r_v = torch.linalg.qr(w_v.double())
    q_o, r_o = torch.linalg.qr(w_o.double().mT)
    u, values, vh = torch.linalg.svd(r_v @ r_o.mT, full_matrices=False)
    return Directions(*(part.to(w_v.dtype) for part in (q_v @ u, values, q_o @ vh.mT)))


def copying(a: Tensor, b: Tensor) -> float:
    """Sum over absolute sum of the eigenvalues of the circuit a_t . b_t' [token, r] each: -1..1, NaN where all are 0."""
    values = torch.linalg.eigvals((b.mT @ a).double().cpu())
    whole = float(values.abs().sum())
    return float(values.real.sum()) / whole if whole > 0 else float("nan")


def strongest_pairs(a: Tensor, b: Tensor, k: int) -> tuple[Pairs, Pairs]:
    """The k largest entries above 0 and the k smallest under 0 of a @ b.T [source, to], equal ones by source and to.

    a [source, r], of which the READ longest rows count; b [to, r]. Memory: that of a and b again, and small blocks.
    """
    a_norm, b_norm = a.norm(dim=1), b.norm(dim=1)
    by_a, by_b = a_norm.argsort(descending=True, stable=True), b_norm.argsort(descending=True, stable=True)
    a_sorted, b_sorted, reached = a[by_a], b[by_b], b_norm[by_b]
    first = a_sorted[:_FIRST] @ b_sorted[:_FIRST].T
    found = [_Best(sign, k, first) for sign in (1, -1)]
    for at in range(0, min(len(a), READ) if k else 0, _SOURCES):
        block, bound = a_sorted[at : min(at + _SOURCES, READ)], reached * a_norm[by_a[at]] * (1 + _ROUNDING)
        stop = int((bound >= min(best.least for best in found)).sum())
        if not stop:
            break
        for begin in range(0, stop, _TO):
            scores = product(block, b_sorted[begin : min(stop, begin + _TO)])
            for best in found:
                best.take(scores, by_a[at:], by_b[begin:])
    return found[0].pairs, found[1].pairs


class _Best:
    """The k strongest entries of a sign so far; `least` is what an entry must reach, from the first scores onwards."""

    def __init__(self, sign: int, k: int, first: Tensor) -> None:
        self.sign, self.k = sign, k
        best = (first * sign).flatten().topk(min(k, first.numel())).values
        self.least = max(0.0, float(best[-1]) * (1 - _ROUNDING)) if len(best) == k > 0 else 0.0
        nowhere = torch.empty(0, dtype=torch.long, device=first.device)
        self.pairs = Pairs(nowhere, nowhere, first.new_empty(0))

    def take(self, scores: Tensor, source: Tensor, to: Tensor) -> None:
        """Keep what a block [row, column] has; row and column are places in `source` and `to`."""
        strongest = float(scores.amax() if self.sign > 0 else -scores.amin())
        if strongest <= 0 or strongest < self.least:
            return
        least = max(self.least, TINY)
        row, column = (scores >= least if self.sign > 0 else scores <= -least).nonzero(as_tuple=True)
        new = Pairs(source[row], to[column], scores[row, column])
        both = Pairs(*(torch.cat(parts) for parts in zip(self.pairs, new, strict=True)))
        order = torch.arange(len(both.score), device=scores.device)
        for key in (both.to, both.source, -self.sign * both.score):
            order = order[key[order].argsort(stable=True)]
        self.pairs = Pairs(*(part[order[: self.k]] for part in both))
        if len(self.pairs.score) == self.k:
            self.least = max(self.least, float(self.pairs.score[-1].abs()))
