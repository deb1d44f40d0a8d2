"""Shares: a case worked by hand, the fused path against the formula written out, and what must hold for any input."""

import contextlib
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import literal
from flowatlas import attention_kernel, contributions, kernels
from flowatlas.attention_kernel import attention_proximity, head_values
from flowatlas.weights import NeuronBlock

WAYS = ("directly", "corrected")
BOTH_WAYS = pytest.mark.parametrize("way", WAYS)
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.integers(2, 19))


@pytest.fixture(scope="module", autouse=True)
def _threads():
    """Elsewhere the tests run on one; here what the compiled loops deal out between them must be right."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def random_layer(shape, seed, dtype=torch.float64, scale=1.0):
    """whole, residual, pattern, values, bias, lengths of one random block; also v and w_o."""
    batch, n_pos, n_head, d_head, d_model = shape
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype) * scale

    scores = torch.randn(batch, n_head, n_pos, n_pos, generator=generator, dtype=torch.float64)
    causal = torch.ones(n_pos, n_pos, dtype=torch.bool).tril()
    pattern = scores.masked_fill(~causal, -torch.inf).softmax(-1).to(dtype)
    v, w_o, bias = normal(batch, n_pos, n_head, d_head), normal(n_head, d_head, d_model), normal(d_model)
    residual = normal(batch, n_pos, d_model)
    values = head_values(v, w_o)
    whole = residual + torch.einsum("bhqk,hbkd->bqd", pattern, values.u) + bias
    lengths = torch.randint(1, n_pos + 1, (batch,), generator=generator)
    lengths[0] = n_pos
    return whole, residual, pattern, values, bias, lengths, v, w_o


@contextlib.contextmanager
def prepared(way: str):
    """The way of short prompts ("directly") or of long ones ("corrected"), whatever the length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_kernel, "_SHORT", 10_000 if way == "directly" else 0)
        yield


def dense(activation, w_out):
    return NeuronBlock(-1, torch.arange(len(activation)), activation, w_out)


def test_two_tokens_in_two_dimensions_by_hand():
    # One head. Token 1 attends to token 0 with 3/4 and to itself with 1/4; u0 = (4, 0), u1 = (0, -4); residual (1, 3).
    # The parts are (3, 0) and (0, -1), the whole (4, 2) has size 6:
    #   (3, 0):  6 - |(1, 2)| = 3      (0, -1): 6 - |(4, 3)| = -1 -> 0      residual (1, 3): 6 - |(3, -1)| = 2
    # so the shares are 3/5, 0 and 2/5. At token 0: whole (5, 3) = part (4, 0) + residual (1, 3): 4 and 4, halves.
    residual = torch.tensor([[[1.0, 3.0], [1.0, 3.0]]])
    values = head_values(torch.tensor([[[[4.0, 0.0]], [[0.0, -4.0]]]]), torch.eye(2)[None])
    pattern = torch.tensor([[[[1.0, 0.0], [0.75, 0.25]]]])
    whole = torch.tensor([[[5.0, 3.0], [4.0, 2.0]]])
    found = contributions.attention_shares(whole, residual, pattern, values, None, torch.tensor([2]))
    assert found.heads[0, 0, 1].tolist() == pytest.approx([0.6, 0.0])
    assert found.residual[0].tolist() == pytest.approx([0.5, 0.4])
    assert found.heads[0, 0, 0].tolist() == pytest.approx([0.5, 0.0])
    assert found.heads[0, 0, 1, 1] == 0  # pushes away from the whole: exactly nothing
    # An output bias (0, 2) would take: 6 - |(4, 0)| = 2 of 5 + 2.
    biased = contributions.attention_shares(
        whole, residual, pattern, values, torch.tensor([0.0, 2.0]), torch.tensor([2])
    )
    assert biased.bias[0, 1] == pytest.approx(2 / 7)
    mlp, rest = contributions.mlp_shares(whole, residual, whole - residual)
    assert (mlp[0].tolist(), rest[0].tolist()) == (pytest.approx([4 / 8, 2 / 4]), pytest.approx([4 / 8, 2 / 4]))


@BOTH_WAYS
@settings(max_examples=40)
@given(shape=SHAPES, seed=st.integers(0, 10_000), dtype=st.sampled_from([torch.float64, torch.float32]))
def test_fused_attention_shares_equal_the_formula(way, shape, seed, dtype):
    whole, residual, pattern, values, bias, lengths, v, w_o = random_layer(shape, seed, dtype)
    with prepared(way):
        found = contributions.attention_shares(whole, residual, pattern, values, bias, lengths)
    tolerance = 1e-10 if dtype == torch.float64 else 2e-5
    for b in range(shape[0]):
        for i in range(int(lengths[b])):
            y, rest, a, values_, out = (x.double() for x in (whole[b], residual[b], pattern[b], v[b], w_o))
            want = literal.attention_shares(y, rest, a, values_, out, i)
            for j in range(shape[1]):
                for h in range(shape[2]):
                    assert float(found.heads[b, h, i, j]) == pytest.approx(want.get((j, h), 0.0), abs=tolerance)
            assert float(found.residual[b, i]) == pytest.approx(want["residual"], abs=tolerance)
        assert float(found.heads[b, :, int(lengths[b]) :].abs().sum()) == 0


