"""The vocabulary atlas: every neuron's tokens, clusters, made once per model, the same however often it was stopped."""

import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from extraction import load
from flowatlas import lens, neuron_clusters, neuron_tokens, vocab, vocab_clusters, vocab_files
from flowatlas.config import VocabConfig
from flowatlas.errors import ConfigError, UnsupportedModel
from flowatlas.schema_vocab import VOCAB_TABLES
from flowatlas.vocab import Wanted
from runs import hashes
from tiny import make_model

SETTINGS = VocabConfig(top_k=4, directions=2, pairs=3, clusters=5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["gpt2", "gemma2", "qwen2_moe", "deepseek_v3"])
def model(request, tmp_path):
    """A dense one, one with post-norms, a mixture with a shared expert, and one with a dense block under mixed experts."""
    return load(make_model(tmp_path / "model", request.param))[0]


def texts(model):
    return [f" token{i}" for i in range(model.vocab_size)]


def wanted(weights="weights", settings=SETTINGS, seed=0):
    return Wanted(weights, "tokenizer", "float32", settings, seed)


def make(model, of=None):
    return vocab.ensure(of or wanted(), lambda: (model, texts(model)))


def read(folder, table):
    parts = [pq.read_table(path) for path in sorted((folder / table).glob("*.parquet"))]
    assert parts
    return pa.concat_tables(parts)


