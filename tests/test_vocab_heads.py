"""What heads do by their weights: their OV circuits, their strongest pairs of tokens; literally.

That they read with the weights that these are made of is shown for every family in test_families.py.
"""

import numpy as np
import pytest
import torch

import handmade
from extraction import config_of, load
from flowatlas import checkpoints, circuits, lens, models, vocab_heads
from tiny import make_model

CIRCUITS = ("gpt2", "gemma2", "olmo2", "phi", "granite", "qwen2_moe")


@pytest.fixture(params=CIRCUITS)
def model(request, tmp_path):
    return load(make_model(tmp_path / "model", request.param))[0]


def literal(model, l, h):
    """The head's map of the residual stream [d_model, d_model], and its circuit [source, to] of all pairs of tokens."""
    weights = model.reading_weights(l)
    stream = (weights[h] @ model.layer(l).w_o[h]).double()
    embedded = model.embeddings().double()
    if getattr(model.bridge.blocks[l], "ln1", None) is not None:
        embedded = embedded - embedded.mean(1, keepdim=True) if model.final.layer_norm else embedded
        embedded = embedded / (embedded.square().mean(1, keepdim=True) + model.final.eps).sqrt()
    written = embedded @ stream
    written = written - written.mean(1, keepdim=True) if model.final.layer_norm else written
    return stream.numpy(), ((written * model.final.weight) @ model.final.w_u.T.double()).numpy()


def of_head(columns, h, **wanted):
    kept = columns["head"] == h
    for name, value in wanted.items():
        kept &= np.asarray(columns[name]) == value
    return {name: np.asarray(values)[kept] for name, values in columns.items()}


def test_directions_are_those_of_the_dense_matrix(model):
    n, k, l = 3, 5, model.n_layers - 1
    rows = vocab_heads.rows(model, l, n, k, 4)
    for h in range(model.n_heads):
        stream, _ = literal(model, l, h)
        u, values, vh = np.linalg.svd(stream)
        found = of_head(rows["heads"], h)
        np.testing.assert_allclose(found["singular_value"], values[:n], rtol=1e-4)
        np.testing.assert_allclose(found["part"], values[:n] ** 2 / (values**2).sum(), rtol=1e-4)
        for r in range(n):
            writes = lens.static_scores(model.final, torch.from_numpy(vh[r : r + 1] * values[r]).float())[0].numpy()
            reads = model.normed(l, model.embeddings()).numpy() @ u[:, r]
            turned = -1 if writes.max() < -writes.min() else 1
            for side, scores in (("writes", writes * turned), ("reads", reads * turned)):
                for sign in (1, -1):
                    tokens = of_head(rows["head_tokens"], h, direction=r + 1, side=side, sign=sign)
                    np.testing.assert_array_equal(tokens["rank"], np.arange(1, k + 1))
                    np.testing.assert_allclose(tokens["score"], np.sort(scores * sign)[::-1][:k] * sign, atol=1e-4)
                    np.testing.assert_allclose(tokens["score"], scores[tokens["token_id"]], atol=1e-4)


def test_pairs_and_copying_are_those_of_the_whole_circuit(model):
    k, l = 7, 0
    rows = vocab_heads.rows(model, l, 1, 1, k)
    for h in range(model.n_heads):
        _, circuit = literal(model, l, h)
        for sign in (1, -1):
            found = of_head(rows["head_pairs"], h, sign=sign)
            best = np.sort((circuit * sign).ravel())[::-1][:k]
            np.testing.assert_allclose(found["score"] * sign, best, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(
                found["score"], circuit[found["source_id"], found["to_id"]], rtol=1e-3, atol=1e-4
            )
            np.testing.assert_array_equal(found["place"], np.arange(1, k + 1))
    values = np.linalg.eigvals(literal(model, l, 1)[1])  # of a matrix of all tokens: one head will do
    expected = values.real.sum() / np.abs(values).sum()
    assert of_head(rows["heads"], 1)["copying"][0] == pytest.approx(expected, abs=1e-3)


def test_a_planted_head_copies(tmp_path):
    """L1H2 of the model made by hand promotes the token that it reads; L0H1 writes to a place that predicts nothing."""
    config = config_of(handmade.save_model(tmp_path / "model")).model
    model, _ = models.load(checkpoints.locate(config), config, lambda hf: None)
    (copied_layer, copying_head), (_, carrying_head) = handmade.INDUCTION, handmade.PREVIOUS_TOKEN
    rows = vocab_heads.rows(model, copied_layer, 2, 3, 10)
    pairs = of_head(rows["head_pairs"], copying_head, sign=1)
    assert set(pairs["source_id"]) == set(pairs["to_id"])
    np.testing.assert_array_equal(pairs["source_id"], pairs["to_id"])
    others = [of_head(rows["head_pairs"], h, sign=1)["score"][0] for h in range(model.n_heads) if h != copying_head]
    assert pairs["score"][-1] > 10 * max(others)
    assert of_head(rows["heads"], copying_head)["copying"][0] > 0.9
    first = vocab_heads.rows(model, 0, 2, 3, 10)
    assert of_head(first["head_pairs"], carrying_head, sign=1)["score"][0] < pairs["score"][-1] / 10


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_bounds_leave_out_no_pair(spread, monkeypatch):
    """With blocks so small that most are left out; rows as long as each other, and of very different lengths."""
    monkeypatch.setattr(circuits, "_SOURCES", 8)
    monkeypatch.setattr(circuits, "_TO", 16)
    monkeypatch.setattr(circuits, "_FIRST", 4)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (150, 170))
    a *= (spread * torch.randn(150, 1, generator=generator)).exp()
    b *= (spread * torch.randn(170, 1, generator=generator)).exp()
    whole = a @ b.T
    for sign, found in zip((1, -1), circuits.strongest_pairs(a, b, 20), strict=True):
        best = (whole * sign).flatten().topk(20)
        torch.testing.assert_close(found.score * sign, best.values)
        assert (found.source * 170 + found.to).tolist() == best.indices.tolist()


def test_equal_pairs_keep_the_order_of_tokens_and_nothing_makes_no_pairs():
    ones = torch.ones(6, 2)
    promoted, suppressed = circuits.strongest_pairs(ones, ones, 4)
    assert list(zip(promoted.source.tolist(), promoted.to.tolist(), strict=True)) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert not len(suppressed.score)
    for found in circuits.strongest_pairs(torch.zeros(6, 2), ones, 4):
        assert not len(found.score)
    assert np.isnan(circuits.copying(torch.zeros(6, 2), ones))


def test_only_the_tokens_that_are_read_most_count_where_there_are_many(monkeypatch):
    monkeypatch.setattr(circuits, "READ", 3)
    monkeypatch.setattr(circuits, "_SOURCES", 2)
    a = torch.tensor([[1.0], [5.0], [4.0], [2.0], [3.0]])
    promoted, _ = circuits.strongest_pairs(a, torch.ones(2, 1), 10)
    assert sorted(set(promoted.source.tolist())) == [1, 2, 4]


def test_values_behind_a_norm_of_their_own_are_no_circuit(tmp_path):
    model = load(make_model(tmp_path / "model", "deepseek_v3"))[0]
    assert vocab_heads.rows(model, 0, 2, 2, 2) == {}