@settings(max_examples=40)
@given(SHAPES, st.integers(0, 10_000))
def test_shares_are_a_distribution_and_the_future_has_none(shape, seed):
    whole, residual, pattern, values, bias, lengths, *_ = random_layer(shape, seed)
    found = contributions.attention_shares(whole, residual, pattern, values, bias, lengths)
    for b, n in enumerate(lengths.tolist()):
        total = found.heads[b, :, :n].sum((0, 2)) + found.residual[b, :n]
        torch.testing.assert_close(total, torch.ones_like(total))
        for i in range(n):
            assert bool((found.heads[b, :, i, i + 1 :] == 0).all())
    assert float(found.heads.min()) >= 0
    assert bool(((found.bias >= 0) & (found.bias <= 1)).all())


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 90), st.integers(1, 24), st.integers(0, 10_000))
def test_fused_neuron_shares_equal_the_formula(n_node, n_neuron, d_model, seed):
    generator = torch.Generator().manual_seed(seed)
    w_out = torch.randn(n_neuron, d_model, generator=generator, dtype=torch.float64)
    activation = torch.randn(n_node, n_neuron, generator=generator, dtype=torch.float64)
    residual = torch.randn(n_node, d_model, generator=generator, dtype=torch.float64)
    bias = torch.randn(d_model, generator=generator, dtype=torch.float64)
    whole = residual + activation @ w_out + bias
    found = contributions.neuron_shares(whole, residual, [dense(activation, w_out)], bias)
    for node in range(n_node):
        parts = {n: activation[node, n] * w_out[n] for n in range(n_neuron)}
        want = literal.shares({**parts, "residual": residual[node]}, whole[node], "residual")
        assert found.neurons[0][node].tolist() == pytest.approx([want[n] for n in range(n_neuron)], abs=1e-10)
        assert float(found.residual[node]) == pytest.approx(want["residual"], abs=1e-10)
        with_bias = literal.shares({**parts, "residual": residual[node], "bias": bias}, whole[node], "residual")
        assert float(found.bias[node]) == pytest.approx(with_bias["bias"], abs=1e-10)


def test_nothing_near_the_whole_leaves_it_to_the_residual():
    whole = torch.ones(1, 1, 4)
    against = head_values(-torch.ones(1, 1, 1, 4), torch.eye(4)[None])
    found = contributions.attention_shares(whole, -whole, torch.ones(1, 1, 1, 1), against, None, torch.tensor([1]))
    assert (float(found.heads.sum()), float(found.residual.sum())) == (0.0, 1.0)
    assert [float(s) for s in contributions.mlp_shares(whole, -whole, -whole)] == [0.0, 1.0]
    zero = torch.zeros(1, 4)
    neurons = contributions.neuron_shares(zero, zero, [dense(torch.ones(1, 2), torch.ones(2, 4))], None)
    assert (float(neurons.neurons[0].sum()), float(neurons.residual)) == (0.0, 1.0)


@BOTH_WAYS
def test_small_parts_keep_their_digits_in_float32(way):
    """A part of 1e-6 of the whole: a difference of two norms would lose it in float32."""
    generator = torch.Generator().manual_seed(1)
    whole = torch.randn(1, 1, 768, generator=generator, dtype=torch.float64)
    ones, identity, lengths = torch.ones(1, 1, 1, 1), torch.eye(768)[None], torch.tensor([1])
    part = whole[:, :, None] * 1e-6
    with prepared(way):
        exact = attention_proximity(whole, ones.double(), head_values(part, identity.double()), lengths)
        fast = attention_proximity(whole.float(), ones, head_values(part.float(), identity), lengths)
    # Each coordinate |y| - |y - p| is exact to the rounding of y - p: a relative 2^-24 of |y|, averaged over 768.
    assert float(fast / exact) == pytest.approx(1, rel=0.02)


@BOTH_WAYS
def test_a_part_that_is_zero_has_no_proximity_at_all(way):
    whole, nothing = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1, 1, 64)
    values = head_values(nothing, torch.eye(64)[None])
    with prepared(way):
        for y in (whole, whole * 0):
            assert float(attention_proximity(y, torch.ones(1, 1, 1, 1), values, torch.tensor([1]))) == 0


@settings(max_examples=60)
@given(SHAPES, st.integers(0, 10_000), st.sampled_from([1.0, 30.0]))
def test_both_ways_and_the_one_of_other_devices_agree(shape, seed, sharpness):
    """Attention spread over the keys, and (sharpness) on few of them, where parts reach beyond the whole."""
    whole, _, pattern, values, _, lengths, *_ = random_layer(shape, seed)
    pattern = pattern**sharpness
    pattern = pattern / pattern.sum(-1, keepdim=True)
    late = whole.shape[1] // 2  # the same, of the later queries alone, and of the earlier ones with their keys
    found = {}
    for way in WAYS:
        with prepared(way):
            found[way] = attention_proximity(whole, pattern, values, lengths)
            some = attention_proximity(whole[:, late:], pattern[:, :, late:], values, lengths, late)
            early = attention_proximity(whole[:, :late], pattern[:, :, :late, :late], values, lengths)
        torch.testing.assert_close(some, found[way][:, :, late:])
        torch.testing.assert_close(early, found[way][:, :, :late, :late])
    other = attention_kernel._in_torch(whole, pattern, values.u, lengths)
    some = attention_kernel._in_torch(whole[:, late:], pattern[:, :, late:], values.u, lengths, late)
    torch.testing.assert_close(some, other[:, :, late:])
    for way in WAYS:
        torch.testing.assert_close(found[way], other)