def test_every_neuron_has_the_tokens_of_its_own_direction(model):
    rows = read(make(model), "neuron_tokens").to_pylist()
    found = Counter((row["layer"], row["expert"], row["neuron"]) for row in rows)
    everyone = {
        (l, expert, n)
        for l in range(model.n_layers)
        for expert in model.experts(l)
        for n in range(len(model.value_vectors(l, expert)))
    }
    assert found.keys() == everyone
    assert set(found.values()) == {2 * SETTINGS.top_k}
    for row in rows[:: max(1, len(rows) // 200)]:
        value = model.value_vectors(row["layer"], row["expert"])[row["neuron"]]
        scores = lens.static_scores(model.final, value[None])[0]
        ranked = scores.sort(descending=row["sign"] == 1, stable=True)
        assert row["score"] == pytest.approx(float(ranked.values[row["rank"] - 1]), abs=1e-5)
        assert row["score"] == pytest.approx(float(scores[row["token_id"]]), abs=1e-5)
        assert row["token"] == f" token{row['token_id']}"


def test_clusters_hold_what_their_neurons_have_in_common(model):
    folder = make(model)
    neurons, clusters = read(folder, "neurons").to_pylist(), read(folder, "clusters").to_pylist()
    members = {row["cluster"]: [n for n in neurons if n["cluster"] == row["cluster"]] for row in clusters}
    assert sum(map(len, members.values())) == len(neurons)
    assert [row["n"] for row in clusters] == sorted((len(own) for own in members.values()), reverse=True)
    own_tokens: dict = {}
    for row in read(folder, "neuron_tokens").to_pylist():
        own_tokens.setdefault((row["layer"], row["expert"], row["neuron"], row["sign"]), []).append(row)
    shared = read(folder, "cluster_tokens").to_pylist()
    for row in clusters:
        own = members[row["cluster"]]
        assert (row["layer_least"], row["layer_most"]) == (min(n["layer"] for n in own), max(n["layer"] for n in own))
        vectors = torch.stack([model.value_vectors(n["layer"], n["expert"])[n["neuron"]] for n in own])
        np.testing.assert_allclose([n["norm"] for n in own], vectors.norm(dim=1), rtol=1e-5)
        unit = torch.nn.functional.normalize(model.final.centred(vectors) * model.final.weight, dim=1)
        cosines = unit @ torch.nn.functional.normalize(unit.sum(0), dim=0)
        np.testing.assert_allclose([n["cosine"] for n in own], cosines, atol=1e-5)
        assert row["cosine"] == pytest.approx(float(cosines.mean()), abs=1e-5)
        for sign, named in ((1, row["promoted"]), (-1, row["suppressed"])):
            rows = [t for n in own for t in own_tokens[n["layer"], n["expert"], n["neuron"], sign]]
            counted = Counter(t["token_id"] for t in rows)
            found = [t for t in shared if (t["cluster"], t["sign"]) == (row["cluster"], sign)]
            kept = sorted((n for n in counted.values() if n >= min(2, len(own))), reverse=True)
            assert [t["n"] for t in found] == kept[: vocab_clusters.SHARED]
            for t in found:
                scores = [other["score"] for other in rows if other["token_id"] == t["token_id"]]
                assert (t["n"], t["score"]) == (len(scores), pytest.approx(np.mean(scores), abs=1e-5))
            assert named == [t["token"] for t in found][: vocab_clusters.NAMED]


def test_it_is_made_once_and_again_for_whatever_it_depends_on(tmp_path):
    model = load(make_model(tmp_path / "model", "gpt2"))[0]
    asked = []

    def loaded():
        asked.append(1)
        return model, texts(model)

    first = vocab.ensure(wanted(), loaded)
    before = hashes(first)
    assert vocab.ensure(wanted(), loaded) == first
    assert len(asked) == 1
    stored = VocabConfig(**{**vars(SETTINGS), "store": True})  # where it is put is no part of what it is
    assert vocab.ensure(wanted(settings=stored), loaded) == first
    others = (
        wanted("other"),
        wanted(settings=VocabConfig(top_k=5)),
        wanted(seed=1),
        Wanted("weights", "other", "float32", SETTINGS),
    )
    assert len({other.made_from for other in others} | {wanted().made_from}) == 5
    (first / "clusters" / "part-00000.parquet").write_bytes(b"")
    assert vocab.ensure(wanted(), loaded) == first
    assert hashes(first) == before
    assert len(asked) == 2


def test_an_atlas_that_was_stopped_goes_on_and_comes_to_the_same(tmp_path, monkeypatch):
    model = load(make_model(tmp_path / "model", "qwen2_moe"))[0]
    whole = hashes(make(model))
    shutil.rmtree(wanted().cache)
    computed = []
    compute = neuron_tokens.compute

    def failing(model, keys, k):
        computed.append(int(keys[0] >> 47))
        if len(computed) == 4:
            raise KeyboardInterrupt
        return compute(model, keys, k)

    monkeypatch.setattr(neuron_tokens, "compute", failing)
    with pytest.raises(KeyboardInterrupt):
        make(model)
    assert vocab_files.marker_of(wanted().cache) is None
    begun, stopped_at = {}, computed[-1]
    for path in (wanted().cache / "neuron_tokens").glob("*.parquet"):
        begun[path] = path.stat().st_mtime_ns
    computed.clear()
    monkeypatch.setattr(
        neuron_tokens, "compute", lambda *args: computed.append(int(args[1][0] >> 47)) or compute(*args)
    )
    folder = make(model)
    assert hashes(folder) == whole
    assert set(computed) == {l for l in range(model.n_layers) if l >= stopped_at}
    assert all(path.stat().st_mtime_ns == time for path, time in begun.items())


def test_parts_of_no_rows_are_there_with_their_columns(tmp_path):
    """A model of mixed experts alone has heads to tell of, and tables of neurons without a row."""
    model = load(make_model(tmp_path / "model", "gpt_oss"))[0]
    folder = make(model)
    for table, declared in VOCAB_TABLES.items():
        assert read(folder, table).schema.equals(declared.schema)
    rows = {table: read(folder, table).num_rows for table in VOCAB_TABLES}
    assert {table for table, n in rows.items() if n} == {"heads", "head_tokens", "head_pairs"}
    marker = vocab_files.marker_of(folder)
    assert marker
    assert (marker["n_neurons"], marker["neurons"], marker["without_heads"]) == (0, [], [])


def test_more_clusters_than_neurons_are_refused_and_those_that_were_made_are_told(tmp_path):
    model = load(make_model(tmp_path / "model", "gpt2"))[0]
    with pytest.raises(ConfigError, match=r"vocab.clusters=99999: the model has 384 neurons"):
        make(model, wanted(settings=VocabConfig(clusters=99999)))
    folder = make(model)
    marker = vocab_files.marker_of(folder)
    assert marker
    assert marker["n_clusters"] == read(folder, "clusters").num_rows


def test_a_model_of_which_nothing_can_be_said_is_refused_by_name(tmp_path, monkeypatch):
    model = load(make_model(tmp_path / "model", "gpt_oss"))[0]
    monkeypatch.setattr(model, "reading_weights", lambda l: None)
    with pytest.raises(UnsupportedModel, match="nothing to make an atlas of"):
        make(model)


def test_the_marker_tells_experts_of_one_size_together(tmp_path):
    model = load(make_model(tmp_path / "model", "qwen2_moe"))[0]
    marker = vocab_files.marker_of(make(model))
    assert marker
    told = {(l, e): n for l, first, last, n in marker["neurons"] for e in range(first, last + 1)}
    sizes = {(l, e): len(model.value_vectors(l, e)) for l in range(model.n_layers) for e in model.experts(l)}
    assert told == sizes
    assert len(marker["neurons"]) < len(sizes)


def directions(n, seed=0):
    """Vectors of unit length around eight directions."""
    rng = np.random.default_rng(seed)
    centres = np.eye(8, 20)
    vectors = centres[rng.integers(0, 8, n)] + rng.normal(scale=0.05, size=(n, 20))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_clusters_are_the_same_every_time_and_on_any_number_of_cores():
    from threadpoolctl import threadpool_limits

    vectors = directions(6000)
    first = neuron_clusters.find(vectors, 30, seed=3)
    with threadpool_limits(1):
        again = neuron_clusters.find(vectors, 30, seed=3)
    np.testing.assert_array_equal(first.cluster, again.cluster)
    np.testing.assert_array_equal(first.cosine, again.cosine)
    sizes = np.bincount(first.cluster)
    assert (np.diff(sizes) <= 0).all()
    assert (sizes > 0).all()


def test_directions_that_differ_are_clusters_that_differ():
    vectors = directions(3000)
    found = neuron_clusters.find(vectors, 8, seed=0)
    truth = vectors[:, :8].argmax(1)
    pairs = {(int(a), int(b)) for a, b in zip(found.cluster, truth, strict=True)}
    assert len(pairs) == 8
    assert found.cosine.min() > 0.9


def test_vectors_of_no_length_are_no_trouble():
    vectors = np.zeros((50, 8), np.float32)
    found = neuron_clusters.find(vectors, 4, seed=0)
    assert (found.cosine == 0).all()
    assert not np.isnan(found.cosine).any()


@pytest.mark.parametrize(("n", "asked", "k"), [(36_864, None, 576), (10, None, 1), (10**7, None, 2000), (500, 9, 9)])
def test_how_many_clusters(n, asked, k):
    assert neuron_clusters.number(n, asked) == k


def test_wide_models_are_projected_and_keep_their_cosines():
    d = 4 * neuron_clusters.DIMENSIONS
    assert neuron_clusters.projection(neuron_clusters.DIMENSIONS, 0) is None
    random = neuron_clusters.projection(d, 0)
    assert random is not None
    a = np.random.default_rng(1).normal(size=(2, d)).astype(np.float32)
    a[1] += a[0]
    before, after = (x[0] @ x[1] / np.linalg.norm(x[0]) / np.linalg.norm(x[1]) for x in (a, a @ random))
    assert after == pytest.approx(before, abs=0.1)
    np.testing.assert_array_equal(random, neuron_clusters.projection(d, 0))
