"""Reach against a literal walk: one pass from the top must answer for every threshold, mode and set of targets."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import literal
from flowatlas import routes

FLOOR = 0.02


def random_shares(n_layer, n_pos, n_head, seed):
    """Per layer: heads [1, query, key, head] and residual, mlp and its residual, like shares that sum to 1."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for _ in range(n_layer):
        raw = torch.rand(1, n_pos, n_pos, n_head, generator=generator, dtype=torch.float64) ** 6
        raw *= torch.ones(n_pos, n_pos).tril()[None, :, :, None]
        rest = torch.rand(1, n_pos, generator=generator, dtype=torch.float64)
        total = raw.sum((2, 3)) + rest
        mlp = torch.rand(1, n_pos, generator=generator, dtype=torch.float64) ** 3
        layers.append((raw / total[..., None, None], rest / total, mlp, 1 - mlp))
    return layers


def reach_of_all(layers, targets, n_pos):
    is_target = torch.zeros(1, n_pos, dtype=torch.float64)
    is_target[0, targets] = 1
    reach = routes.start(is_target)
    found = {}
    for l in reversed(range(len(layers))):
        heads, past, mlp, past_mlp = layers[l]
        found[l, "post"] = reach
        reach = routes.through_mlp(reach, mlp, past_mlp, FLOOR)
        found[l, "mid"] = reach
        reach = routes.through_attention(reach, sparse(heads.sum(-1, keepdim=True)), sparse(heads), past, FLOOR)
    found[-1, "post"] = reach
    return found


def sparse(shares):
    """Edges above the floor of shares [batch, query, key, head]."""
    b, dst, src, head = (shares > FLOOR).nonzero(as_tuple=True)
    share = shares[b, dst, src, head]
    return routes.Edges(b, dst, src, head, share, torch.zeros_like(share))


def edges_of(layers, n_pos, n_head):
    edges = {}
    for l, (heads, past, mlp, past_mlp) in enumerate(layers):
        for i in range(n_pos):
            edges[(l, "post", i), (l, "mid", i), "mlp"] = float(mlp[0, i])
            edges[(l, "post", i), (l, "mid", i), "resid_mlp"] = float(past_mlp[0, i])
            edges[(l, "mid", i), (l - 1, "post", i), "resid_attn"] = float(past[0, i])
            for j in range(i + 1):
                for h in range(n_head):
                    edges[(l, "mid", i), (l - 1, "post", j), h] = float(heads[0, i, j, h])
    return edges


@settings(max_examples=60)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10_000),
    st.sampled_from([FLOOR, 0.05, 0.2, 0.45, 0.8]), st.data(),
)  # fmt: skip
def test_a_node_is_reached_at_tau_exactly_when_its_reach_is_above_tau(n_layer, n_pos, n_head, seed, tau, data):
    layers = random_shares(n_layer, n_pos, n_head, seed)
    targets = data.draw(st.lists(st.integers(0, n_pos - 1), min_size=1, max_size=3, unique=True))
    found = reach_of_all(layers, targets, n_pos)
    per_head = edges_of(layers, n_pos, n_head)
    for mode, edges in (("per_head", per_head), ("summed", literal.summed(per_head))):
        want = set()
        for target in targets:
            want |= literal.walk(edges, (n_layer - 1, "post", target), tau)[0]
        got = {
            (l, point, pos)
            for (l, point), reach in found.items()
            for pos in range(n_pos)
            if float(getattr(reach, mode)[0, pos]) > tau
        }
        assert got == want


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10_000))
def test_the_summed_route_holds_the_per_head_route(n_layer, n_pos, n_head, seed):
    for reach in reach_of_all(random_shares(n_layer, n_pos, n_head, seed), [n_pos - 1], n_pos).values():
        assert bool((reach.summed >= reach.per_head).all())


def test_reach_is_the_smallest_share_on_the_widest_path():
    # One layer, two tokens, target 1. Straight down: residuals 0.6 then 0.5. To token 0: residual 0.6, attention 0.3.
    heads = torch.tensor([[[[0.4], [0.0]], [[0.3], [0.2]]]], dtype=torch.float64)
    past, mlp, past_mlp = torch.tensor([[[0.6, 0.5]], [[0.1, 0.4]], [[0.9, 0.6]]], dtype=torch.float64)
    layers = [(heads, past, mlp, past_mlp)]
    found = reach_of_all(layers, [1], 2)
    assert found[0, "post"].summed.tolist() == [[0.0, 1.0]]
    assert found[0, "mid"].summed.tolist() == [[0.0, 0.6]]
    assert found[-1, "post"].summed.tolist() == [[0.3, 0.5]]