@settings(max_examples=30)
@given(SHAPES, st.integers(0, 10_000))
def test_the_torch_path_of_other_devices_equals_the_neurons_kernel(shape, seed):
    whole, _, pattern, values, *_ = random_layer(shape, seed)
    nodes, w_out, activation = (
        whole.flatten(0, 1),
        values.u.flatten(0, 2),
        pattern.flatten()[: len(values.u.flatten(0, 2))],
    )
    activation = activation.repeat(len(nodes), 1)
    fused = kernels.neuron_proximity(nodes, activation, w_out[: activation.shape[1]])
    torch.testing.assert_close(kernels._neuron_proximity_torch(nodes, activation, w_out[: activation.shape[1]]), fused)


TOKENS = st.integers(1, 40) | st.sampled_from([256, 257, 2049, 4100])  # in one block of the kernels, and in several


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 9), TOKENS, st.integers(1, 2), st.integers(0, 10_000))
def test_the_torch_path_of_tokens_equals_the_cpu_kernels(n_row, n_pair, n_token, ends, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-4, 5, (n_row, n_token), generator=generator).double()  # with many ties
    scores[:, 3:][:, ::7] = -torch.inf  # tokens that a model never says
    row, other = torch.randint(n_row, (2, n_pair), generator=generator)
    factor, k = torch.randint(0, 3, (n_pair,), generator=generator).double(), min(3, n_token)
    fused = kernels.top_differences(scores, row, other, factor, k, ends == 2)
    for one, two in zip(kernels._top_differences_torch(scores, row, other, factor, k, ends), fused, strict=True):
        assert one.tolist() == two.tolist()
    threshold = scores[row][:, :k]
    found = kernels._count_above_torch(scores, row, threshold)
    assert found.tolist() == kernels.count_above(scores, row, threshold).tolist()


AWKWARD = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38, math.inf, -math.inf, math.nan, -math.nan]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(AWKWARD) | st.floats(width=32), min_size=1, max_size=40), st.integers(1, 40))
def test_the_best_tokens_elsewhere_are_those_of_a_stable_sort(scores, k):
    """Ties to the lower id, zeros of both signs among them, to the last bit."""
    rows, k = torch.tensor([scores, scores[::-1]]), min(k, len(scores))
    values, ids = torch.sort(rows, dim=-1, descending=True, stable=True)
    found = kernels._stable_top(rows, k)
    assert found[1].tolist() == ids[:, :k].tolist()
    assert found[0].view(torch.int32).tolist() == values[:, :k].contiguous().view(torch.int32).tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("n_row", [0, 1, 50])
def test_the_product_with_a_matrix_of_weights(dtype, n_row):
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(n, 96, generator=generator).to(dtype) for n in (n_row, 301))
    torch.testing.assert_close(kernels.product(x, w), x @ w.T)


def test_neurons_of_experts_are_compared_at_each_node_by_itself():
    """Two experts at overlapping nodes: shares sum to 1 per node, and the largest are taken over both."""
    generator = torch.Generator().manual_seed(0)
    whole, residual = torch.randn(2, 3, 6, generator=generator)
    places = [torch.tensor([2, 0]), torch.tensor([2])]
    blocks = [
        NeuronBlock(e, node, torch.randn(len(node), 5, generator=generator), torch.randn(5, 6, generator=generator))
        for e, node in zip((4, 7), places, strict=True)
    ]
    found = contributions.neuron_shares(whole, residual, blocks, None)
    top = contributions.top_neurons(blocks, found.neurons, torch.tensor([True, True, False]), 2)
    everything = contributions.top_neurons(blocks, found.neurons, torch.tensor([False, False, True]), 99)
    for node in range(3):
        parts = {"residual": residual[node]}
        for block in blocks:
            for place in (block.node == node).nonzero().flatten().tolist():
                parts |= {(block.expert, n): block.activation[place, n] * block.w_out[n] for n in range(5)}
        want = literal.shares(parts, whole[node], "residual")
        assert float(found.residual[node]) == pytest.approx(want.pop("residual"), abs=1e-6)
        want = sorted((key for key in want if want[key] > 0), key=lambda key: -want[key])
        chosen = everything if node == 2 else top
        own = [(int(e), int(n)) for at, e, n in zip(*chosen[:3], strict=True) if at == node]
        assert own == (want if node == 2 else want[:2])
    assert {int(e) for e in everything.expert} == {4, 7}
